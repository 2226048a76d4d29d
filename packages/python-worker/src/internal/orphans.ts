/** Worker processes whose program is gone. There should be none, ever: `lifeline.py` sees to that. */
import * as fs from "node:fs"

/** Process ids of this user's workers that no living instance is an ancestor of. Linux only; elsewhere none are found. */
export const orphans = (instances: ReadonlySet<number>): ReadonlyArray<number> => {
  const found: Array<number> = []
  for (const name of readDirectory("/proc")) {
    const pid = Number(name)
    if (Number.isInteger(pid) && isWorker(pid) && !hasAncestor(pid, instances)) found.push(pid)
  }
  return found
}

const isWorker = (pid: number): boolean => {
  try {
    if (fs.statSync(`/proc/${pid}`).uid !== process.getuid?.()) return false
    return /\0-c\0.*import snakepit_worker\./s.test(fs.readFileSync(`/proc/${pid}/cmdline`, "utf8"))
  } catch {
    return false // it has ended
  }
}

const hasAncestor = (pid: number, instances: ReadonlySet<number>): boolean => {
  for (let current = pid; current > 1; current = parentOf(current)) if (instances.has(current)) return true
  return false
}

const parentOf = (pid: number): number => {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0)
  } catch {
    return 0
  }
}

const readDirectory = (folder: string): ReadonlyArray<string> => {
  try {
    return fs.readdirSync(folder)
  } catch {
    return []
  }
}
