/**
 * A circuit breaker: after too many failures in a row, calls are refused at once for a while, then a few probes decide.
 * Built on Effect's own (`effect/persistence/CircuitBreaker`), which lets one probe through at a time and closes after one success;
 * the store here counts probes and successes, and leaves the rest to it.
 *
 * Give a pool one with its option `circuitBreaker`, or guard any effect with {@link make}. A breaker costs about 12 microseconds per
 * call, so pools have none unless asked.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Effects from "effect/persistence/CircuitBreaker"
import type * as Scope from "effect/Scope"
import { OptionReader } from "./internal/optionReader.ts"
import { ProbingStore } from "./internal/probingStore.ts"
import { CircuitOpen } from "./SnakepitError.ts"

/** Options of a breaker, as users write them. */
export interface CircuitBreakerInput {
  /** Failures in a row that open the circuit. Defaults to 5. */
  readonly failures?: number | undefined
  /** How long calls are refused before the first probe. Defaults to 30 seconds. */
  readonly openDuration?: Duration.Input | undefined
  /** Probes that may run at the same time once that has passed. Defaults to 3. */
  readonly probes?: number | undefined
  /** Probes that have to succeed before the circuit closes; one failure opens it again. Defaults to 3. */
  readonly successes?: number | undefined
  /**
   * Tags of the failures that count. Others are answers, and count as success. Defaults to failures of workers and timeouts:
   * `WorkerCrash`, `WorkerStartError`, `CallTimeout`, `QueueTimeout`, `PoolUnhealthy`, `ProtocolError`, `PoisonCall`.
   */
  readonly failureTags?: ReadonlyArray<string> | undefined
}

/** The options, complete. Durations are in milliseconds. */
export interface CircuitBreakerOptions {
  readonly failures: number
  readonly openDuration: number
  readonly probes: number
  readonly successes: number
  readonly failureTags: ReadonlyArray<string>
}

/** Where a circuit stands. */
export type State = "closed" | "open" | "halfOpen"

/** One circuit. */
export interface CircuitBreaker {
  /** Runs the effect if the circuit lets it through. An effect that was interrupted does not count. */
  readonly guard: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitOpen, R>
  /** Fails while the circuit is open, and counts nothing. */
  readonly check: Effect.Effect<void, CircuitOpen>
  readonly state: Effect.Effect<State>
}

const failureTags = [
  "WorkerCrash",
  "WorkerStartError",
  "CallTimeout",
  "QueueTimeout",
  "PoolUnhealthy",
  "ProtocolError",
  "PoisonCall"
]

const keys = ["failures", "openDuration", "probes", "successes", "failureTags"]

/** Validates the options: those of a pool, and of {@link make}. */
export const read = (reader: OptionReader, input: CircuitBreakerInput): CircuitBreakerOptions => {
  const given = reader.object("circuitBreaker", input, keys) ? input : {}
  return {
    failures: reader.integer("circuitBreaker.failures", given.failures, 5, 1),
    openDuration: reader.millis("circuitBreaker.openDuration", given.openDuration, 30_000),
    probes: reader.integer("circuitBreaker.probes", given.probes, 3, 1),
    successes: reader.integer("circuitBreaker.successes", given.successes, 3, 1),
    failureTags: reader.list(
      "circuitBreaker.failureTags",
      given.failureTags,
      failureTags,
      (tag): tag is string => typeof tag === "string",
      'a list of error tags, like ["WorkerCrash"]'
    )
  }
}

/**
 * A breaker of its own, for any effect. `name` stands in {@link CircuitOpen}. Options that do not hold are a defect, a `ConfigError`.
 *
 * **Example** (One model)
 *
 * ```ts
 * const breaker = yield* CircuitBreaker.make("model", { failures: 2, openDuration: "1 minute" })
 * const answer = yield* breaker.guard(Snakepit.call("model.predict", { args: [x] }))
 * ```
 */
export const make = (
  name: string,
  input: CircuitBreakerInput = {}
): Effect.Effect<CircuitBreaker, never, Scope.Scope> =>
  Effect.suspend(() => {
    const reader = new OptionReader()
    return reader.result(read(reader, input))
  }).pipe(
    Effect.orDie,
    Effect.flatMap((options) => makeResolved(name, options))
  )

/** The same from validated options. */
export const makeResolved = (
  name: string,
  options: CircuitBreakerOptions
): Effect.Effect<CircuitBreaker, never, Scope.Scope> =>
  Effect.gen(function* () {
    const store = new ProbingStore(options.probes, options.successes)
    const breaker = yield* Effects.make({
      tripPolicy: Effects.consecutive(options.failures),
      openDuration: Duration.millis(options.openDuration)
    }).pipe(Effect.provideService(Effects.CircuitBreakerStore, store))

    const classify = (exit: Exit.Exit<unknown, unknown>): Effects.Outcome => {
      if (Exit.isSuccess(exit)) return Effects.success
      if (Cause.hasInterruptsOnly(exit.cause)) return Effects.ignored
      const error = Cause.findErrorOption(exit.cause)
      const tag: unknown =
        error._tag === "Some" && typeof error.value === "object" && error.value !== null
          ? Reflect.get(error.value, "_tag")
          : undefined
      const outcome = outcomeOfTag(options, tag)
      return outcome === "Failure" ? Effects.failure() : outcome === "Ignored" ? Effects.ignored : Effects.success
    }

    const refuse = (error: Effects.CircuitBreakerError): CircuitOpen =>
      new CircuitOpen({
        pool: name,
        retryAfterMillis: error.reason._tag === "CircuitOpen" ? Duration.toMillis(error.reason.retryAfter) : 0
      })

    return {
      guard: (effect) =>
        // the guarded effect may itself fail with the error of a breaker of its own: only ours is translated
        Effect.exit(effect).pipe(
          breaker.execute({ key: name, classify: (exit) => classify(Exit.isSuccess(exit) ? exit.value : exit) }),
          Effect.mapError(refuse),
          Effect.flatten
        ),
      check: Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const remaining = store.remaining(now)
        return remaining > 0 ? Effect.fail(new CircuitOpen({ pool: name, retryAfterMillis: remaining })) : Effect.void
      }),
      state: Effect.map(Clock.currentTimeMillis, (now) => store.standing(now))
    }
  })

/** What an effect that ended with an error of this tag, or with none, says about what it calls. */
export const outcomeOfTag = (options: CircuitBreakerOptions, tag: unknown): "Success" | "Failure" | "Ignored" => {
  // another breaker kept it from being tried
  if (tag === "CircuitOpen") return "Ignored"
  return typeof tag === "string" && options.failureTags.includes(tag) ? "Failure" : "Success"
}
