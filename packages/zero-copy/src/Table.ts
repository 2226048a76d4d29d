/**
 * Tables: frames of pandas, polars and pyarrow are `apache-arrow` tables in TypeScript, and the other way round.
 *
 * They cross as an Arrow IPC stream, so that types, nulls and the pandas index arrive as they were. `Tensor` is for
 * arrays whose items are all of one type.
 *
 * apache-arrow takes about 50 ms to import, so it is loaded when the first table is met.
 */
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import type { ValueAdapter } from "@snakepit/core"
import type * as Arrow from "apache-arrow"
import * as Schema from "effect/Schema"

/** A table as it arrives from Python. */
export type Table = Arrow.Table

/** What a table becomes in Python. */
export type TableKind = "pandas" | "polars" | "pyarrow"

/** A table together with what it is to become in Python. */
export class TableAs {
  readonly table: Table
  readonly kind: TableKind

  constructor(table: Table, kind: TableKind) {
    this.table = table
    this.kind = kind
  }
}

/** What apache-arrow marks its tables with, so that they are known across its builds. */
const mark = Symbol.for("apache-arrow/Table")

const isTable = (value: unknown): value is Table => typeof value === "object" && value !== null && mark in value

const schema: Schema.declare<Table> = Schema.declare(isTable, { identifier: "Table" })

const adapter: ValueAdapter<Table | TableAs> = {
  name: "arrow",
  is: (value): value is Table | TableAs => value instanceof TableAs || isTable(value),
  encode: (value) => {
    const { kind, table } = value instanceof TableAs ? value : new TableAs(value, "pyarrow")
    return [kind, loadArrow().tableToIPC(table, "stream")]
  },
  decode: (payload) => {
    const bytes: unknown = Array.isArray(payload) && payload.length === 2 ? payload[1] : payload
    if (!(bytes instanceof Uint8Array)) throw new TypeError("expected the bytes of an Arrow IPC stream")
    return loadArrow().tableFromIPC(bytes)
  }
}

export const Table = {
  isTable,

  /** Says what a table becomes in Python: a `pandas` or `polars` frame, or a `pyarrow` table, which is the default. */
  as: (table: Table, kind: TableKind): TableAs => new TableAs(table, kind),

  /** Any table; look at its columns with `table.schema`. */
  schema,

  /** Sends tables, and those that `Table.as` has given a kind. */
  adapter
} as const

let arrow: typeof Arrow | undefined

/**
 * apache-arrow, loaded on first use and at once, since decoding cannot wait.
 *
 * It has to be the ES module, which is the one that programs import: the CommonJS build has classes of its own, and a
 * table of one is none to the other. `require` of an ES module answers that very instance.
 */
const loadArrow = (): typeof Arrow => {
  if (arrow === undefined) {
    const path = fileURLToPath(import.meta.resolve("apache-arrow"))
    // What stands at that path is the module that the type names.
    arrow = createRequire(import.meta.url)(path) as typeof Arrow
  }
  return arrow
}
