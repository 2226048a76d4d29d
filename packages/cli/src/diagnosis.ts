/**
 * What Snakepit needs of a machine, as checks: each finds that all is well, or says what is wrong and what helps. They look and
 * change nothing.
 */
import { Hardware } from "@snakepit/hardware"
import { Snakepit } from "@snakepit/core"
import { Environment, Instances, Interpreter, SnakepitNode } from "@snakepit/python-worker"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** What a check has found. A warning lets programs run, with something missing. */
export interface Finding {
  readonly check: string
  readonly status: "ok" | "warning" | "failed"
  readonly detail: string
  /** What helps, as a command where one does; null when nothing is wrong. */
  readonly remedy: string | null
}

type Outcome = Omit<Finding, "check">

const ok = (detail: string): Outcome => ({ status: "ok", detail, remedy: null })
const warning = (detail: string, remedy: string): Outcome => ({ status: "warning", detail, remedy })
const failed = (detail: string, remedy: string): Outcome => ({ status: "failed", detail, remedy })

/** Where the operating system tells about itself; tests have another root. */
export interface Machine {
  readonly sharedMemory: string
  readonly limits: string
}

/** This machine. */
export const machine: Machine = { sharedMemory: "/dev/shm", limits: "/proc/self/limits" }

/** All checks, in the order in which one thing rests on another. */
export const examine = (
  options: Environment.EnvironmentOptions,
  { limits, sharedMemory }: Machine = machine
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.forEach(
    [
      ["node", node],
      ["interpreter", interpreter(options)],
      ["worker", worker(options)],
      ["uv", uv(options)],
      ["lock", lock(options)],
      ["shared memory", sharedMemoryOf(sharedMemory)],
      ["sockets", sockets],
      ["cache", cache],
      ["open files", openFiles(limits)],
      ["accelerator", accelerator(options)],
      ["leftovers", leftovers]
    ] as const,
    ([check, run]) => Effect.map(run, (outcome): Finding => ({ check, ...outcome })),
    { concurrency: 4 }
  )

// ---------------------------------------------------------------------------------------------------------------------
// Programs
// ---------------------------------------------------------------------------------------------------------------------

const oldestNode = [22, 19] as const

const node = Effect.sync((): Outcome => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  const isOld = major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])
  const needed = oldestNode.join(".")
  return isOld ? failed(`Node ${process.versions.node}`, `Install Node ${needed} or newer.`) : ok(`Node ${process.versions.node}`)
})

/** The interpreter that workers would run on. Installs nothing. */
const interpreter = (options: Environment.EnvironmentOptions): Effect.Effect<Outcome> =>
  Effect.match(Interpreter.find({ python: options.python }), {
    onFailure: (error) => failed(error.message, "Install Python 3.10 or newer, or name one with --python."),
    onSuccess: ({ path: file, version }) => ok(`Python ${version}, ${file}`)
  })

const quiet = Logger.layer([])

/** A worker that starts and answers, the way programs start it. */
const worker = (options: Environment.EnvironmentOptions): Effect.Effect<Outcome> =>
  Snakepit.call("math.sqrt", { args: [4], success: Schema.Number }).pipe(
    Effect.provide(pool(options)),
    Effect.match({
      onFailure: (error) =>
        failed(
          "stderr" in error ? [error.message, ...error.stderr].join("\n") : error.message,
          'Run "snakepit setup"; what a module prints above when it is imported has to be mended there.'
        ),
      onSuccess: () => ok("starts and answers")
    })
  )

const pool = (options: Environment.EnvironmentOptions) =>
  SnakepitNode.layer({ pools: { default: { ...options, size: 1, start: "spawn", progress: "silent" } } }).pipe(
    (layer) => layer,
    quietly
  )
