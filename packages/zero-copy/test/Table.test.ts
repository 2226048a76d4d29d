import { assert, describe, it } from "@effect/vitest"
import * as Arrow from "apache-arrow"
import * as Schema from "effect/Schema"
import { Table } from "../src/index.ts"

const table = Arrow.tableFromArrays({ id: Int32Array.of(1, 2, 3), name: ["a", null, "c"] })

const rows = (value: unknown): ReadonlyArray<string> => (Table.isTable(value) ? value.toArray().map(String) : [])

describe("Table", () => {
  it("decodes what it encodes, to the same apache-arrow that programs import", () => {
    const decoded = Table.adapter.decode(Table.adapter.encode(table))
    assert.isTrue(decoded instanceof Arrow.Table)
    assert.deepStrictEqual(rows(decoded), rows(table))
    assert.strictEqual(rows(decoded).length, 3)
  })

  it("decodes bare bytes, as Python sends them", () => {
    assert.deepStrictEqual(rows(Table.adapter.decode(Arrow.tableToIPC(table, "stream"))), rows(table))
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

  it("becomes a pyarrow table in Python unless it is said otherwise", () => {
    const kindOf = (payload: unknown) => (Array.isArray(payload) ? payload[0] : undefined)
    assert.strictEqual(kindOf(Table.adapter.encode(table)), "pyarrow")
    assert.strictEqual(kindOf(Table.adapter.encode(Table.as(table, "pandas"))), "pandas")
    assert.strictEqual(kindOf(Table.adapter.encode(Table.as(table, "polars"))), "polars")
  })

  it("is told from everything else", () => {
    assert.isTrue(Table.adapter.is(table))
    assert.isTrue(Table.adapter.is(Table.as(table, "pandas")))
    for (const other of [null, {}, [], table.schema, table.batches[0], new Uint8Array(1)]) {
      assert.isFalse(Table.adapter.is(other))
    }
    assert.isTrue(Schema.is(Table.schema)(table))
    assert.isFalse(Schema.is(Table.schema)({}))
  })

  it("refuses what is no stream", () => {
    for (const payload of [null, "a", ["pandas"], Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)]) {
      assert.throws(() => Table.adapter.decode(payload))
    }
  })
})
