import { assert, describe, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import { Complex } from "../src/Complex.ts"

describe("Complex", () => {
  it("equals one with the same parts", () => {
    assert.isTrue(Equal.equals(new Complex(1, 2), new Complex(1, 2)))
    assert.strictEqual(Hash.hash(new Complex(1, 2)), Hash.hash(new Complex(1, 2)))
    assert.isTrue(Equal.equals(new Complex(NaN, 0), new Complex(NaN, 0)))
    assert.isFalse(Equal.equals(new Complex(1, 2), new Complex(2, 1)))
    assert.isFalse(Equal.equals(new Complex(1, 0), 1))
  })

  it.each([
    [new Complex(1, 2), "1+2i"],
    [new Complex(-1.5, -2), "-1.5-2i"],
    [new Complex(-0, -0), "-0-0i"],
    [new Complex(NaN, Infinity), "NaN+Infinityi"]
  ])("prints %o as a sum", (complex, text) => {
    assert.strictEqual(String(complex), text)
  })

  it("has a schema that matches instances only", () => {
    assert.isTrue(Schema.is(Complex.schema)(new Complex(0, 1)))
    assert.isFalse(Schema.is(Complex.schema)({ re: 0, im: 1 }))
  })
})
