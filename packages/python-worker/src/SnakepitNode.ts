/**
 * Snakepit over Python processes, on Node: one Layer gives a program the whole of it.
 *
 * **Example** (A program that calls Python)
 *
 * ```ts
 * const program = Snakepit.call("math.sqrt", { args: [2], success: Schema.Number })
 *
 * Effect.runPromise(program.pipe(Effect.provide(SnakepitNode.layer())))
 * ```
 */
import { Snakepit, type SnakepitError } from "@snakepit/core"
import type { SharedMemory } from "@snakepit/zero-copy"
import * as Layer from "effect/Layer"
import * as PythonWorker from "./PythonWorker.ts"
import * as PythonWorkerConfig from "./PythonWorkerConfig.ts"

/** The configuration: pools by name. */
export type Config = Snakepit.Config<PythonWorkerConfig.PythonPool>

/** The service, its pools started. Closing it drains the pools and leaves no process, socket or file behind. */
export const layer = (
  config: Config = {}
): Layer.Layer<
  Snakepit.Snakepit | SharedMemory.SharedMemory,
  SnakepitError.ConfigError | SnakepitError.WorkerStartError
> =>
  Snakepit.layer(config, { keys: PythonWorkerConfig.keys, validate: PythonWorkerConfig.resolve }).pipe(
    Layer.provideMerge(PythonWorker.layer)
  )
