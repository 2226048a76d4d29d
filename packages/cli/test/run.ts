/** Runs the program as a shell does. */
import { spawn } from "node:child_process"
import * as path from "node:path"
import * as Effect from "effect/Effect"

const main = path.join(import.meta.dirname, "../src/main.ts")

/** How a run of the program ended. */
export interface Run {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `snakepit` with arguments, and waits for its end. */
export const snakepit = (...args: ReadonlyArray<string>): Effect.Effect<Run> => snakepitWithInput("", ...args)

/** The same, with something on its standard input. */
export const snakepitWithInput = (input: string, ...args: ReadonlyArray<string>): Effect.Effect<Run> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, ["--conditions=snakepit-source", main, ...args], {
      cwd: import.meta.dirname,
      stdio: "pipe"
    })
    child.stdin.end(input)
    const output = { stdout: "", stderr: "" }
    child.stdout.on("data", (data) => (output.stdout += String(data)))
    child.stderr.on("data", (data) => (output.stderr += String(data)))
    child.once("close", (exitCode) => resume(Effect.succeed({ exitCode, ...output })))
    return Effect.sync(() => child.kill())
  })
