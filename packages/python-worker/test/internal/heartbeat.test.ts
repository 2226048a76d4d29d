import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { Heartbeat } from "../../src/internal/heartbeat.ts"

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** A heartbeat of 2 s, 10 s, 3 misses, and what it has done. */
const start = () => {
  const pongs: Array<() => void> = []
  const silences: Array<number> = []
  const heartbeat = new Heartbeat(
    { interval: 2_000, timeout: 10_000, misses: 3 },
    (onPong) => void pongs.push(onPong),
    (millis) => void silences.push(millis)
  )
  return { heartbeat, pongs, silences }
}

describe("Heartbeat", () => {
  it("pings once per interval", () => {
    const { heartbeat, pongs } = start()
    vi.advanceTimersByTime(8_000)
    assert.lengthOf(pongs, 4)
    heartbeat.stop()
  })

  it("calls a worker silent after the timeout and as many intervals as misses, once", () => {
    const { silences } = start()
    vi.advanceTimersByTime(15_999)
    assert.deepStrictEqual(silences, [])
    vi.advanceTimersByTime(1)
    assert.deepStrictEqual(silences, [14_000])
    vi.advanceTimersByTime(60_000)
    assert.lengthOf(silences, 1)
  })

  it("forgives a late answer", () => {
    const { heartbeat, pongs, silences } = start()
    for (let round = 0; round < 10; round++) {
      vi.advanceTimersByTime(14_000)
      for (const pong of pongs.splice(0)) pong()
    }
    assert.deepStrictEqual(silences, [])
    heartbeat.stop()
  })

  it("does not blame the worker for the time in which this process stood still", () => {
    const { heartbeat, pongs, silences } = start()
    vi.advanceTimersByTime(2_000)
    const now = vi.spyOn(performance, "now")
    const stopped = performance.now() + 60_000
    now.mockReturnValue(stopped)
    vi.advanceTimersByTime(2_000)
    assert.deepStrictEqual(silences, [])
    for (const pong of pongs.splice(0)) pong()
    now.mockRestore()
    heartbeat.stop()
  })
})
