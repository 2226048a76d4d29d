/**
 * When a failed effect is tried again: policies as plain `Schedule`s. They work with `Effect.retry` on any effect, and as the
 * option `retry` of one call.
 *
 * These retries are the caller's. Calls that a crash of their worker cut off are tried again by the pool itself, see
 * `CrashBarrier.ts`; a policy here sees what is left after that.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { millisUnsafe } from "./internal/duration.ts"

/** How the delays grow: `initial * 2^n`, `initial * (n + 1)`, or always `initial`. */
export type Strategy = "exponential" | "linear" | "constant"

/** Delays between attempts. */
export interface DelayOptions {
  /** Defaults to `exponential`. */
  readonly strategy?: Strategy | undefined
  /** Delay before the first retry. Defaults to 100 milliseconds. */
  readonly initial?: Duration.Input | undefined
  /** Longest delay before jitter. Defaults to 5 seconds. */
  readonly max?: Duration.Input | undefined
  /** Part of the delay that is random: 0.2 gives 80 % to 120 %. Defaults to 0.2; 0 switches it off. */
  readonly jitter?: number | undefined
}

/** What a policy is made of. */
export interface Options extends DelayOptions {
  /** Retries after the first attempt. Defaults to 3. */
  readonly times?: number | undefined
  /**
   * Which failures are tried again: tags, or a predicate. Said explicitly, it holds for calls that are not idempotent too.
   * Defaults to {@link isTransient}.
   */
  readonly retryable?: ReadonlyArray<string> | ((error: unknown) => boolean) | undefined
}

/**
 * Whether running the effect twice does no harm. The option `retry` of a call sets it to the call's `idempotent`; around effects
 * of your own, provide it. Defaults to false.
 */
export const Idempotent = Context.Reference<boolean>("@snakepit/core/RetryPolicy/Idempotent", {
  defaultValue: () => false
})

// The call has not begun when one of these ends it, and another moment may find room or a worker for it.
const refusals = new Set([
  "PoolSaturated",
  "QueueTimeout",
  "PoolUnhealthy",
  "WorkerStartError",
  "SessionBusy",
  "CircuitOpen"
])

// What happened to these calls is not known, and the fault was not theirs.
const interruptions = new Set(["WorkerCrash", "CallTimeout", "ProtocolError"])

/**
 * The default rule. Tried again are failures of workers and of the waiting room: those that say the call has not run, always;
 * those after which it may have run, when it is idempotent. Python exceptions are answers, and not tried again.
 */
export const isTransient = (error: unknown, idempotent: boolean): boolean => {
  const tag = tagOf(error)
  if (tag === undefined) return false
  if (Reflect.get(Object(error), "waitsForItself") === true) return false
  if (refusals.has(tag)) return true
  if (!interruptions.has(tag)) return false
  return idempotent || Reflect.get(Object(error), "mayHaveExecuted") === false
}

/**
 * A policy.
 *
 * **Example** (On one call, and on an effect of your own)
 *
 * ```ts
 * const patient = RetryPolicy.make({ strategy: "linear", initial: "1 second", times: 5 })
 * const mean = Snakepit.call("statistics.mean", { args: [[1, 2, 4]], idempotent: true, retry: patient })
 * const page = Effect.retry(fetchPage, RetryPolicy.make({ retryable: ["HttpError"] }))
 * ```
 *
 * The output is the number of retries so far. Combine it with other schedules like any.
 */
export const make = (options: Options = {}): Schedule.Schedule<number, unknown> => {
  const times = options.times ?? 3
  const retryable = options.retryable
  const isRetryable: (error: unknown, idempotent: boolean) => boolean =
    retryable === undefined
      ? isTransient
      : typeof retryable === "function"
        ? retryable
        : (error) => retryable.includes(tagOf(error) ?? "")
  return Schedule.while(delays(options), ({ attempt, input }) =>
    attempt > times ? Effect.succeed(false) : Effect.map(Idempotent, (idempotent) => isRetryable(input, idempotent))
  )
}

/** The delays alone, without an end. */
export const delays = (options: DelayOptions = {}): Schedule.Schedule<number, unknown> => {
  const strategy = options.strategy ?? "exponential"
  const initial = millisUnsafe("initial", options.initial ?? 100)
  const max = millisUnsafe("max", options.max ?? 5_000)
  const jitter = options.jitter ?? 0.2
  const nominal = (retry: number): number =>
    strategy === "constant" ? initial : strategy === "linear" ? initial * retry : initial * 2 ** (retry - 1)
  return Schedule.fromStepWithMetadata(
    Effect.succeed(({ attempt }: Schedule.InputMetadata<unknown>) =>
      Effect.map(Random.next, (random): [number, Duration.Duration] => [
        attempt,
        Duration.millis(Math.min(max, nominal(attempt)) * (1 + jitter * (2 * random - 1)))
      ])
    )
  )
}

const tagOf = (error: unknown): string | undefined => {
  if (typeof error !== "object" || error === null) return undefined
  const tag: unknown = Reflect.get(error, "_tag")
  return typeof tag === "string" ? tag : undefined
}
