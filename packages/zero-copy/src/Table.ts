/**
 * Tables: frames of pandas, polars and pyarrow are `apache-arrow` tables in TypeScript, and the other way round.
 *
 * They cross as an Arrow IPC stream, so that types, nulls and the pandas index arrive as they were. Large ones lie in memory
 * that both sides see, where columns are read in place. `Tensor` is for arrays whose items are all of one type.
 *
 * apache-arrow takes about 50 ms to import, so it is loaded when the first table is met.
 */
import type { ValueAdapter } from "@snakepit/core"
import type * as Arrow from "apache-arrow"
import type * as BigDecimal from "effect/BigDecimal"
import * as Schema from "effect/Schema"
import { type DecimalColumn, decimalsOf } from "./internal/decimals.ts"
import { leaseOf, streamOf, tableOf } from "./internal/arrowStream.ts"
import { type Columns, type ColumnTypes, NullableColumn, problems, type TypesOf } from "./internal/columns.ts"
import { isBytes, Part } from "./Storage.ts"

export type { Column, Columns, ColumnTypes, NullableColumn, NullOr, TypesOf } from "./internal/columns.ts"

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

function schema(): Schema.declare<Table>
function schema<const C extends Columns>(
  columns: C,
  options?: { readonly exact?: boolean | undefined }
): Schema.declare<Arrow.Table<TypesOf<C>>>
function schema(columns: Columns = {}, options: { readonly exact?: boolean | undefined } = {}): Schema.declare<Table> {
  return Schema.declare(isTable, { identifier: "Table", expected: "Table" }).check(
    Schema.makeFilter((table) =>
      problems(table, columns, options.exact === true).map((problem) => `Expected ${problem}`)
    )
  )
}

const adapter: ValueAdapter<Table | TableAs> = {
  name: "arrow",
  is: (value): value is Table | TableAs => value instanceof TableAs || isTable(value),
  encode: (value) => {
    const table = value instanceof TableAs ? value.table : value
    const lease = leaseOf(table)
    const stream = lease === undefined ? streamOf(table) : new Part(lease)
    return value instanceof TableAs ? [value.kind, stream] : stream
  },
  decode: (payload) => {
    const bytes: unknown = Array.isArray(payload) && payload.length === 2 ? payload[1] : payload
    if (!isBytes(bytes)) throw new TypeError("expected the bytes of an Arrow IPC stream")
    return tableOf(bytes)
  }
}

export const Table = {
  isTable,

  /**
   * Says what a table becomes in Python: a `pandas` or `polars` frame, or a `pyarrow` table. Without it, the annotation of
   * the parameter decides (`pandas.DataFrame`, `polars.LazyFrame`, ...), and a table becomes a pyarrow one where there is none.
   */
  as: (table: Table, kind: TableKind): TableAs => new TableAs(table, kind),

  /**
   * Matches tables with at least these columns; with `exact`, no others. `Table.schema()` matches any table.
   *
   * A column is described by the name of its type, which stands for all encodings of the same values (a `string` may be a
   * dictionary), or by a type of apache-arrow, which has to be exactly that one. It must not hold nulls, unless it is
   * {@link Table.nullable}. The table's type gives those of its columns and rows.
   *
   * **Example** (Rows with types)
   *
   * ```ts
   * const Sales = Table.schema({ price: "float64", sold: "int32", shop: Table.nullable("string") })
   * const sales = yield* Snakepit.call("shop.sales", { success: Sales })
   * for (const { price, shop, sold } of sales) console.log(shop ?? "online", price * sold)
   * ```
   */
  schema,

  /** A column that may hold nulls, in {@link Table.schema}. */
  nullable: <const Type extends keyof ColumnTypes | Arrow.DataType>(type: Type): NullableColumn<Type> =>
    new NullableColumn(type),

  /**
   * The items of a column of decimals of any width, exactly; null where there is none. apache-arrow itself gives their words
   * of 32 bits, without sign and scale.
   */
  decimals: (column: DecimalColumn): Array<BigDecimal.BigDecimal | null> => decimalsOf(column),

  /** Whether a table lies in shared memory, which ends with the scope of the `ZeroCopy.scoped` that it arrived in. */
  isShared: (table: Table): boolean => leaseOf(table) !== undefined,

  /** A copy in memory of this process, which no scope ends. Throws `LeaseClosed` when the table's memory is gone. */
  toOwned: (table: Table): Table => {
    const stream = streamOf(table)
    const bytes = new Uint8Array(stream.byteLength)
    stream.write(bytes)
    return tableOf(bytes)
  },

  /**
   * Gives the shared memory of a table back before its scope ends: whoever looks into the table or a column of it is told from
   * then on. Does nothing for a table that is not in shared memory. Throws `LeaseClosed` when that has ended already.
   */
  close: (table: Table): void => leaseOf(table)?.close(),

  /** Sends tables, and those that `Table.as` has given a kind. */
  adapter
} as const
