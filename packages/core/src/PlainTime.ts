/**
 * A time of day: Python's `datetime.time`. `PlainDate` and `PlainDateTime` stand beside it.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { formatOffset, formatTime, offsetProblem, parseFraction, timeProblem } from "./internal/calendar.ts"

const TypeId = "~@snakepit/core/PlainTime"

const pattern = /^(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,6}))?)?$/

/**
 * A time of day with microseconds.
 *
 * Python's times may have an offset from UTC, and it may come from a named zone. Both are null for a naive time. A named
 * zone whose offset depends on the date has none for a time alone, and such a time does not cross.
 *
 * The constructor throws a `RangeError` that names the field when there is no such time.
 */
export class PlainTime implements Equal.Equal {
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly microsecond: number
  /** Seconds east of UTC, below a day in size. */
  readonly offset: number | null
  /** IANA key, like `Etc/GMT-3`; only together with an offset. */
  readonly zone: string | null

  constructor(
    hour: number,
    minute: number,
    second = 0,
    microsecond = 0,
    offset: number | null = null,
    zone: string | null = null
  ) {
    const problem =
      timeProblem(hour, minute, second, microsecond) ??
      (offset !== null ? offsetProblem(offset) : zone !== null ? "a zone needs its offset" : undefined)
    if (problem !== undefined) throw new RangeError(`PlainTime: ${problem}`)
    this.hour = hour
    this.minute = minute
    this.second = second
    this.microsecond = microsecond
    this.offset = offset
    this.zone = zone
  }

  static readonly isPlainTime = (value: unknown): value is PlainTime => Predicate.hasProperty(value, TypeId)

  static readonly schema: Schema.declare<PlainTime> = Schema.declare(PlainTime.isPlainTime, {
    identifier: "PlainTime"
  })

  /** Reads a naive `12:30`, `12:30:00` or `12:30:00.000001`; throws a `RangeError` for anything else. */
  static fromStringUnsafe(text: string): PlainTime {
    const match = pattern.exec(text)
    if (match === null) throw new RangeError(`PlainTime: expected HH:MM[:SS[.ffffff]], got ${JSON.stringify(text)}`)
    return new PlainTime(Number(match[1]), Number(match[2]), Number(match[3] ?? 0), parseFraction(match[4]))
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  [Equal.symbol](that: unknown): boolean {
    return (
      PlainTime.isPlainTime(that) &&
      this.hour === that.hour &&
      this.minute === that.minute &&
      this.second === that.second &&
      this.microsecond === that.microsecond &&
      this.offset === that.offset &&
      this.zone === that.zone
    )
  }

  [Hash.symbol](): number {
    return Hash.string(this.toString())
  }

  /** `12:30:00`, `12:30:00.000001+01:00` or `12:30:00+03:00[Etc/GMT-3]`. */
  toString(): string {
    return (
      formatTime(this.hour, this.minute, this.second, this.microsecond) +
      (this.offset === null ? "" : formatOffset(this.offset)) +
      (this.zone === null ? "" : `[${this.zone}]`)
    )
  }

  toJSON(): string {
    return this.toString()
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `PlainTime(${this.toString()})`
  }
}
