import { assert, describe, it } from "@effect/vitest"
import { interleave, median, percentile, ratios, spread, Times } from "../rounds.ts"

describe("rounds", () => {
  it("takes percentiles by nearest rank", () => {
    assert.strictEqual(percentile([3, 1, 2], 0.5), 2)
    assert.strictEqual(percentile([4, 1, 3, 2], 0.5), 2)
    assert.strictEqual(percentile([5], 0.99), 5)
    assert.strictEqual(percentile([1, 2, 3], 0), 1)
    assert.strictEqual(percentile([1, 2, 3], 1), 3)
    assert.throws(() => percentile([], 0.5), /at least one value/)
  })

  it("runs every turn once per round and reverses every other round", async () => {
    const order: Array<string> = []
    const turn = (name: string) => async (round: number) => {
      order.push(`${name}${round}`)
    }
    await interleave(3, [turn("a"), turn("b")])
    assert.deepStrictEqual(order, ["a0", "b0", "b1", "a1", "a2", "b2"])
  })

  it("forms ratios within a round, so that drift between rounds cancels", () => {
    assert.strictEqual(median(ratios([2, 20, 200], [1, 10, 100])), 2)
    assert.throws(() => ratios([1], [1, 2]), /as many rounds/)
  })

  it("takes percentiles of times over all rounds", async () => {
    const times = new Times()
    await times.round(3, async (micros) => micros.set([1, 2, 3]))
    await times.round(2, async (micros) => micros.set([10, 20]))
    assert.deepStrictEqual(times.medians(), [2, 10])
    assert.strictEqual(times.percentile(0.5), 3)
    assert.strictEqual(times.percentile(1), 20)
  })

  it("prints a median with its range and middle half", () => {
    assert.strictEqual(spread([1, 2, 3, 4]), "2.00 (1.00 to 4.00, middle half 1.00 to 3.00)")
  })
})
