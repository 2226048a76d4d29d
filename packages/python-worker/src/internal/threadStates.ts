/** What the threads of a process do, as the kernel sees them: all that can be had of a process that answers nothing. */
import * as fs from "node:fs"

const states: Readonly<Record<string, string>> = {
  R: "running",
  S: "sleeping",
  D: "waiting for a device",
  T: "stopped by a signal",
  t: "stopped by a debugger",
  Z: "dead"
}

/** One line per thread: name, state, where it waits in the kernel, its kernel stack where that may be read. Linux only. */
export const threadStates = (pid: number): ReadonlyArray<string> => {
  let tasks: ReadonlyArray<string>
  try {
    tasks = fs.readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
  return tasks.flatMap((task) => {
    const stat = read(`/proc/${pid}/task/${task}/stat`)
    const [, name, state] = /^\d+ \((.*)\) (\S)/s.exec(stat) ?? []
    if (name === undefined || state === undefined) return []
    const waits = read(`/proc/${pid}/task/${task}/wchan`).trim()
    const stack = read(`/proc/${pid}/task/${task}/stack`)
      .split("\n")
      .flatMap((line) => /(\w+)\+0x/.exec(line)?.[1] ?? [])
    const where = stack.length > 0 ? ` in ${stack.join(" < ")}` : waits === "" || waits === "0" ? "" : ` in ${waits}`
    return [`thread ${task} (${name}): ${states[state] ?? state}${where}`]
  })
}

const read = (file: string): string => {
  try {
    return fs.readFileSync(file, "latin1")
  } catch {
    return "" // the thread has ended, or its stack is not for us to see
  }
}
