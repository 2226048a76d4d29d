/** Columns of tables as `Table.schema` describes them: which types they may have, and whether they may hold nulls. */
import type * as Arrow from "apache-arrow"
import { loadArrow } from "./arrow.ts"

/** The types that a column can be said to have by name. Each stands for all encodings of the same values. */
export interface ColumnTypes {
  readonly bool: Arrow.Bool
  readonly int8: Arrow.Int8
  readonly int16: Arrow.Int16
  readonly int32: Arrow.Int32
  readonly int64: Arrow.Int64
  readonly uint8: Arrow.Uint8
  readonly uint16: Arrow.Uint16
  readonly uint32: Arrow.Uint32
  readonly uint64: Arrow.Uint64
  readonly float16: Arrow.Float16
  readonly float32: Arrow.Float32
  readonly float64: Arrow.Float64
  readonly string: Arrow.Utf8 | Arrow.LargeUtf8 | Arrow.Utf8View | Arrow.Dictionary<Arrow.Utf8 | Arrow.LargeUtf8>
  readonly binary: Arrow.Binary | Arrow.LargeBinary | Arrow.BinaryView | Arrow.FixedSizeBinary
  readonly date: Arrow.Date_
  readonly time: Arrow.Time
  readonly timestamp: Arrow.Timestamp
  readonly duration: Arrow.Duration
  readonly decimal: Arrow.Decimal
}

/** A column that may hold nulls. */
export class NullableColumn<out Type extends keyof ColumnTypes | Arrow.DataType> {
  readonly type: Type

  constructor(type: Type) {
    this.type = type
  }
}

/** What a column is to be: the name of its type, or exactly a type of apache-arrow; without nulls unless it says so. */
export type Column =
  | keyof ColumnTypes
  | Arrow.DataType
  | NullableColumn<keyof ColumnTypes>
  | NullableColumn<Arrow.DataType>

export type Columns = Readonly<Record<string, Column>>

type TypeOf<C> = C extends keyof ColumnTypes ? ColumnTypes[C] : C extends Arrow.DataType ? C : never

/** A type whose values may be null. */
export type NullOr<T extends Arrow.DataType> = Omit<T, "TValue"> & { readonly TValue: T["TValue"] | null }

/** The types of columns that were described so, by name: what apache-arrow makes the types of rows from. */
export type TypesOf<C extends Columns> = {
  -readonly [Name in keyof C & string]: C[Name] extends NullableColumn<infer Type>
    ? NullOr<TypeOf<Type>>
    : TypeOf<C[Name]>
}

/** What the columns of a table are not, but should be. */
export const problems = (table: Arrow.Table, columns: Columns, isExact: boolean): ReadonlyArray<string> => {
  const found: Array<string> = []
  const names = table.schema.fields.map((field) => String(field.name))
  for (const [name, column] of Object.entries(columns)) {
    const field = table.schema.fields[names.indexOf(name)]
    const wanted = column instanceof NullableColumn ? column.type : column
    const quoted = JSON.stringify(name)
    if (field === undefined) {
      found.push(`a column ${quoted} of ${describe(wanted)} (there are ${names.join(", ") || "none"})`)
    } else if (!matches(wanted, field.type)) {
      found.push(`a column ${quoted} of ${describe(wanted)} (it is ${describe(field.type)})`)
    } else if (!(column instanceof NullableColumn)) {
      const nulls = table.getChild(name)?.nullCount ?? 0
      if (nulls > 0) found.push(`a column ${quoted} without nulls (it has ${nulls}; allow them with Table.nullable)`)
    }
  }
  for (const name of isExact ? names : []) {
    if (!Object.hasOwn(columns, name)) found.push(`no column ${JSON.stringify(name)}`)
  }
  return found
}

/** A type as apache-arrow prints it, and what it leaves out. */
const describe = (type: keyof ColumnTypes | Arrow.DataType): string => {
  if (typeof type === "string") return type
  return loadArrow().DataType.isDecimal(type) ? `${String(type)} of ${type.bitWidth} bits` : String(type)
}

const matches = (wanted: keyof ColumnTypes | Arrow.DataType, type: Arrow.DataType): boolean =>
  typeof wanted === "string" ? isOf(wanted, type) : describe(wanted) === describe(type)

const isOf = (name: keyof ColumnTypes, type: Arrow.DataType): boolean => {
  const { DataType } = loadArrow()
  switch (name) {
    case "bool":
      return DataType.isBool(type)
    case "string":
      return isText(DataType.isDictionary(type) ? type.dictionary : type)
    case "binary":
      return (
        DataType.isBinary(type) ||
        DataType.isLargeBinary(type) ||
        DataType.isBinaryView(type) ||
        DataType.isFixedSizeBinary(type)
      )
    case "date":
      return DataType.isDate(type)
    case "time":
      return DataType.isTime(type)
    case "timestamp":
      return DataType.isTimestamp(type)
    case "duration":
      return DataType.isDuration(type)
    case "decimal":
      return DataType.isDecimal(type)
    default:
      // the names of numbers are those of their types
      return (DataType.isInt(type) || DataType.isFloat(type)) && String(type).toLowerCase() === name
  }
}

const isText = (type: Arrow.DataType): boolean => {
  const { DataType } = loadArrow()
  return DataType.isUtf8(type) || DataType.isLargeUtf8(type) || DataType.isUtf8View(type)
}
