/**
 * The proleptic Gregorian calendar that Python's `datetime` uses: years 1 to 9999, no leap seconds.
 */

const monthDays = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

const daysInMonth = (year: number, month: number): number =>
  month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : (monthDays[month - 1] ?? 0)

const between = (value: number, minimum: number, maximum: number): boolean =>
  Number.isInteger(value) && value >= minimum && value <= maximum

/** What is wrong with a date, or undefined. */
export const dateProblem = (year: number, month: number, day: number): string | undefined => {
  if (!between(year, 1, 9999)) return `expected a year from 1 to 9999, got ${year}`
  if (!between(month, 1, 12)) return `expected a month from 1 to 12, got ${month}`
  const days = daysInMonth(year, month)
  return between(day, 1, days) ? undefined : `expected a day from 1 to ${days}, got ${day}`
}

/** What is wrong with a time of day, or undefined. */
export const timeProblem = (hour: number, minute: number, second: number, microsecond: number): string | undefined => {
  if (!between(hour, 0, 23)) return `expected an hour from 0 to 23, got ${hour}`
  if (!between(minute, 0, 59)) return `expected a minute from 0 to 59, got ${minute}`
  if (!between(second, 0, 59)) return `expected a second from 0 to 59, got ${second}`
  return between(microsecond, 0, 999_999) ? undefined : `expected a microsecond from 0 to 999999, got ${microsecond}`
}

/** What is wrong with an offset in seconds east of UTC, or undefined. */
export const offsetProblem = (seconds: number): string | undefined =>
  between(seconds, -86_399, 86_399) ? undefined : `expected an offset of whole seconds below a day, got ${seconds}`

const pad = (value: number, width: number): string => String(value).padStart(width, "0")

/** `2026-03-01`, as Python's `isoformat`. */
export const formatDate = (year: number, month: number, day: number): string =>
  `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`

/** `12:30:00` or `12:30:00.000001`, as Python's `isoformat`. */
export const formatTime = (hour: number, minute: number, second: number, microsecond: number): string =>
  `${pad(hour, 2)}:${pad(minute, 2)}:${pad(second, 2)}${microsecond === 0 ? "" : `.${pad(microsecond, 6)}`}`

/** `+05:30` or `-00:44:30`, as Python's `isoformat`. */
export const formatOffset = (seconds: number): string => {
  const absolute = Math.abs(seconds)
  const rest = absolute % 60
  const base = `${seconds < 0 ? "-" : "+"}${pad(Math.floor(absolute / 3600), 2)}:${pad(
    Math.floor(absolute / 60) % 60,
    2
  )}`
  return rest === 0 ? base : `${base}:${pad(rest, 2)}`
}

/** Microseconds from the digits after the point of an ISO time; `undefined` and `""` are zero. */
export const parseFraction = (digits: string | undefined): number => Number((digits ?? "").padEnd(6, "0"))
