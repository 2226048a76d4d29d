/** Durations that users wrote, as milliseconds. Effect's own reading takes what is no number, and objects without units, for zero. */
import * as Duration from "effect/Duration"
import { show } from "./show.ts"

/** The longest delay of one timer of Node, 24.8 days: those of a longer delay fire at once. */
export const longestTimer = 2 ** 31 - 1

/** What a duration may look like, for errors. */
export const durationForms = 'like "30 seconds" or 500 (milliseconds)'

const units: ReadonlySet<string> = new Set([
  "weeks",
  "days",
  "hours",
  "minutes",
  "seconds",
  "milliseconds",
  "microseconds",
  "nanoseconds"
])

/** The milliseconds of a duration, which may be infinite or negative; `undefined` when the value is none, whatever its type. */
export const millisOf = (value: unknown): number | undefined => {
  if (!isMeant(value)) return undefined
  // `fromInput` answers none for whatever else is no duration
  const duration = Duration.fromInput(value as Duration.Input)
  return duration._tag === "None" ? undefined : Duration.toMillis(duration.value)
}

/** The same for an option of a function, as opposed to a configuration: what is no duration is a mistake of the program. */
export const millisUnsafe = (option: string, value: unknown): number => {
  const millis = millisOf(value)
  if (millis !== undefined) return millis
  throw new TypeError(`option \`${option}\`: expected a duration, ${durationForms}, got ${show(value)}`)
}

/** Whether the value says an amount of time, if it is a duration at all. */
const isMeant = (value: unknown): boolean => {
  if (typeof value === "number") return !Number.isNaN(value)
  if (typeof value !== "object" || value === null || Duration.isDuration(value)) return true
  if (Array.isArray(value)) return value.every((part) => !Number.isNaN(part))
  const entries = Object.entries(value).filter(([, amount]) => amount !== undefined)
  return entries.length > 0 && entries.every(([unit, amount]) => units.has(unit) && isAmount(amount))
}

const isAmount = (value: unknown): boolean => typeof value === "number" && !Number.isNaN(value)
