import { afterEach, assert, beforeEach, it, vi } from "@effect/vitest"
import * as EnvironmentProgress from "../src/EnvironmentProgress.ts"

beforeEach(() => {
  vi.stubEnv("CI", undefined)
  vi.stubEnv("TERM", "xterm")
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "Date"] })
})
afterEach(() => {
  vi.unstubAllEnvs()
  vi.useRealTimers()
})

const CLEAR = "\r\u001b[2K"

const show = (
  terminal: { readonly isTTY: boolean; readonly columns?: number },
  play: (emit: EnvironmentProgress.Emit) => void
) => {
  const written: Array<string> = []
  play(EnvironmentProgress.terminal({ ...terminal, write: (text) => written.push(text) }))
  return written
}

const install = (emit: EnvironmentProgress.Emit) => {
  emit({ _tag: "Step", text: "Install" })
  emit({ _tag: "Package", activity: "downloading", name: "scipy", size: "33.5MiB", done: 5, total: 20 })
  vi.advanceTimersByTime(12_000)
  emit({ _tag: "End", text: "ready" })
  emit({ _tag: "End", text: undefined })
  vi.advanceTimersByTime(12_000)
}

it("keeps one line up to date on a terminal, and leaves only the last one", () => {
  const written = show({ isTTY: true, columns: 80 }, install)
  assert.match(written.at(-3) ?? "", /^.{5}. {2}█████░{15} 5\/20 {2}downloading scipy \(33.5MiB\) {2}12 s$/s)
  assert.deepStrictEqual(written.slice(-2), [CLEAR, "ready (12 s)\n"])
})

it("never fills a line of a narrow terminal, and does without a width", () => {
  const narrow = show({ isTTY: true, columns: 12 }, install)
  assert.isTrue(narrow.slice(0, -1).every((text) => text.length <= CLEAR.length + 11))
  const none = show({ isTTY: true, columns: 0 }, install)
  assert.match(none.at(-3) ?? "", /12 s$/)
})

it("writes plain lines with packages and sizes, and a sign of life, when it is no terminal", () => {
  assert.deepStrictEqual(show({ isTTY: false }, install), [
    "Install ...\n",
    "  downloading scipy (33.5MiB) 5/20\n",
    "  still at it: Install, downloading scipy (33.5MiB) 5/20 (10 s)\n",
    "ready (12 s)\n"
  ])
})

it("writes plain lines on a terminal that nobody sits at", () => {
  const plain = show({ isTTY: false }, install)
  for (const [name, value] of [
    ["CI", "true"],
    ["TERM", "dumb"]
  ] as const) {
    vi.stubEnv(name, value)
    assert.deepStrictEqual(show({ isTTY: true, columns: 80 }, install), plain)
    vi.stubEnv("TERM", "xterm")
    vi.stubEnv("CI", "false")
  }
  assert.notDeepEqual(show({ isTTY: true, columns: 80 }, install), plain)
})

it("says whom it waits for, and what a person should know", () => {
  const written = show({ isTTY: false }, (emit) => {
    emit({ _tag: "Waiting", pid: 17 })
    emit({ _tag: "Waiting", pid: process.pid })
    emit({ _tag: "Note", text: "uv cannot be had" })
    emit({ _tag: "End", text: undefined })
  })
  assert.deepStrictEqual(written, ["Waiting for process 17, which is making the same\n", "uv cannot be had\n"])
})

it("writes nothing when there was nothing to do", () => {
  assert.deepStrictEqual(
    show({ isTTY: true }, (emit) => emit({ _tag: "End", text: undefined })),
    []
  )
})
