/** How commands print: for people, or as one JSON document with `--json`. */
import { inspect } from "node:util"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"

/** Whether results are printed as JSON. */
export const Json = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON document"), Flag.withDefault(false))
})

/** Prints a result: as JSON when that was asked for, else as the text made for people. */
export const print = (value: unknown, text: (value: unknown) => string = pretty) =>
  Effect.flatMap(Json, (json) => Console.log(json ? toJson(value) : text(value)))

/** Whether to use colours on a stream: on a terminal, unless `NO_COLOR` is set (https://no-color.org). */
export const hasColors = (stream: { readonly isTTY?: boolean }): boolean =>
  stream.isTTY === true && (process.env["NO_COLOR"] ?? "") === ""

/** A value for people. */
export const pretty = (value: unknown): string =>
  typeof value === "string"
    ? value
    : inspect(value, { colors: hasColors(process.stdout), depth: 8, maxArrayLength: 1000, maxStringLength: null })

/**
 * JSON of a value that came from Python. What JSON has no form for: bytes are `{ "base64": … }`, a Map is an array of pairs, a
 * Set an array, NaN and the infinities are texts; integers of any size are digits.
 */
export const toJson = (value: unknown): string => JSON.stringify(value, replace, 2) ?? "null"

// in Node since 21, and not yet in TypeScript's library
const { rawJSON: rawJson } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }

function replace(this: unknown, _key: string, value: unknown): unknown {
  if (typeof value === "bigint") return rawJson(String(value))
  if (typeof value === "number" && !Number.isFinite(value)) return String(value)
  if (value instanceof Map || value instanceof Set) return [...value]
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") }
  return value
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
