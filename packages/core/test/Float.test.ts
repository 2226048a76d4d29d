import { assert, describe, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import { Float } from "../src/Float.ts"

describe("Float", () => {
  it("equals one with the same number, and not the number", () => {
    assert.isTrue(Equal.equals(new Float(2), new Float(2)))
    assert.strictEqual(Hash.hash(new Float(2)), Hash.hash(new Float(2)))
    assert.isFalse(Equal.equals(new Float(2), new Float(3)))
    assert.isFalse(Equal.equals(new Float(2), 2))
  })

  it("counts as its number in arithmetic", () => {
    assert.strictEqual(Number(new Float(2)) + 1, 3)
    assert.strictEqual(JSON.stringify(new Float(2)), "2")
  })

  it.each([
    [2, "2.0"],
    [2.5, "2.5"],
    [-0, "-0.0"],
    [1e21, "1e+21"],
    [NaN, "NaN"]
  ])("prints %d as Python would", (value, text) => {
    assert.strictEqual(String(new Float(value)), text)
  })

  it("has a schema that matches instances only", () => {
    assert.isTrue(Schema.is(Float.schema)(new Float(1)))
    assert.isFalse(Schema.is(Float.schema)(1))
  })
})
