import { assert, describe, it } from "@effect/vitest"
import * as Arrow from "apache-arrow"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { Storage, Table } from "../src/index.ts"

const table = Arrow.tableFromArrays({ id: Int32Array.of(1, 2, 3), name: ["a", null, "c"] })

const rows = (value: unknown): ReadonlyArray<string> => (Table.isTable(value) ? value.toArray().map(String) : [])

/** What the codec makes of an adapter's payload when nothing is shared. */
const inline = (payload: unknown): unknown => {
  if (Array.isArray(payload)) return payload.map(inline)
  if (!(payload instanceof Storage.Unwritten)) return payload
  const room = new Uint8Array(payload.byteLength)
  payload.write(room)
  return room
}

const encoded = (value: Parameters<typeof Table.adapter.encode>[0]): unknown => inline(Table.adapter.encode(value))

const streamOf = (value: Table): Uint8Array => {
  const bytes = encoded(value)
  return bytes instanceof Uint8Array ? bytes : assert.fail("expected the bytes of a stream")
}

/** The buffers that the values of a column lie in. */
const memoryOf = (value: Table, name: string): ReadonlyArray<ArrayBufferLike> =>
  value.getChild(name)?.data.map((data) => data.values.buffer) ?? []

const issue = <A>(schema: Schema.Decoder<A>, value: unknown): string => {
  const exit = Schema.decodeUnknownExit(schema)(value)
  return Exit.isFailure(exit) ? String(exit.cause) : assert.fail("expected it to fail")
}

describe("Table", () => {
  it("decodes what it encodes, to the same apache-arrow that programs import", () => {
    const decoded = Table.adapter.decode(encoded(table))
    assert.isTrue(decoded instanceof Arrow.Table)
    assert.deepStrictEqual(rows(decoded), rows(table))
    assert.strictEqual(rows(decoded).length, 3)
  })

  it("writes the stream that apache-arrow does", () => {
    assert.deepStrictEqual(streamOf(table), Arrow.tableToIPC(table, "stream"))
  })

  it("decodes bare bytes, as Python sends them", () => {
    assert.deepStrictEqual(rows(Table.adapter.decode(Arrow.tableToIPC(table, "stream"))), rows(table))
  })

  it("reads columns in place, wherever the bytes begin at a multiple of 8", () => {
    const large = Arrow.tableFromArrays({
      x: Float64Array.from({ length: 2000 }, (_, i) => i / 2),
      y: new Int8Array(2000)
    })
    const bytes = streamOf(large.concat(large))
    for (const offset of [0, 8, 64, 4096]) {
      const memory = new ArrayBuffer(bytes.length + offset + 8)
      const view = new Uint8Array(memory, offset, bytes.length)
      view.set(bytes)
      const decoded = Table.adapter.decode(view)
      if (!Table.isTable(decoded)) return assert.fail("expected a table")
      for (const name of ["x", "y"]) assert.deepStrictEqual(new Set(memoryOf(decoded, name)), new Set([memory]))
      // what changes in the memory changes in the table
      const [first] = decoded.getChild("y")?.data ?? []
      new Uint8Array(memory, first?.values.byteOffset, 1)[0] = 7
      assert.strictEqual(decoded.getChild("y")?.get(0), 7)
    }
  })

  it("decodes bytes wherever they begin in memory", () => {
    const large = Arrow.tableFromArrays({ x: Float64Array.from({ length: 2000 }, (_, i) => i / 2) })
    const bytes = Arrow.tableToIPC(large, "stream")
    for (let offset = 0; offset < 8; offset++) {
      const memory = new Uint8Array(bytes.length + offset)
      memory.set(bytes, offset)
      assert.deepStrictEqual(rows(Table.adapter.decode(memory.subarray(offset))), rows(large))
    }
  })

  it("leaves it to Python what a table becomes, unless it is said", () => {
    const kindOf = (payload: unknown) => (Array.isArray(payload) ? payload[0] : undefined)
    assert.isUndefined(kindOf(encoded(table)))
    for (const kind of ["pandas", "polars", "pyarrow"] as const) {
      assert.strictEqual(kindOf(encoded(Table.as(table, kind))), kind)
    }
  })

  it("is told from everything else", () => {
    assert.isTrue(Table.adapter.is(table))
    assert.isTrue(Table.adapter.is(Table.as(table, "pandas")))
    for (const other of [null, {}, [], table.schema, table.batches[0], new Uint8Array(1)]) {
      assert.isFalse(Table.adapter.is(other))
    }
    assert.isTrue(Schema.is(Table.schema())(table))
    assert.isFalse(Schema.is(Table.schema())({}))
  })

  it("refuses what is no stream", () => {
    const cut = streamOf(table)
    for (const payload of [
      null,
      "a",
      ["pandas"],
      Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      new Uint8Array(0),
      new Uint8Array(8),
      cut.subarray(0, 100),
      cut.subarray(0, cut.length - 20)
    ]) {
      assert.throws(() => Table.adapter.decode(payload))
    }
  })

  it("keeps the rows of a table without columns, and the columns of one without rows", () => {
    const empty = Table.adapter.decode(streamOf(table.slice(0, 0)))
    assert.deepStrictEqual(Table.isTable(empty) ? [empty.numCols, empty.numRows] : [], [2, 0])
    const bare = Table.adapter.decode(streamOf(new Arrow.Table(new Arrow.Schema([]))))
    assert.deepStrictEqual(Table.isTable(bare) ? [bare.numCols, bare.numRows] : [], [0, 0])
  })

  it("copies a table into memory of its own", () => {
    const copy = Table.toOwned(table)
    assert.deepStrictEqual(rows(copy), rows(table))
    assert.notDeepEqual(memoryOf(copy, "id"), memoryOf(table, "id"))
    assert.isFalse(Table.isShared(copy))
    Table.close(copy)
    assert.strictEqual(copy.getChild("id")?.get(0), 1)
  })
})

