import { assert, describe, it } from "@effect/vitest"
import { InFlight } from "../src/internal/inFlight.ts"
import { makeRandom } from "./generate.ts"

describe("InFlight", () => {
  it("gives out numbers that only grow", () => {
    const calls = new InFlight<string>(4)
    let last = 0
    for (let index = 0; index < 100; index++) {
      const number = calls.reserve()
      assert.isAbove(number, last)
      last = number
      if (index % 3 === 0) calls.set(number, "kept for a while")
      if (index % 7 === 0) calls.take(number)
    }
  })

  it("finds a call by its number until it is taken", () => {
    const calls = new InFlight<string>()
    const number = calls.reserve()
    assert.isUndefined(calls.get(number))
    calls.set(number, "a")
    assert.strictEqual(calls.get(number), "a")
    assert.strictEqual(calls.take(number), "a")
    assert.isUndefined(calls.get(number))
    assert.isUndefined(calls.take(number))
    assert.strictEqual(calls.size, 0)
  })

  it("does not take a call for another whose number falls on the same place", () => {
    const calls = new InFlight<string>(4)
    const number = calls.reserve()
    calls.set(number, "a")
    for (const other of [number + 4, number + 8, number - 4, number + 2 ** 32]) {
      assert.isUndefined(calls.get(other))
      assert.isUndefined(calls.take(other))
    }
    assert.strictEqual(calls.get(number), "a")
  })

  it("keeps every call when it grows", () => {
    const calls = new InFlight<number>(2)
    const numbers = Array.from({ length: 1000 }, (_, index) => {
      const number = calls.reserve()
      calls.set(number, index)
      return number
    })
    numbers.forEach((number, index) => assert.strictEqual(calls.get(number), index))
    assert.strictEqual(calls.size, 1000)
  })

  it("lists calls in the order they were sent", () => {
    const calls = new InFlight<string>(4)
    for (const name of ["a", "b", "c", "d", "e"]) calls.set(calls.reserve(), name)
    calls.take(2)
    assert.deepStrictEqual(
      calls.entries().map(([, name]) => name),
      ["a", "c", "d", "e"]
    )
  })

  it("behaves as a Map does, whatever comes and goes", () => {
    for (let seed = 0; seed < 20; seed++) {
      const random = makeRandom(seed)
      const calls = new InFlight<number>(4)
      const model = new Map<number, number>()
      for (let step = 0; step < 2_000; step++) {
        const known = [...model.keys()]
        if (known.length === 0 || random.next() < 0.52) {
          const number = calls.reserve()
          // some numbers are only reserved: those of requests that want no answer
          if (random.next() < 0.9) {
            calls.set(number, step)
            model.set(number, step)
          }
        } else {
          const number = random.pick(known)
          assert.strictEqual(calls.take(number), model.get(number), `seed ${seed}`)
          model.delete(number)
        }
        assert.strictEqual(calls.size, model.size)
      }
      assert.deepStrictEqual(
        calls.entries().map(([number, call]) => [number, call]),
        [...model]
      )
    }
  })
})
