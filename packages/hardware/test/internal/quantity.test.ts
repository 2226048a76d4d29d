import { assert, it } from "@effect/vitest"
import * as Quantity from "../../src/internal/quantity.ts"

it("number reads the number before the unit", () => {
  assert.strictEqual(Quantity.number("24564 MiB"), 24564)
  assert.strictEqual(Quantity.number(" 31.5 C"), 31.5)
  assert.strictEqual(Quantity.number("-5"), -5)
  for (const text of [
    "[N/A]",
    "ERR!",
    "",
    "C 31",
    "1,234",
    "1.2.3",
    "9".repeat(400),
    undefined,
    null,
    Number.NaN,
    {}
  ]) {
    assert.isNull(Quantity.number(text))
  }
})

it("count takes whole numbers that are not negative", () => {
  assert.strictEqual(Quantity.count("18"), 18)
  for (const text of ["1.5", "-1", "99999999999999999999"]) assert.isNull(Quantity.count(text))
})

it("bytes knows units, and none", () => {
  assert.strictEqual(Quantity.bytes("1 GiB"), 1024 ** 3)
  assert.strictEqual(Quantity.bytes("1.5GB"), 1.5 * 1024 ** 3)
  assert.strictEqual(Quantity.bytes("12", 1024 ** 2), 12 * 1024 ** 2)
  assert.strictEqual(Quantity.bytes("68702699520"), 68_702_699_520)
  for (const text of ["12 parsecs", "-1 MiB", "999999999999999999 TiB", "N/A"]) assert.isNull(Quantity.bytes(text))
})

it("word takes every way of saying unknown for unknown", () => {
  for (const text of [
    "N/A",
    "[N/A]",
    "[Not Supported]",
    "Not Supported",
    "[Unknown Error]",
    "ERR!",
    " ",
    "[GPU is lost]"
  ]) {
    assert.isNull(Quantity.word(text))
  }
  assert.strictEqual(Quantity.word(" Tesla T4 "), "Tesla T4")
})
