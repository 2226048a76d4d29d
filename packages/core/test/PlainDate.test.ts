import { assert, describe, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { PlainDate } from "../src/PlainDate.ts"

describe("PlainDate", () => {
  it("reads and prints ISO dates", () => {
    for (const text of ["0001-01-01", "2024-02-29", "9999-12-31"]) {
      assert.strictEqual(String(PlainDate.fromStringUnsafe(text)), text)
    }
    assert.strictEqual(inspect(new PlainDate(2024, 2, 29)), "PlainDate(2024-02-29)")
    assert.strictEqual(JSON.stringify(new PlainDate(2024, 2, 29)), `"2024-02-29"`)
  })

  it.each([
    [0, 1, 1, "expected a year from 1 to 9999, got 0"],
    [10_000, 1, 1, "expected a year from 1 to 9999, got 10000"],
    [2024, 13, 1, "expected a month from 1 to 12, got 13"],
    [2023, 2, 29, "expected a day from 1 to 28, got 29"],
    [1900, 2, 29, "expected a day from 1 to 28, got 29"],
    [2000, 2, 30, "expected a day from 1 to 29, got 30"],
    [2024, 4, 31, "expected a day from 1 to 30, got 31"],
    [2024, 1, 0.5, "expected a day from 1 to 31, got 0.5"],
    [NaN, 1, 1, "expected a year from 1 to 9999, got NaN"]
  ])("refuses the day %d-%d-%d", (year, month, day, message) => {
    assert.throws(() => new PlainDate(year, month, day), RangeError, message)
  })

  it("refuses text that is no date", () => {
    for (const text of ["", "2024-2-29", "2024-02-29T00:00", "2024-02-30"]) {
      assert.throws(() => PlainDate.fromStringUnsafe(text), RangeError)
    }
  })

  it("equals the same day", () => {
    assert.isTrue(Equal.equals(new PlainDate(2024, 2, 29), new PlainDate(2024, 2, 29)))
    assert.strictEqual(Hash.hash(new PlainDate(2024, 2, 29)), Hash.hash(new PlainDate(2024, 2, 29)))
    assert.isFalse(Equal.equals(new PlainDate(2024, 2, 28), new PlainDate(2024, 2, 29)))
  })

  it("has a schema that matches instances only", () => {
    assert.isTrue(Schema.is(PlainDate.schema)(new PlainDate(1, 1, 1)))
    assert.isFalse(Schema.is(PlainDate.schema)("0001-01-01"))
  })
})
