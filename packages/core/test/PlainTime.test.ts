import { assert, describe, it } from "@effect/vitest"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { PlainTime } from "../src/PlainTime.ts"

describe("PlainTime", () => {
  it.each([
    ["12:30", "12:30:00"],
    ["12:30:59", "12:30:59"],
    ["00:00:00.5", "00:00:00.500000"],
    ["23:59:59.000001", "23:59:59.000001"]
  ])("reads %s", (text, printed) => {
    assert.strictEqual(String(PlainTime.fromStringUnsafe(text)), printed)
  })

  it("prints its offset and zone", () => {
    assert.strictEqual(String(new PlainTime(12, 0, 0, 0, 0)), "12:00:00+00:00")
    assert.strictEqual(String(new PlainTime(12, 0, 0, 0, 10_800, "Etc/GMT-3")), "12:00:00+03:00[Etc/GMT-3]")
    assert.strictEqual(inspect(new PlainTime(12, 0, 0, 0, -2670)), "PlainTime(12:00:00-00:44:30)")
  })

  it.each([
    [() => new PlainTime(24, 0), "an hour from 0 to 23, got 24"],
    [() => new PlainTime(0, 60), "a minute from 0 to 59, got 60"],
    [() => new PlainTime(0, 0, 60), "a second from 0 to 59, got 60"],
    [() => new PlainTime(0, 0, 0, 1_000_000), "a microsecond from 0 to 999999, got 1000000"],
    [() => new PlainTime(0, 0, 0, 0, 86_400), "an offset of whole seconds below a day, got 86400"],
    [() => new PlainTime(0, 0, 0, 0, null, "UTC"), "a zone needs its offset"],
    [() => PlainTime.fromStringUnsafe("12:30Z"), `got "12:30Z"`]
  ])("refuses what is no time: %s", (make, message) => {
    assert.throws(make, RangeError, message)
  })

  it("equals the same time in the same place", () => {
    assert.isTrue(Equal.equals(new PlainTime(1, 2), new PlainTime(1, 2, 0, 0)))
    assert.strictEqual(Hash.hash(new PlainTime(1, 2)), Hash.hash(new PlainTime(1, 2)))
    assert.isFalse(Equal.equals(new PlainTime(1, 2), new PlainTime(1, 2, 0, 0, 0)))
    assert.isFalse(Equal.equals(new PlainTime(1, 2), new PlainTime(1, 2, 0, 1)))
  })

  it("has a schema that matches instances only", () => {
    assert.isTrue(Schema.is(PlainTime.schema)(new PlainTime(0, 0)))
    assert.isFalse(Schema.is(PlainTime.schema)("00:00:00"))
  })
})
