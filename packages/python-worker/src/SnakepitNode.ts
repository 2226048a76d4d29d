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
import { PoolConfig, Snakepit, type SnakepitError } from "@snakepit/core"
import type { SharedMemory } from "@snakepit/zero-copy"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { EnvironmentOptions } from "./EnvironmentOptions.ts"
import * as Instances from "./Instances.ts"
import * as RuntimeDirectory from "./internal/runtimeDirectory.ts"
import * as PythonWorker from "./PythonWorker.ts"
import * as PythonWorkerConfig from "./PythonWorkerConfig.ts"

/** The configuration: pools by name, and what they have in common. */
export interface Config extends Snakepit.Config<PythonWorkerConfig.PythonPool> {
  /** Python and packages of all pools that say nothing else. A pool's `pyproject` or `requirements` replaces both, and `lock`. */
  readonly environment?: EnvironmentOptions | undefined
}

/** The service, its pools started. Closing it drains the pools and leaves no process, socket or file behind. */
export const layer = (
  config: Config = {}
): Layer.Layer<
  Snakepit.Snakepit | SharedMemory.SharedMemory,
  SnakepitError.ConfigError | SnakepitError.WorkerStartError
> =>
  Layer.effectDiscard(Effect.flatMap(RuntimeDirectory.RuntimeDirectory, Instances.serve)).pipe(
    Layer.provideMerge(
      Layer.unwrap(
        Effect.map(withEnvironment(config), (complete) =>
          Snakepit.layer(complete, { keys: PythonWorkerConfig.keys, validate: PythonWorkerConfig.resolve })
        )
      )
    ),
    Layer.provideMerge(PythonWorker.layerIn),
    Layer.provide(RuntimeDirectory.layer)
  )

/** Each pool with the options of all; pools that are none are left for the validation to refuse. */
const withEnvironment = (config: Config): Effect.Effect<Snakepit.Config, SnakepitError.ConfigError> => {
  const reader = new PoolConfig.OptionReader()
  const { environment, ...given }: Config = reader.object("", config, ["pools", "environment"]) ? config : {}
  if (environment === undefined) return reader.result(given)
  if (!PoolConfig.isObject(environment)) reader.refuse("environment", environment, "an object of options")
  const { lock, pyproject, requirements, ...others }: EnvironmentOptions = environment
  const complete = (pool: PythonWorkerConfig.PythonPool) => {
    if (!PoolConfig.isObject(pool)) return pool
    const isOwn = pool.pyproject !== undefined || pool.requirements !== undefined
    // a lock is that of certain packages
    const source = isOwn ? {} : { pyproject, requirements, lock }
    return { ...others, ...source, ...pool }
  }
  const { pools = { default: {} } } = given
  if (!PoolConfig.isObject(pools)) return reader.result(given)
  return reader.result({
    pools: Object.fromEntries(Object.entries(pools).map(([name, pool]) => [name, complete(pool)]))
  })
}
