/**
 * Boots workers: the only door from the pool to a backend. Provide another Layer of {@link WorkerSpawner} to run calls
 * somewhere else; the conformance suite in `test/WorkerSpawnerSuite.ts` says what an implementation owes.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { PoolOptions } from "./PoolConfig.ts"
import type { WorkerStartError } from "./SnakepitError.ts"
import type { Worker } from "./Worker.ts"

/** What a worker is started for. */
export interface SpawnOptions {
  readonly pool: string
  /** Unique in this process, and never reused: `default-3`. */
  readonly worker: string
  readonly options: PoolOptions
  /** Devices that the worker had better not run on: tainted, or with an open circuit. */
  readonly avoidDevices?: ReadonlyArray<string> | undefined
}

/** Boots one worker; closing the scope ends it, gracefully first. */
export class WorkerSpawner extends Context.Service<
  WorkerSpawner,
  {
    readonly spawn: (options: SpawnOptions) => Effect.Effect<Worker, WorkerStartError, Scope.Scope>
  }
>()("@snakepit/core/WorkerSpawner") {}
