/**
 * A date and time of day without a zone: Python's naive `datetime.datetime`.
 *
 * It is not an instant: which one it means depends on where it was written. Effect's `DateTime` is what aware datetimes
 * become. `PlainDate` and `PlainTime` stand beside it.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { dateProblem, formatDate, formatTime, parseFraction, timeProblem } from "./internal/calendar.ts"

const TypeId = "~@snakepit/core/PlainDateTime"

const pattern = /^(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?$/

/**
 * A wall-clock time with microseconds, years 1 to 9999.
 *
 * The constructor throws a `RangeError` that names the field when there is no such day or time.
 */
export class PlainDateTime implements Equal.Equal {
  readonly year: number
  /** From 1 to 12. */
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly microsecond: number

  constructor(year: number, month: number, day: number, hour = 0, minute = 0, second = 0, microsecond = 0) {
    const problem = dateProblem(year, month, day) ?? timeProblem(hour, minute, second, microsecond)
    if (problem !== undefined) throw new RangeError(`PlainDateTime: ${problem}`)
    this.year = year
    this.month = month
    this.day = day
    this.hour = hour
    this.minute = minute
    this.second = second
    this.microsecond = microsecond
  }

  static readonly isPlainDateTime = (value: unknown): value is PlainDateTime => Predicate.hasProperty(value, TypeId)

  static readonly schema: Schema.declare<PlainDateTime> = Schema.declare(PlainDateTime.isPlainDateTime, {
    identifier: "PlainDateTime"
  })

  /** Reads `2026-03-01T12:30:00.000001`, seconds optional; throws a `RangeError` for anything else. */
  static fromStringUnsafe(text: string): PlainDateTime {
    const match = pattern.exec(text)
    if (match === null) {
      throw new RangeError(`PlainDateTime: expected YYYY-MM-DDTHH:MM[:SS[.ffffff]], got ${JSON.stringify(text)}`)
    }
    return new PlainDateTime(
      Number(match[1]),
      Number(match[2]),
      Number(match[3]),
      Number(match[4]),
      Number(match[5]),
      Number(match[6] ?? 0),
      parseFraction(match[7])
    )
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  [Equal.symbol](that: unknown): boolean {
    return (
      PlainDateTime.isPlainDateTime(that) &&
      this.year === that.year &&
      this.month === that.month &&
      this.day === that.day &&
      this.hour === that.hour &&
      this.minute === that.minute &&
      this.second === that.second &&
      this.microsecond === that.microsecond
    )
  }

  [Hash.symbol](): number {
    return Hash.string(this.toString())
  }

  /** `2026-03-01T12:30:00.000001`. */
  toString(): string {
    return `${formatDate(this.year, this.month, this.day)}T${formatTime(
      this.hour,
      this.minute,
      this.second,
      this.microsecond
    )}`
  }

  toJSON(): string {
    return this.toString()
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `PlainDateTime(${this.toString()})`
  }
}
