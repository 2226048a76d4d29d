/** The processes below a process, and what one holds open: what tests of leaks compare before and after. Linux only. */
import * as fs from "node:fs"

/** The live processes that stem from one, children of children too, in no order. */
export const descendants = (root: number): ReadonlyArray<number> => {
  const parents = new Map<number, number>()
  for (const name of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue
    const [state, parent] = statOf(name)
    if (parent !== undefined && state !== "Z" && state !== "X") parents.set(Number(name), Number(parent))
  }
  const found = new Set([root])
  for (let size = 0; size !== found.size;) {
    size = found.size
    for (const [pid, parent] of parents) if (found.has(parent)) found.add(pid)
  }
  found.delete(root)
  return [...found]
}

const statOf = (pid: string): ReadonlyArray<string> => {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1")
    // the name, in parentheses, may hold anything
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  } catch {
    return [] // it ended meanwhile
  }
}
