import { assert, describe, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { PlainDateTime } from "../src/PlainDateTime.ts"

describe("PlainDateTime", () => {
  it.each([
    ["2024-02-29T12:30", "2024-02-29T12:30:00"],
    ["2024-02-29 12:30:59.25", "2024-02-29T12:30:59.250000"],
    ["9999-12-31T23:59:59.999999", "9999-12-31T23:59:59.999999"]
  ])("reads %s", (text, printed) => {
    const value = PlainDateTime.fromStringUnsafe(text)
    assert.strictEqual(String(value), printed)
    assert.strictEqual(inspect(value), `PlainDateTime(${printed})`)
  })

  it("is midnight when only a day is given", () => {
    assert.strictEqual(String(new PlainDateTime(2024, 2, 29)), "2024-02-29T00:00:00")
  })

  it("refuses what is no date or no time", () => {
    assert.throws(() => new PlainDateTime(2023, 2, 29), RangeError, "a day from 1 to 28, got 29")
    assert.throws(() => new PlainDateTime(2023, 2, 28, 24), RangeError, "an hour from 0 to 23, got 24")
    assert.throws(() => PlainDateTime.fromStringUnsafe("2024-02-29T12:30Z"), RangeError)
  })

  it("equals the same clock", () => {
    const make = (micro: number) => new PlainDateTime(2024, 2, 29, 12, 30, 59, micro)
    assert.isTrue(Equal.equals(make(1), make(1)))
    assert.strictEqual(Hash.hash(make(1)), Hash.hash(make(1)))
    assert.isFalse(Equal.equals(make(1), make(2)))
  })

  it("has a schema that matches instances only", () => {
    assert.isTrue(Schema.is(PlainDateTime.schema)(new PlainDateTime(1, 1, 1)))
    assert.isFalse(Schema.is(PlainDateTime.schema)(new Date()))
  })
})
