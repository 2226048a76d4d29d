import { assert, describe, it } from "@effect/vitest"
import { aligned, FreeList } from "../../src/internal/freeList.ts"

/** Numbers that repeat from run to run. */
const numbers = (seed: number) => () => {
  seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff
  return seed
}

describe("FreeList", () => {
  it("takes from the beginning, and joins what is given back", () => {
    const free = new FreeList(256)
    assert.deepStrictEqual([free.take(64), free.take(64), free.take(128), free.take(64)], [0, 64, 128, undefined])
    free.give(0, 64)
    free.give(128, 128)
    assert.isUndefined(free.take(192))
    free.give(64, 64)
    assert.strictEqual(free.take(256), 0)
  })

  it("never gives a byte twice, and gets all of them back, whatever the order", () => {
    const next = numbers(7)
    const free = new FreeList(1 << 16)
    const taken: Array<readonly [number, number]> = []
    for (let i = 0; i < 5000; i++) {
      if (next() % 2 === 0) {
        const size = aligned(next() % 3000)
        const at = free.take(size)
        if (at === undefined) continue
        for (const [other, length] of taken) assert.isTrue(at >= other + length || other >= at + size)
        taken.push([at, size])
      } else if (taken.length > 0) {
        const [[at, size] = [0, 0]] = taken.splice(next() % taken.length, 1)
        free.give(at, size)
      }
    }
    for (const [at, size] of taken) free.give(at, size)
    assert.strictEqual(free.used, 0)
    assert.strictEqual(free.take(1 << 16), 0)
  })
})
