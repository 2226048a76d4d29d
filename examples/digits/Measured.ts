/** How long calls took: each call and all of them together. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** The result of one call, and how long it took. */
export interface Call<A> {
  readonly millis: number
  readonly result: A
}

/** The results of many calls, and how long they took. Times are in milliseconds. */
export interface Batch<A> {
  readonly results: ReadonlyArray<A>
  /** Shortest first. */
  readonly latencies: ReadonlyArray<number>
  readonly millis: number
}

/** Measures one call. */
export const call = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Call<A>, E, R> =>
  Effect.map(Effect.timed(effect), ([duration, result]) => ({ millis: Duration.toMillis(duration), result }))

/** Measures a batch of measured calls. */
export const batch = <A, E, R>(calls: Effect.Effect<ReadonlyArray<Call<A>>, E, R>): Effect.Effect<Batch<A>, E, R> =>
  Effect.map(Effect.timed(calls), ([duration, all]) => ({
    results: all.map(({ result }) => result),
    latencies: all.map(({ millis }) => millis).toSorted((a, b) => a - b),
    millis: Duration.toMillis(duration)
  }))

/** Number of calls, median and 95th percentile of their latency, and calls per second. */
export const columns = ({ latencies, millis }: Batch<unknown>): ReadonlyArray<string> => [
  String(latencies.length),
  `${quantile(latencies, 0.5).toFixed(1)} ms`,
  `${quantile(latencies, 0.95).toFixed(1)} ms`,
  (latencies.length / (millis / 1000)).toFixed(0)
]

const quantile = (sorted: ReadonlyArray<number>, q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
