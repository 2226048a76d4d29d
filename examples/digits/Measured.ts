/** How long calls took, each of them and all together, and how many answers were right. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** One call. Times are in milliseconds. */
export interface Call {
  readonly millis: number
  readonly isCorrect: boolean
}

/** Many calls that ran at the same time. */
export interface Batch {
  /** Shortest first. */
  readonly latencies: ReadonlyArray<number>
  /** From the first call to the last answer. */
  readonly millis: number
  /** Correct answers as a ratio of all. */
  readonly correct: number
}

/** Measures one call that says whether its answer is correct. */
export const call = <E, R>(effect: Effect.Effect<boolean, E, R>): Effect.Effect<Call, E, R> =>
  Effect.map(Effect.timed(effect), ([duration, isCorrect]) => ({ millis: Duration.toMillis(duration), isCorrect }))

/** Measures all calls of all workers. */
export const batch = <E, R>(
  effect: Effect.Effect<ReadonlyArray<ReadonlyArray<Call>>, E, R>
): Effect.Effect<Batch, E, R> =>
  Effect.map(Effect.timed(effect), ([duration, byWorker]) => {
    const calls = byWorker.flat()
    return {
      latencies: calls.map(({ millis }) => millis).toSorted((a, b) => a - b),
      millis: Duration.toMillis(duration),
      correct: calls.filter(({ isCorrect }) => isCorrect).length / calls.length
    }
  })

/** What {@link columns} shows. */
export const headings: ReadonlyArray<string> = ["calls", "median", "95th percentile", "calls/s", "correct"]

/** The figures of a batch. */
export const columns = ({ correct, latencies, millis }: Batch): ReadonlyArray<string> => [
  String(latencies.length),
  `${quantile(latencies, 0.5).toFixed(1)} ms`,
  `${quantile(latencies, 0.95).toFixed(1)} ms`,
  (latencies.length / (millis / 1000)).toFixed(0),
  percent(correct)
]

/** `0.9578` as `95.8 %`. */
export const percent = (ratio: number): string => `${(100 * ratio).toFixed(1)} %`

const quantile = (sorted: ReadonlyArray<number>, q: number): number =>
  sorted[Math.floor(q * sorted.length)] ?? Number.NaN
