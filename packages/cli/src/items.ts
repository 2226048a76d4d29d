/**
 * What stands in arrays and tables, as the values that single results are: durations, decimals, times as text. numpy and Arrow
 * hold them as counts of their unit.
 */
import { type DType, Table, type Tensor } from "@snakepit/zero-copy"
import type * as Arrow from "apache-arrow"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import * as Duration from "effect/Duration"

/** A text that is shown as it is, without quotes, where values are shown. */
export class Verbatim {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }

  toJSON(): string {
    return this.text
  }

  [inspect.custom](): string {
    return this.text
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Arrays
// ---------------------------------------------------------------------------------------------------------------------

/** The items of an array, nested as its shape says. */
export const itemsOf = (tensor: Tensor): unknown => itemsAs(tensor.dtype, tensor.toNested())

/** Items, nested or alone, of a dtype. */
const itemsAs = (dtype: DType, value: unknown): unknown => {
  if (typeof dtype === "string" && !times.test(dtype)) return value
  if (Array.isArray(value)) return value.map((item) => itemsAs(dtype, item))
  if (typeof dtype === "string") return typeof value === "bigint" ? countAs(dtype, value) : value
  const field = (name: string): DType | undefined =>
    dtype.find(([label]) => (typeof label === "string" ? label : label[1]) === name)?.[1]
  return Object.fromEntries(
    Object.entries(Object(value)).map(([name, item]) => [name, itemsAs(field(name) ?? "", item)])
  )
}

/** The dtypes of datetime64 and timedelta64. */
const times = /^.([mM])8(?:\[(\d*)(\w+)\])?$/

/** What a count means in an array of times. */
const countAs = (dtype: string, value: bigint): unknown => {
  const [, kind, step = "", unit = ""] = times.exec(dtype) ?? []
  if (value === notATime) return null
  const length = nanoseconds[unit]
  if (length === undefined) return value
  const time = value * BigInt(step === "" ? 1 : step) * length
  if (kind === "m") return Duration.nanos(time)
  return unit === "D" || unit === "W" ? dateOf(time) : timestampOf(time, "")
}

/** numpy's `NaT`. */
const notATime = -(2n ** 63n)

const second = 1_000_000_000n
const day = 86_400n * second

/** The units of numpy that have one length, in nanoseconds; years and months have none. */
const nanoseconds: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1000n,
  ms: 1_000_000n,
  s: second,
  m: 60n * second,
  h: 3600n * second,
  D: day,
  W: 7n * day
}

// ---------------------------------------------------------------------------------------------------------------------
// Tables
// ---------------------------------------------------------------------------------------------------------------------

/** The columns of a table, in order. */
export const columnsOf = (table: Table): ReadonlyArray<ReadonlyArray<unknown>> =>
  table.schema.fields.map((_field, index) => {
    const column = table.getChildAt(index)
    return column === null ? [] : columnItems(column)
  })

/** The rows of a table, as objects. */
export const rowsOf = (table: Table): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  rows(
    table.schema.fields.map(({ name }) => String(name)),
    columnsOf(table),
    table.numRows
  )

const rows = (names: ReadonlyArray<string>, columns: ReadonlyArray<ReadonlyArray<unknown>>, count: number) =>
  Array.from({ length: count }, (_, row) =>
    Object.fromEntries(names.map((name, index) => [name, columns[index]?.[row]]))
  )

const columnItems = (column: Arrow.Vector): ReadonlyArray<unknown> => {
  const { DataType, MapRow, Vector } = arrow()
  const { type } = column
  if (DataType.isTimestamp(type)) {
    const zone = (type.timezone ?? "") === "" ? "" : "Z"
    return counts(column, (count) => timestampOf(count * unitLength(type), zone))
  }
  if (DataType.isDuration(type)) return counts(column, (count) => Duration.nanos(count * unitLength(type)))
  if (DataType.isTime(type)) return counts(column, (count) => timeOf(count * unitLength(type)))
  if (DataType.isDate(type)) return counts(column, (count) => dateOf(count * (type.unit === 0 ? day : 1_000_000n)))
  if (DataType.isDecimal(type)) return Table.decimals(column)
  if (DataType.isStruct(type)) {
    const children = type.children.map((_field, index) => column.getChildAt(index))
    const names = type.children.map(({ name }) => String(name))
    const columns = children.map((child) => (child === null ? [] : columnItems(child)))
    return rows(names, columns, column.length).map((row, index) => (column.isValid(index) ? row : null))
  }
  return Array.from(column, (item: unknown) => {
    if (item instanceof Vector) return columnItems(item)
    if (item instanceof MapRow) return new Map(item)
    return typeof item === "bigint" && Number.isSafeInteger(Number(item)) ? Number(item) : item
  })
}

/** What counts of a unit mean, where they are not null. */
const counts = (column: Arrow.Vector, meaning: (count: bigint) => unknown): ReadonlyArray<unknown> =>
  column.data.flatMap((data) =>
    Array.from({ length: data.length }, (_, index) =>
      data.getValid(index) ? meaning(BigInt(data.values[index])) : null
    )
  )

/** In nanoseconds: units are numbered from the second on, each a thousandth of the one before it. */
const unitLength = ({ unit }: Arrow.Timestamp | Arrow.Duration | Arrow.Time): bigint => second / 1000n ** BigInt(unit)

/** Loaded when there is a table: it takes 50 ms. The ES module, as in zero-copy: tables are made with its classes. */
const arrow = (): typeof Arrow =>
  // what stands at that path is the module that the type names
  createRequire(import.meta.url)(fileURLToPath(import.meta.resolve("apache-arrow"))) as typeof Arrow

// ---------------------------------------------------------------------------------------------------------------------
// Times, from nanoseconds since 1970 or midnight
// ---------------------------------------------------------------------------------------------------------------------

const timestampOf = (time: bigint, zone: string): Verbatim => {
  const ofDay = ((time % day) + day) % day
  return new Verbatim(`${dateOf(time).text}T${timeOf(ofDay).text}${zone}`)
}

/** JavaScript has dates for 270,000 years, numpy has more. */
const dateOf = (time: bigint): Verbatim => {
  const days = (time - (((time % day) + day) % day)) / day
  const date = new Date(Number(days) * 86_400_000)
  return new Verbatim(
    Number.isNaN(date.getTime()) ? `1970-01-01 + ${days} days` : date.toISOString().replace(/T.*/, "")
  )
}

const timeOf = (time: bigint): Verbatim => {
  const clock = new Date(Number(time / 1_000_000n)).toISOString().slice(11, 19)
  const fraction = String(time % second)
    .padStart(9, "0")
    .replace(/(000)+$/, "")
  return new Verbatim(fraction === "" ? clock : `${clock}.${fraction}`)
}
