import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { Tuple } from "../src/Tuple.ts"

describe("Tuple", () => {
  it("is an array that knows it is a tuple", () => {
    const tuple = Tuple.make(1, "a")
    assert.isTrue(Array.isArray(tuple))
    assert.isTrue(Tuple.isTuple(tuple))
    assert.strictEqual(tuple.length, 2)
    assert.deepStrictEqual([...tuple], [1, "a"])
    const second: string = tuple[1]
    assert.strictEqual(second, "a")
  })

  it("holds a single number as an item, not as a length", () => {
    assert.deepStrictEqual([...Tuple.make(3)], [3])
    assert.deepStrictEqual([...Tuple.fromArray([3])], [3])
  })

  it("is copied from an array", () => {
    const items = [1, 2]
    const tuple = Tuple.fromArray(items)
    items.push(3)
    assert.deepStrictEqual([...tuple], [1, 2])
  })

  it("is neither an array nor anything else", () => {
    for (const other of [[1], "ab", null, undefined, { length: 0 }, new Set()]) assert.isFalse(Tuple.isTuple(other))
  })

  it("derives plain arrays", () => {
    const tuple = Tuple.make(1, 2)
    for (const derived of [tuple.map((n) => n), tuple.slice(), tuple.filter(Boolean), tuple.concat([])]) {
      assert.isFalse(Tuple.isTuple(derived))
    }
  })

  it("is decoded by the schemas of arrays and tuples", () => {
    assert.deepStrictEqual(Schema.decodeUnknownSync(Schema.Array(Schema.Number))(Tuple.make(1, 2)), [1, 2])
    const pair = Schema.Tuple([Schema.Number, Schema.String])
    assert.deepStrictEqual(Schema.decodeUnknownSync(pair)(Tuple.make(1, "a")), [1, "a"])
  })

  it("has a schema that refuses plain arrays", () => {
    assert.isTrue(Schema.is(Tuple.schema)(Tuple.make()))
    assert.isFalse(Schema.is(Tuple.schema)([]))
  })

  it("prints its name", () => {
    assert.strictEqual(inspect(Tuple.make(1, "a")), "Tuple(2) [ 1, 'a' ]")
  })
})
