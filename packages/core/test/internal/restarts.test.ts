import { afterEach, assert, beforeEach, describe, it, vi } from "vitest"
import { Restarts } from "../../src/internal/restarts.ts"

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }))
afterEach(() => void vi.useRealTimers())

/** The least and the most that many tries answer. */
const spread = (restarts: Restarts, failures: number) => {
  const delays = Array.from({ length: 500 }, () => restarts.delay(failures))
  return [Math.min(...delays), Math.max(...delays)] as const
}

describe("Restarts", () => {
  it("a worker that did its work is replaced at once", () => {
    assert.strictEqual(new Restarts(10, 60_000).delay(0), 0)
  })

  it("delays double from 100 ms to 5 s, each spread over 80 % to 120 %", () => {
    const restarts = new Restarts(10, 60_000)
    for (const [failures, nominal] of [
      [1, 100],
      [2, 200],
      [3, 400],
      [6, 3_200],
      [7, 5_000],
      [50, 5_000]
    ] as const) {
      const [least, most] = spread(restarts, failures)
      assert.isAtLeast(least, nominal * 0.8)
      assert.isAtMost(most, nominal * 1.2)
      assert.isAbove(most - least, nominal * 0.2)
    }
  })

  it("more crashes than allowed within the window are too many, and then every delay is the longest", () => {
    const restarts = new Restarts(2, 60_000)
    for (let crash = 0; crash < 2; crash++) restarts.crashed()
    assert.isFalse(restarts.tooMany)
    restarts.crashed()
    assert.isTrue(restarts.tooMany)
    assert.deepStrictEqual(restarts.summary, { crashes: 3, windowMillis: 60_000 })
    assert.isAtLeast(spread(restarts, 0)[0], 4_000)
  })

  it("crashes are forgotten when the window has passed", () => {
    const restarts = new Restarts(0, 1_000)
    restarts.crashed()
    vi.advanceTimersByTime(999)
    assert.isTrue(restarts.tooMany)
    vi.advanceTimersByTime(2)
    assert.isFalse(restarts.tooMany)
    assert.strictEqual(restarts.delay(0), 0)
  })
})
