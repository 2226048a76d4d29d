/** How commands print: for people, or as one JSON document with `--json`. */
import { Tuple } from "@snakepit/core"
import { Table, Tensor } from "@snakepit/zero-copy"
import { inspect, type InspectOptions } from "node:util"
import * as BigDecimal from "effect/BigDecimal"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import { columnsOf, itemsOf, rowsOf, Verbatim } from "./items.ts"
import { Json } from "./Json.ts"

/** Prints a result: as JSON when that was asked for, else as the text made for people. */
export const print = (value: unknown, text: (value: unknown) => string = pretty) =>
  Effect.flatMap(Json, (json) => Console.log(json ? toJson(value) : text(value)))

/** Whether to use colours on stdout: on a terminal that has them, unless `NO_COLOR` is set (https://no-color.org). */
export const hasColors = (): boolean => process.stdout.isTTY && process.stdout.hasColors()

/** A value for people. */
export const pretty = (value: unknown): string => {
  if (typeof value === "string") return value
  if (Table.isTable(value)) return describeTable(value)
  return inspectValue(value, { colors: hasColors() })
}

const inspectValue = (value: unknown, options: InspectOptions): string =>
  inspect(readable(value), { depth: 8, maxArrayLength: 1000, maxStringLength: null, ...options })

/**
 * The same value, with what comes from Python in a form to read: items of arrays, rows of tables, `b'bytes'`, decimals and
 * durations. Whatever else there is stays what it is.
 */
const readable = (value: unknown, known: Map<object, unknown> = new Map()): unknown => {
  if (typeof value !== "object" || value === null) return value
  if (known.has(value)) return known.get(value)
  const inside = (item: unknown) => readable(item, known)
  /** Known before it is filled, since what somebody typed may hold itself. */
  const fill = <A extends object>(copy: A, put: (copy: A) => void): A => {
    known.set(value, copy)
    put(copy)
    return copy
  }
  if (Tensor.isTensor(value)) return inside(itemsOf(value))
  if (Table.isTable(value)) return inside(rowsOf(value))
  if (value instanceof Uint8Array) return new Verbatim(bytesLiteral(value))
  if (BigDecimal.isBigDecimal(value)) return new Verbatim(decimalText(value))
  if (Duration.isDuration(value)) return new Verbatim(Duration.format(value))
  if (Tuple.isTuple(value)) return Tuple.fromArray(value.map(inside))
  if (Array.isArray(value)) {
    return fill<Array<unknown>>([], (copy) => value.forEach((item, index) => (copy[index] = inside(item))))
  }
  if (value instanceof Map) {
    return fill(new Map(), (copy) => value.forEach((item, key) => copy.set(inside(key), inside(item))))
  }
  if (value instanceof Set) return fill(new Set(), (copy) => value.forEach((item) => copy.add(inside(item))))
  if (Object.getPrototypeOf(value) !== Object.prototype) return value
  return fill<Record<string, unknown>>({}, (copy) => {
    for (const [name, item] of Object.entries(value)) copy[name] = inside(item)
  })
}

/** Bytes as Python writes them, of many the first. */
const bytesLiteral = (bytes: Uint8Array): string => {
  const text = Array.from(bytes.subarray(0, mostBytes), (byte) => {
    const character = String.fromCharCode(byte)
    if (character === "'" || character === "\\") return `\\${character}`
    if (byte >= 0x20 && byte < 0x7f) return character
    return escapes[character] ?? `\\x${byte.toString(16).padStart(2, "0")}`
  }).join("")
  const more = bytes.length - mostBytes
  return more > 0 ? `b'${text}'... ${more} more bytes` : `b'${text}'`
}

const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

/** What is shown of bytes at most. */
const mostBytes = 1000

/** A decimal as Python writes it, with all the digits that it has: `1.10`. */
const decimalText = ({ scale, value }: BigDecimal.BigDecimal): string => {
  const sign = value < 0n ? "-" : ""
  const digits = String(value < 0n ? -value : value)
  /** The power of ten of the first digit. */
  const power = digits.length - 1 - scale
  if (scale < 0 || power < -6) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : ""
    return `${sign}${digits[0]}${fraction}E${power < 0 ? "" : "+"}${power}`
  }
  if (scale === 0) return sign + digits
  const padded = digits.padStart(scale + 1, "0")
  return `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`
}

/** What is shown of a table at most. */
const mostRows = 20

const describeTable = (value: Table): string => {
  const columns = columnsOf(value.slice(0, mostRows))
  const names = value.schema.fields.map(({ name }) => String(name))
  const rows = Array.from({ length: Math.min(value.numRows, mostRows) }, (_, row) =>
    columns.map((column) => cellOf(column[row]))
  )
  return [table([names, ...rows]), `${value.numRows} rows`].join("\n")
}

/** A value in one line. */
const cellOf = (value: unknown): string =>
  typeof value === "string" || typeof value === "bigint"
    ? String(value)
    : inspectValue(value, { breakLength: Infinity, compact: true })

/**
 * JSON of a value that came from Python. What JSON has no form for: arrays and tables are arrays of their items and rows, bytes
 * are `{ "base64": … }`, a Map is an array of pairs, a Set an array, times are texts of ISO 8601, durations are seconds; decimals,
 * NaN and the infinities are texts; integers of any size are digits; what is missing is null.
 */
export const toJson = (value: unknown): string => JSON.stringify(value, replace, 2) ?? "null"

// in Node since 21, and not yet in TypeScript's library
const { rawJSON: rawJson } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }

function replace(this: unknown, key: string, json: unknown): unknown {
  // what it was before its own `toJSON`
  const value = Predicate.hasProperty(this, key) ? this[key] : json
  if (typeof value === "bigint") return rawJson(String(value))
  if (Object.is(value, -0)) return rawJson("-0.0")
  if (typeof value === "number" && !Number.isFinite(value)) return String(value)
  if (Tensor.isTensor(value)) return itemsOf(value)
  if (Table.isTable(value)) return rowsOf(value)
  if (Duration.isDuration(value)) return Duration.toSeconds(value)
  if (BigDecimal.isBigDecimal(value)) return decimalText(value)
  if (value instanceof Map || value instanceof Set) return [...value]
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") }
  return json
}

/** Columns of text, each as wide as its widest cell. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths: Array<number> = []
  for (const row of rows) row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, cell.length)))
  return rows
    .map((row) =>
      row
        .map((cell, index) => cell.padEnd(widths[index] ?? 0))
        .join("  ")
        .trimEnd()
    )
    .join("\n")
}
