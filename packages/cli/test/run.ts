/** Runs the program as a shell does. */
import { spawn, spawnSync } from "node:child_process"
import * as path from "node:path"
import * as Effect from "effect/Effect"

const main = path.join(import.meta.dirname, "../src/main.ts")

/** How a run of the program ended. */
export interface Run {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Where and with what the program runs. */
export interface Surroundings {
  readonly cwd?: string
  /** Variables, beside those of the tests; undefined unsets. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** What stands on its standard input. */
  readonly input?: string
  /** A line of shell that the program is started from: `"$@"` is its command. */
  readonly shell?: string
}

/** Runs `snakepit` with arguments, and waits for its end. */
export const snakepit = (...args: ReadonlyArray<string>): Effect.Effect<Run> => snakepitIn({}, ...args)

/** The same, in surroundings of its own. */
export const snakepitIn = (surroundings: Surroundings, ...args: ReadonlyArray<string>): Effect.Effect<Run> =>
  Effect.callback((resume) => {
    const { cwd = import.meta.dirname, env = {}, input = "", shell } = surroundings
    const command = [process.execPath, "--conditions=snakepit-source", main, ...args]
    const [program = "", ...rest] = shell === undefined ? command : ["sh", "-c", shell, "sh", ...command]
    const child = spawn(program, rest, { cwd, env: { ...process.env, ...env }, stdio: "pipe" })
    child.stdin.end(input)
    const output = { stdout: "", stderr: "" }
    child.stdout.on("data", (data) => (output.stdout += String(data)))
    child.stderr.on("data", (data) => (output.stderr += String(data)))
    child.once("close", (exitCode) => resume(Effect.succeed({ exitCode, ...output })))
    return Effect.sync(() => child.kill())
  })

/** Whether mounts can be made that only a program of one's own sees, which not every container allows. */
export const canMount = spawnSync("unshare", ["-rm", "true"]).status === 0

/** A shell line that runs the program after commands, like mounts, that only it sees. */
export const mounting = (commands: string) => `exec unshare -rm sh -c '${commands}; exec "$@"' sh "$@"`
