/**
 * Configuration of pools: documented fields with their defaults, validated once. A key that does not exist or a value
 * that does not hold stops the start with {@link ConfigError}.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as CrashBarrier from "./CrashBarrier.ts"
import { OptionReader } from "./internal/optionReader.ts"
import { wrongTools } from "./internal/toolNames.ts"
import type { ConfigError } from "./SnakepitError.ts"
import type { AnyTool } from "./Tool.ts"

/** For backends, which read their own options of a pool in the same way. */
export { isObject, isText, OptionReader } from "./internal/optionReader.ts"

/** How strictly a session keeps to its worker. */
export type Affinity = "strictQueue" | "strictFailFast" | "hint"

/** Options of one pool, as users write them. Options of a backend stand beside these. */
export interface PoolInput {
  /** Number of workers. Defaults to the number of cores. */
  readonly size?: number | undefined
  /** How calls run in a worker: one at a time on its main thread, or several on threads. Defaults to `process`. */
  readonly profile?: "process" | "thread" | undefined
  /** Calls that run at the same time in one worker of the `thread` profile. Defaults to 8. */
  readonly threads?: number | undefined
  /** Calls that may wait for a worker. Past it calls fail with `PoolSaturated`. Defaults to 1000. */
  readonly maxQueue?: number | undefined
  /** How long a call may wait for a worker. Defaults to 30 seconds. */
  readonly queueTimeout?: Duration.Input | undefined
  /** Deadline of calls that set none. Defaults to none. */
  readonly callTimeout?: Duration.Input | undefined
  /** How strictly sessions keep to their worker. Defaults to `strictQueue`. */
  readonly affinity?: Affinity | undefined
  /** A session without a call for this long is closed. Defaults to 1 hour. */
  readonly sessionIdleTimeout?: Duration.Input | undefined
  /** Sessions open at the same time. Defaults to 10000. */
  readonly maxSessions?: number | undefined
  /** Calls that one worker may have on its event loop. Defaults to 1000. */
  readonly asyncConcurrency?: number | undefined
  /** How long running calls may go on when the pool closes. Defaults to 5 seconds. */
  readonly drainTimeout?: Duration.Input | undefined
  /** Crashes of workers within `restartWindow` past which the pool is unhealthy. Defaults to 10. */
  readonly maxRestarts?: number | undefined
  /** The time over which crashes are counted. Defaults to 60 seconds. */
  readonly restartWindow?: Duration.Input | undefined
  /** What becomes of calls whose worker crashed. Defaults to retries of idempotent calls. */
  readonly crashBarrier?: CrashBarrier.CrashBarrierInput | undefined
  /** Refuses calls at once after too many failures of workers. Off unless given; `{}` takes its defaults. */
  readonly circuitBreaker?: CircuitBreaker.CircuitBreakerInput | undefined
  /** Whether targets and attributes that start with an underscore may be reached. Defaults to false. */
  readonly allowPrivate?: boolean | undefined
  /** TypeScript functions that Python code of this pool can call by name. Defaults to none. */
  readonly tools?: ReadonlyArray<AnyTool> | undefined
}

/** Options of one pool, complete. Durations are in milliseconds. */
export interface PoolOptions {
  readonly name: string
  readonly size: number
  readonly profile: "process" | "thread"
  readonly threads: number
  readonly maxQueue: number
  readonly queueTimeout: number
  readonly callTimeout: number | undefined
  readonly affinity: Affinity
  readonly sessionIdleTimeout: number
  readonly maxSessions: number
  readonly asyncConcurrency: number
  readonly drainTimeout: number
  readonly maxRestarts: number
  readonly restartWindow: number
  readonly crashBarrier: CrashBarrier.CrashBarrierOptions
  readonly circuitBreaker: CircuitBreaker.CircuitBreakerOptions | undefined
  readonly allowPrivate: boolean
  readonly tools: ReadonlyArray<AnyTool>
  /** What the input held beside the keys above: options of the backend, which validates them. */
  readonly backend: Readonly<Record<string, unknown>>
}

const cores = (): number => {
  const navigator: { readonly hardwareConcurrency?: number } = globalThis.navigator ?? {}
  return navigator.hardwareConcurrency ?? 4
}

/** The keys of {@link PoolInput}. */
export const keys: ReadonlyArray<string> = [
  "size",
  "profile",
  "threads",
  "maxQueue",
  "queueTimeout",
  "callTimeout",
  "affinity",
  "sessionIdleTimeout",
  "maxSessions",
  "asyncConcurrency",
  "drainTimeout",
  "maxRestarts",
  "restartWindow",
  "crashBarrier",
  "circuitBreaker",
  "allowPrivate",
  "tools"
]

/**
 * Validates the options of one pool. `backendKeys` are the further keys that the backend knows; a key that nobody knows
 * fails with the list of known ones.
 */
export const resolve = (
  name: string,
  given: PoolInput,
  backendKeys: ReadonlyArray<string> = []
): Effect.Effect<PoolOptions, ConfigError> =>
  Effect.suspend(() => {
    const reader = new OptionReader(`pools.${name}`)
    const { boolean, integer, millis, oneOf, refuse } = reader
    const input: PoolInput = reader.object("", given, [...keys, ...backendKeys]) ? given : {}
    const backend = Object.fromEntries(Object.entries(input).filter(([key]) => backendKeys.includes(key)))
    const wrong = wrongTools(input.tools)
    if (wrong !== undefined) refuse("tools", wrong.value, wrong.expected)
    const options: PoolOptions = {
      name,
      size: integer("size", input.size, cores(), 1),
      profile: oneOf("profile", input.profile, "process", ["process", "thread"]),
      threads: integer("threads", input.threads, 8, 1),
      maxQueue: integer("maxQueue", input.maxQueue, 1000, 0),
      queueTimeout: millis("queueTimeout", input.queueTimeout, 30_000),
      callTimeout: millis("callTimeout", input.callTimeout, undefined),
      affinity: oneOf("affinity", input.affinity, "strictQueue", ["strictQueue", "strictFailFast", "hint"]),
      sessionIdleTimeout: millis("sessionIdleTimeout", input.sessionIdleTimeout, 3_600_000),
      maxSessions: integer("maxSessions", input.maxSessions, 10_000, 1),
      asyncConcurrency: integer("asyncConcurrency", input.asyncConcurrency, 1000, 1),
      drainTimeout: millis("drainTimeout", input.drainTimeout, 5_000),
      maxRestarts: integer("maxRestarts", input.maxRestarts, 10, 0),
      restartWindow: millis("restartWindow", input.restartWindow, 60_000),
      crashBarrier: CrashBarrier.read(reader, input.crashBarrier),
      circuitBreaker:
        input.circuitBreaker === undefined ? undefined : CircuitBreaker.read(reader, input.circuitBreaker),
      allowPrivate: boolean("allowPrivate", input.allowPrivate, false),
      tools: input.tools ?? [],
      backend
    }
    return reader.result(options)
  })