describe("Table.schema", () => {
  const Sales = Table.schema({ id: "int32", name: Table.nullable("string") })

  it("gives the types of columns and rows", () => {
    const sales = Schema.decodeUnknownSync(Sales)(table)
    const names: Array<string | null> = []
    let sum = 0
    for (const { id, name } of sales) {
      sum += id
      names.push(name)
    }
    const ids: Int32Array | undefined = sales.getChild("id")?.toArray()
    assert.deepStrictEqual([sum, names, ids], [6, ["a", null, "c"], Int32Array.of(1, 2, 3)])
  })

  it("says which columns are missing, of another type, or hold nulls", () => {
    assert.include(issue(Table.schema({ price: "float64" }), table), 'a column "price" of float64 (there are id, name)')
    assert.include(issue(Table.schema({ id: "int64" }), table), 'a column "id" of int64 (it is Int32)')
    assert.include(
      issue(Table.schema({ name: "string" }), table),
      'a column "name" without nulls (it has 1; allow them with Table.nullable)'
    )
    assert.include(issue(Table.schema({ id: "int32" }, { exact: true }), table), 'no column "name"')
    assert.include(issue(Table.schema({ id: "int64", price: "bool" }), table), 'a column "price" of bool')
  })

  it("allows columns that it does not name, unless it is exact", () => {
    assert.isTrue(Schema.is(Table.schema({ id: "int32" }))(table))
    assert.isFalse(Schema.is(Table.schema({ id: "int32" }, { exact: true }))(table))
    assert.isTrue(Schema.is(Table.schema({ id: "int32", name: Table.nullable("string") }, { exact: true }))(table))
  })

  it("takes all encodings of the same values for one type", () => {
    const types: ReadonlyArray<readonly [Parameters<typeof Table.nullable>[0], ReadonlyArray<Arrow.DataType>]> = [
      ["string", [new Arrow.Utf8(), new Arrow.LargeUtf8(), new Arrow.Dictionary(new Arrow.Utf8(), new Arrow.Int8())]],
      ["binary", [new Arrow.Binary(), new Arrow.LargeBinary(), new Arrow.FixedSizeBinary(2)]],
      ["timestamp", [new Arrow.TimestampSecond(), new Arrow.TimestampNanosecond("UTC")]],
      ["date", [new Arrow.DateDay(), new Arrow.DateMillisecond()]],
      ["time", [new Arrow.TimeSecond(), new Arrow.TimeNanosecond()]],
      ["duration", [new Arrow.DurationMillisecond()]],
      ["decimal", [new Arrow.Decimal(2, 9, 128), new Arrow.Decimal(2, 9, 256)]],
      ["bool", [new Arrow.Bool()]],
      ["int64", [new Arrow.Int64()]],
      ["uint8", [new Arrow.Uint8()]],
      ["float16", [new Arrow.Float16()]]
    ]
    for (const [name, encodings] of types) {
      for (const type of encodings) {
        const field = new Arrow.Table(new Arrow.Schema([new Arrow.Field("c", type)]))
        for (const [other] of types) {
          assert.strictEqual(
            Schema.is(Table.schema({ c: other }))(field),
            other === name,
            `${String(type)} as ${String(other)}`
          )
        }
      }
    }
  })

  it("takes a type of apache-arrow for exactly that", () => {
    const lists = new Arrow.List(new Arrow.Field("item", new Arrow.Int32(), true))
    const field = new Arrow.Table(
      new Arrow.Schema([new Arrow.Field("c", lists), new Arrow.Field("d", new Arrow.Decimal(2, 9, 256))])
    )
    assert.isTrue(Schema.is(Table.schema({ c: lists }))(field))
    assert.isFalse(Schema.is(Table.schema({ c: new Arrow.Utf8() }))(field))
    assert.isTrue(Schema.is(Table.schema({ d: new Arrow.Decimal(2, 9, 256) }))(field))
    assert.isFalse(Schema.is(Table.schema({ d: new Arrow.Decimal(2, 9, 128) }))(field))
    const filled = new Arrow.Table({ c: Arrow.vectorFromArray([[1, 2]], lists) })
    const typed = Schema.decodeUnknownSync(Table.schema({ c: lists }))(filled)
    const first: Arrow.Vector<Arrow.Int32> | null | undefined = typed.getChild("c")?.get(0)
    assert.deepStrictEqual(first?.toArray(), Int32Array.of(1, 2))
  })
})
