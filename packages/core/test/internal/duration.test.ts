import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { millisOf, millisUnsafe } from "../../src/internal/duration.ts"

describe("millisOf", () => {
  it("reads durations in any form", () => {
    assert.strictEqual(millisOf(500), 500)
    assert.strictEqual(millisOf("2 seconds"), 2_000)
    assert.strictEqual(millisOf(5_000_000n), 5)
    assert.strictEqual(millisOf([1, 500_000_000]), 1_500)
    assert.strictEqual(millisOf({ minutes: 1, seconds: 1 }), 61_000)
    assert.strictEqual(millisOf({ seconds: 0 }), 0)
    assert.strictEqual(millisOf(Duration.minutes(1)), 60_000)
    assert.strictEqual(millisOf("Infinity"), Infinity)
    assert.strictEqual(millisOf(-1), -1)
  })

  for (const value of [
    Number.NaN,
    {},
    { second: 1 },
    { seconds: "1" },
    { seconds: Number.NaN },
    [],
    [Number.NaN, 0],
    "soon",
    "",
    null,
    true,
    () => 1
  ]) {
    it(`finds no duration in ${typeof value === "object" ? JSON.stringify(value) : String(value)}`, () => {
      assert.isUndefined(millisOf(value))
    })
  }
})

describe("millisUnsafe", () => {
  it("names the option and the value when it is no duration", () => {
    assert.strictEqual(millisUnsafe("timeout", "1 second"), 1_000)
    assert.throws(() => millisUnsafe("timeout", "soon"), TypeError, /`timeout`.*"soon" \(string\)/)
  })
})
