import { afterEach, assert, beforeEach, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as InstallProgress from "../../src/internal/installProgress.ts"

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] })
})
afterEach(() => {
  vi.useRealTimers()
})

const show = (
  terminal: { isTTY: boolean; columns?: number },
  play: (progress: InstallProgress.InstallProgress) => void
) => {
  const written: Array<string> = []
  const use = Effect.map(InstallProgress.make({ ...terminal, write: (text) => written.push(text) }), play)
  return Effect.as(Effect.scoped(use), written)
}

const install = (progress: InstallProgress.InstallProgress) => {
  progress.step("Install")
  progress.busyWith("scipy", { done: 5, total: 20 })
  vi.advanceTimersByTime(12_000)
  progress.finish("ready")
}

it.effect("keeps one line up to date on a terminal, and leaves only the last one", () =>
  Effect.gen(function* () {
    const written = yield* show({ isTTY: true, columns: 80 }, install)
    assert.isTrue(written.every((text) => text.startsWith("\r\u001b[2K")))
    const lines = written.map((text) => text.slice("\r\u001b[2K".length))
    assert.match(lines.at(-3) ?? "", /^. {2}Install {2}█████░{15} 5\/20 {2}scipy {2}12 s$/)
    assert.deepStrictEqual(lines.slice(-2), ["ready (12 s)\n", ""])
  })
)

it.effect("never fills a line of a narrow terminal, and does without a width", () =>
  Effect.gen(function* () {
    const narrow = yield* show({ isTTY: true, columns: 12 }, install)
    assert.isTrue(narrow.slice(0, -2).every((text) => text.length <= "\r\u001b[2K".length + 11))
    const none = yield* show({ isTTY: true, columns: 0 }, install)
    assert.match(none.at(-3) ?? "", /12 s$/)
  })
)

it.effect("writes plain lines and a sign of life when it is no terminal", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* show({ isTTY: false }, install), [
      "Install ...\n",
      "  still at it: Install, scipy 5/20 (10 s)\n",
      "ready (12 s)\n"
    ])
  })
)
