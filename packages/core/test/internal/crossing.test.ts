import { assert, describe, it } from "@effect/vitest"
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Complex } from "../../src/Complex.ts"
import { Float } from "../../src/Float.ts"
import { cross, type Crossing } from "../../src/internal/crossing.ts"
import { PlainDate } from "../../src/PlainDate.ts"
import { Tuple } from "../../src/Tuple.ts"

class Unknown {
  readonly data = 1
}

const refusals: Crossing = {
  adapters: [],
  callable: undefined,
  ref: (ref) => ref,
  unknown: (_value, path, actual) => {
    throw new Error(`${path}: ${actual}`)
  }
}

const arrive = (value: unknown): unknown => cross(value, "args", refusals)

const refused = (value: unknown): string => {
  try {
    arrive(value)
  } catch (error) {
    return String(error)
  }
  return "accepted"
}

describe("crossing", () => {
  it("values arrive as the codec would have made them", () => {
    const expected: ReadonlyArray<readonly [unknown, unknown]> = [
      [undefined, null],
      [5n, 5],
      [2n ** 64n, 2n ** 64n],
      [new Float(2), 2],
      [new Map([["a", undefined]]), { a: null }],
      [new Map([[1, 2n]]), new Map([[1, 2]])],
      [new Set([1n]), new Set([1])],
      [new Uint8Array([1]).buffer, new Uint8Array([1])],
      [new DataView(new Uint8Array([1, 2]).buffer, 1), new Uint8Array([2])]
    ]
    for (const [value, arrived] of expected) assert.deepStrictEqual(arrive(value), arrived)
    assert.isTrue(Object.is(arrive(-0), -0))
    assert.isTrue(Tuple.isTuple(arrive(Tuple.make(1, [2]))))
    assert.isTrue(DateTime.isDateTime(arrive(new Date(0))))
  })

  it("containers are copied, so that neither side sees the other's changes", () => {
    const inner = [1]
    const sent = { inner, __proto__x: 1 }
    const arrived = arrive(sent)
    assert.deepStrictEqual(arrived, sent)
    inner.push(2)
    assert.notDeepEqual(arrived, sent)
  })

  it("a key __proto__ is data", () => {
    const arrived = arrive(JSON.parse('{"__proto__": 1}'))
    assert.deepStrictEqual(Object.entries(arrived ?? {}), [["__proto__", 1]])
    assert.strictEqual(Object.getPrototypeOf(arrived), Object.prototype)
  })

  it("values of the table and typed arrays pass as they are", () => {
    const values = [
      new Complex(1, 2),
      new PlainDate(2026, 3, 1),
      BigDecimal.fromStringUnsafe("1.5"),
      Duration.seconds(1),
      DateTime.makeUnsafe(0),
      new Float64Array(2)
    ]
    for (const value of values) assert.strictEqual(arrive(value), value)
  })

  it("what has no form on the other side is named, with its path", () => {
    assert.include(refused([1, { a: new Unknown() }]), "args[1].a: an instance of Unknown")
    assert.include(refused({ "two words": Symbol("s") }), 'args["two words"]: Symbol(s)')
    assert.include(refused(new Map([["k", [new Unknown()]]])), 'args.get("k")[0]')
    assert.include(refused(new Map([[[Symbol("s")], 1]])), "args.keys()[0][0]")
    assert.include(refused(new Set([new Unknown()])), "args.values()[0]")
    assert.include(refused([function named() {}]), "the function named")
    assert.include(refused({ method: () => 1 }), "an object with methods")
    assert.include(refused(Promise.resolve()), "a Promise")
    assert.include(refused([Effect.void]), "an Effect")
    assert.include(refused(new Date(Number.NaN)), "an invalid Date")
    assert.include(refused(Duration.infinity), "an infinite Duration")
  })

  it("cycles are named, and the same value twice is none", () => {
    const cyclic: Record<string, unknown> = {}
    cyclic["self"] = [cyclic]
    assert.include(refused(cyclic), "args.self[0]: a reference back to args")
    const shared = [1]
    assert.deepStrictEqual(arrive([shared, shared]), [[1], [1]])
  })

  it("depth is limited", () => {
    let deep: unknown = 1
    for (let i = 0; i < 600; i++) deep = [deep]
    assert.include(refused(deep), "deeper than 512")
  })

  it("functions become callables where that is asked for, classes do not", () => {
    const crossing: Crossing = { ...refusals, callable: () => "callable" }
    assert.deepStrictEqual(cross([() => 1, { f: () => 1 }], "args", crossing), ["callable", { f: "callable" }])
    assert.throws(() => cross([Unknown], "args", crossing), "args[0]: the function Unknown")
  })
})
