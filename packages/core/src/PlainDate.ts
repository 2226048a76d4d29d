/**
 * A calendar date without a time or a zone: Python's `datetime.date`.
 *
 * `PlainTime` and `PlainDateTime` stand beside it. An instant in time is Effect's `DateTime`.
 */
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { dateProblem, formatDate } from "./internal/calendar.ts"

const TypeId = "~@snakepit/core/PlainDate"

const pattern = /^(\d{4})-(\d{2})-(\d{2})$/

/**
 * A date of the proleptic Gregorian calendar, years 1 to 9999.
 *
 * The constructor throws a `RangeError` that names the field when there is no such day.
 */
export class PlainDate implements Equal.Equal {
  readonly year: number
  /** From 1 to 12. */
  readonly month: number
  /** From 1 to the length of the month. */
  readonly day: number

  constructor(year: number, month: number, day: number) {
    const problem = dateProblem(year, month, day)
    if (problem !== undefined) throw new RangeError(`PlainDate: ${problem}`)
    this.year = year
    this.month = month
    this.day = day
  }

  static readonly isPlainDate = (value: unknown): value is PlainDate => Predicate.hasProperty(value, TypeId)

  static readonly schema: Schema.declare<PlainDate> = Schema.declare(PlainDate.isPlainDate, {
    identifier: "PlainDate"
  })

  /** Reads `2026-03-01`; throws a `RangeError` for anything else. */
  static fromStringUnsafe(text: string): PlainDate {
    const match = pattern.exec(text)
    if (match === null) throw new RangeError(`PlainDate: expected YYYY-MM-DD, got ${JSON.stringify(text)}`)
    return new PlainDate(Number(match[1]), Number(match[2]), Number(match[3]))
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  [Equal.symbol](that: unknown): boolean {
    return PlainDate.isPlainDate(that) && this.year === that.year && this.month === that.month && this.day === that.day
  }

  [Hash.symbol](): number {
    return Hash.string(this.toString())
  }

  /** `2026-03-01`. */
  toString(): string {
    return formatDate(this.year, this.month, this.day)
  }

  toJSON(): string {
    return this.toString()
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `PlainDate(${this.toString()})`
  }
}
