/** The processes that stem from a process, however far they are from it by now: what tests of leaks look for. Linux only. */
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

/**
 * The live processes that were started with this in their environment (`NAME=value`). Those whose parent has died are among
 * them, though they stem from nobody any more.
 */
export const startedWith = (variable: string): ReadonlyArray<number> =>
  fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && environmentOf(name).includes(variable) && statOf(name)[0] !== "Z")
    .map(Number)

const environmentOf = (pid: string): ReadonlyArray<string> => {
  try {
    return fs.readFileSync(`/proc/${pid}/environ`, "latin1").split("\0")
  } catch {
    return [] // it ended meanwhile, or belongs to somebody else
  }
}

/** Whether a process runs: it exists, and is no zombie. */
export const isRunning = (pid: number): boolean => {
  const [state] = statOf(pid)
  return state !== undefined && state !== "Z" && state !== "X"
}

/** State letter, parent and what else `/proc` says of a process behind its name; nothing when there is none. */
export const statOf = (pid: number | string): ReadonlyArray<string> => {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1")
    // the name, in parentheses, may hold anything
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  } catch {
    return [] // it ended meanwhile
  }
}
