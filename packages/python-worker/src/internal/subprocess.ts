/** Runs a program to its end, in a process group of its own, so that interruption ends it with all its children. */
import { type ChildProcess, spawn } from "node:child_process"
import * as readline from "node:readline"
import * as Effect from "effect/Effect"

/** @internal */
export interface Outcome {
  /** Null when a signal ended the program. */
  readonly exitCode: number | null
  readonly stdout: string
  /** The last lines of stdout and stderr together. */
  readonly tail: string
}

/** @internal */
export interface RunOptions {
  readonly cwd?: string | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
  /** Called with each line of stdout and stderr. */
  readonly onLine?: ((line: string) => void) | undefined
}

const TAIL_LINES = 30
const KILL_AFTER_MILLIS = 3_000

/**
 * Answers how the program ended; fails with the operating system's error when it cannot be started.
 *
 * @internal
 */
export const run = (command: string, args: ReadonlyArray<string>, options: RunOptions = {}) =>
  Effect.callback<Outcome, Error>((resume) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true
    })
    const stdout: Array<string> = []
    const tail: Array<string> = []
    const keep = (line: string) => {
      tail.push(line)
      if (tail.length > TAIL_LINES) tail.shift()
      options.onLine?.(line)
    }
    readline.createInterface({ input: child.stdout }).on("line", (line) => {
      stdout.push(line)
      keep(line)
    })
    readline.createInterface({ input: child.stderr }).on("line", keep)
    child.once("error", (error) => resume(Effect.fail(error)))
    child.once("close", (exitCode) =>
      resume(Effect.succeed({ exitCode, stdout: stdout.join("\n"), tail: tail.join("\n") }))
    )
    return endGroup(child)
  })

const endGroup = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    const { pid } = child
    if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    const force = setTimeout(() => signalGroup(pid, "SIGKILL"), KILL_AFTER_MILLIS)
    child.once("exit", () => {
      clearTimeout(force)
      // What the program started may still be there after it.
      signalGroup(pid, "SIGKILL")
      resume(Effect.void)
    })
    signalGroup(pid, "SIGTERM")
  })

const signalGroup = (pid: number, signal: NodeJS.Signals) => {
  try {
    process.kill(-pid, signal)
  } catch {
    // The group is gone already.
  }
}
