/** How commands print: for people, or as one JSON document with `--json`. */
import { Table, Tensor } from "@snakepit/zero-copy"
import { inspect } from "node:util"
import * as BigDecimal from "effect/BigDecimal"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
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
  const shown = Tensor.isTensor(value) ? value.toNested() : value
  return inspect(shown, { colors: hasColors(), depth: 8, maxArrayLength: 1000, maxStringLength: null })
}

/** What is shown of a table at most. */
const mostRows = 20

const describeTable = (value: Table): string => {
  const columns = value.schema.fields.map(({ name }) => name)
  const rows = Array.from({ length: Math.min(value.numRows, mostRows) }, (_, index) =>
    value.schema.fields.map((_field, column) => cellOf(value.getChildAt(column)?.get(index)))
  )
  return [table([columns, ...rows]), `${value.numRows} rows`].join("\n")
}

const cellOf = (value: unknown): string =>
  typeof value === "string" || typeof value === "bigint" ? String(value) : inspect(value)

/**
 * JSON of a value that came from Python. What JSON has no form for: arrays and tables are arrays of their items and rows, bytes
 * are `{ "base64": … }`, a Map is an array of pairs, a Set an array, durations are seconds; decimals, NaN and the infinities are
 * texts; integers of any size are digits.
 */
export const toJson = (value: unknown): string => JSON.stringify(value, replace, 2) ?? "null"

// in Node since 21, and not yet in TypeScript's library
const { rawJSON: rawJson } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }

function replace(this: unknown, key: string, json: unknown): unknown {
  // what it was before its own `toJSON`
  const value = Predicate.hasProperty(this, key) ? this[key] : json
  if (typeof value === "bigint") return rawJson(String(value))
  if (typeof value === "number" && !Number.isFinite(value)) return String(value)
  if (Tensor.isTensor(value)) return value.toNested()
  if (Table.isTable(value)) return value.toArray()
  if (Duration.isDuration(value)) return Duration.toSeconds(value)
  if (BigDecimal.isBigDecimal(value)) return BigDecimal.format(value)
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
