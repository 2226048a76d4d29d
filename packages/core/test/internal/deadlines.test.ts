import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { Deadlines } from "../../src/internal/deadlines.ts"

beforeEach(() => {
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

describe("Deadlines", () => {
  it("fire in their time: never early, at most 5 ms late", () => {
    const deadlines = new Deadlines()
    let firedAt = 0
    deadlines.add(101, () => {
      firedAt = performance.now()
    })
    vi.advanceTimersByTime(100)
    assert.strictEqual(firedAt, 0)
    vi.advanceTimersByTime(10)
    assert.isAtLeast(firedAt, 101)
    assert.isAtMost(firedAt, 106)
  })

  it("fire once each, on one timer that ends with the last of them", () => {
    const deadlines = new Deadlines()
    const fired: Array<number> = []
    for (const millis of [30, 10, 20]) deadlines.add(millis, () => fired.push(millis))
    assert.strictEqual(vi.getTimerCount(), 1)
    vi.advanceTimersByTime(100)
    assert.deepStrictEqual(fired, [10, 20, 30])
    assert.strictEqual(vi.getTimerCount(), 0)
  })

  it("do not fire when they are cancelled, and the timer ends", () => {
    const deadlines = new Deadlines()
    let fired = false
    const deadline = deadlines.add(10, () => {
      fired = true
    })
    deadlines.cancel(deadline)
    vi.advanceTimersByTime(100)
    assert.isFalse(fired)
    assert.strictEqual(vi.getTimerCount(), 0)
  })

  it("can be armed by one that fires", () => {
    const deadlines = new Deadlines()
    let again = false
    deadlines.add(10, () => {
      deadlines.add(10, () => {
        again = true
      })
    })
    vi.advanceTimersByTime(100)
    assert.isTrue(again)
    assert.strictEqual(vi.getTimerCount(), 0)
  })
})
