/**
 * The native stacks of a process that hangs, as a debugger sees them: `eu-stack` of elfutils, else `gdb`, if the machine has one.
 * Nothing depends on it: without a debugger, or where the system lets this process trace no other, there are none.
 */
import { execFile } from "node:child_process"
import { which } from "./executable.ts"

/** Frames of one thread, and lines of all. */
const mostFrames = 64
const mostLines = 400

const debuggers: ReadonlyArray<readonly [name: string, args: (pid: number) => ReadonlyArray<string>]> = [
  ["eu-stack", (pid) => ["-n", String(mostFrames), "-p", String(pid)]],
  [
    "gdb",
    (pid) => [
      "-nx",
      "-batch",
      "-iex",
      "set auto-load off",
      "-p",
      String(pid),
      "-ex",
      `thread apply all bt ${mostFrames}`
    ]
  ]
]

/** Lines that name a thread or a frame; what else debuggers print is about themselves. */
const isOfStack = (line: string): boolean => /^(?:TID \d+:|Thread \d|#\d+ )/.test(line)

/**
 * The stacks, thread by thread, innermost frame first. A debugger that takes longer than `timeoutMillis`, or until `signal` is
 * aborted, is ended, and the process goes on.
 */
export const nativeStacks = (
  pid: number,
  timeoutMillis: number,
  signal: AbortSignal
): Promise<ReadonlyArray<string>> => {
  for (const [name, args] of debuggers) {
    const file = which(name)
    if (file === undefined) continue
    return new Promise((resolve) => {
      const options = {
        timeout: timeoutMillis,
        signal,
        killSignal: "SIGKILL",
        maxBuffer: 16 << 20,
        // symbols are not to be fetched from servers now
        env: { ...process.env, DEBUGINFOD_URLS: "" }
      } as const
      try {
        execFile(file, args(pid), options, (_error, stdout) => {
          // what it has said before it failed is of use too
          resolve(stdout.split("\n").filter(isOfStack).slice(0, mostLines))
        }).stdin?.end()
      } catch {
        resolve([]) // the system is out of memory, or the environment is too large
      }
    })
  }
  return Promise.resolve([])
}
