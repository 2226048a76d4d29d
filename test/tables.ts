/** Random apache-arrow tables from a seed, and what is in a table, to compare. */
import * as Arrow from "apache-arrow"
import type { Random } from "../packages/python-worker/test/generate.ts"

/** Values of a type. */
interface Kind {
  readonly type: () => Arrow.DataType
  readonly value: (random: Random) => unknown
}

const text = (random: Random) =>
  random.pick(["", "a", "蛇", "\0", "😀 longer than twelve bytes", String(random.next())])

const bytes = (random: Random) => Uint8Array.from({ length: random.integer(0, 5) }, () => random.integer(0, 255))

const big = (random: Random) =>
  random.pick([0n, -1n, 2n ** 63n - 1n, -(2n ** 63n), BigInt(random.integer(-1_000_000, 1_000_000))])

const scalars: ReadonlyArray<Kind> = [
  { type: () => new Arrow.Int8(), value: (random) => random.integer(-128, 127) },
  { type: () => new Arrow.Uint16(), value: (random) => random.integer(0, 65535) },
  { type: () => new Arrow.Int32(), value: (random) => random.integer(-(2 ** 31), 2 ** 31 - 1) },
  { type: () => new Arrow.Int64(), value: big },
  {
    type: () => new Arrow.Uint64(),
    value: (random) => random.pick([0n, 2n ** 64n - 1n, BigInt(random.integer(0, 99))])
  },
  { type: () => new Arrow.Float32(), value: (random) => Math.fround(random.next()) },
  {
    type: () => new Arrow.Float64(),
    value: (random) => random.pick([random.next(), NaN, -0, Infinity, -Infinity, 5e-324])
  },
  { type: () => new Arrow.Bool(), value: (random) => random.next() < 0.5 },
  { type: () => new Arrow.Utf8(), value: text },
  { type: () => new Arrow.LargeUtf8(), value: text },
  { type: () => new Arrow.Binary(), value: bytes },
  { type: () => new Arrow.Dictionary(new Arrow.Utf8(), new Arrow.Int32()), value: text },
  { type: () => new Arrow.DateDay(), value: (random) => new Date(random.integer(-9999, 9999) * 86_400_000) },
  { type: () => new Arrow.TimestampMillisecond("Europe/Berlin"), value: (random) => random.integer(-1e12, 1e12) },
  { type: () => new Arrow.TimestampMicrosecond(), value: (random) => random.integer(-1e12, 1e12) },
  { type: () => new Arrow.DurationNanosecond(), value: big },
  {
    type: () => new Arrow.Decimal(3, 30, 128),
    value: (random) => Uint32Array.from({ length: 4 }, (_, i) => (i < 3 ? random.integer(0, 2 ** 31) : 0))
  }
]

/** Alone only: inside other values, apache-arrow counts its nulls wrong, and Python refuses the table. */
const none: Kind = { type: () => new Arrow.Null(), value: () => null }

const nested = (kind: Kind): ReadonlyArray<Kind> => {
  const item = () => new Arrow.Field("item", kind.type(), true)
  const some = (random: Random, length: number) =>
    Array.from({ length }, () => (random.next() < 0.2 ? null : kind.value(random)))
  return [
    { type: () => new Arrow.List(item()), value: (random) => some(random, random.integer(0, 3)) },
    { type: () => new Arrow.FixedSizeList(2, item()), value: (random) => some(random, 2) },
    {
      type: () =>
        new Arrow.Struct([new Arrow.Field("x", kind.type(), true), new Arrow.Field("y", new Arrow.Int8(), true)]),
      value: (random) => ({ x: some(random, 1)[0], y: random.next() < 0.5 ? 1 : null })
    }
  ]
}

/** A table of up to four columns, which may be put together of slices. */
export const randomTable = (random: Random): Arrow.Table => {
  const length = random.integer(0, 9)
  const columns: Record<string, Arrow.Vector> = {}
  for (let i = random.integer(1, 4); i > 0; i--) {
    const scalar = random.pick(scalars)
    const inner = random.next() < 0.6 ? scalar : random.pick(nested(scalar))
    const outer = random.next() < 0.8 ? inner : random.pick(nested(inner))
    const kind = random.next() < 0.05 ? none : outer
    const values = Array.from({ length }, () => (random.next() < 0.2 ? null : kind.value(random)))
    columns[`c${i}`] = Arrow.vectorFromArray(values, kind.type())
  }
  const table = new Arrow.Table(columns)
  if (random.next() < 0.5) return table
  const cut = random.integer(0, length)
  return table.slice(cut).concat(table.slice(0, cut))
}

/** What is in a table: its types, and its values so that -0, NaN, bytes and nulls are told apart. */
export const contents = (table: Arrow.Table): unknown => ({
  types: table.schema.fields.map((field) => `${String(field.name)}: ${String(field.type)}`),
  values: table.schema.fields.map((_, i) => plain(table.getChildAt(i)))
})

const plain = (value: unknown): unknown => {
  if (value instanceof Arrow.Vector) return Array.from({ length: value.length }, (_, i) => plain(value.get(i)))
  if (value instanceof Arrow.StructRow || value instanceof Arrow.MapRow) {
    return Object.fromEntries(Object.entries(value.toJSON()).map(([key, item]) => [key, plain(item)]))
  }
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")
  return Object.is(value, -0) ? "-0" : value
}
