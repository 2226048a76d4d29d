/** What Python prints is the user's: it never disturbs the wire, and it comes out as log lines of the worker. */
import { Snakepit } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { fill, waitUntil, withPool } from "./harness.ts"

interface Line {
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** A logger that keeps what it gets. */
const recording = (lines: Array<Line>) =>
  Logger.layer([
    Logger.make(({ fiber, message }) => {
      const text = Array.isArray(message) ? message.join(" ") : String(message)
      lines.push({ text, annotations: fiber.getRef(References.CurrentLogAnnotations) })
    })
  ])

const megabytes = 1 << 20

describe("Stdio", () => {
  it.live("calls go on while megabytes are printed to stdout and stderr at once", () =>
    Effect.gen(function* () {
      const lines: Array<Line> = []
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* Snakepit.call("printing.fill_both", { args: [4 * megabytes] }), 4 * megabytes)
        assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
        const perStream = Math.floor((4 * megabytes) / 100)
        yield* waitUntil("every line has arrived", () => lines.length === 2 * perStream)
      }).pipe(withPool({}, recording(lines)))
    })
  )

  it.live("every printed line becomes one log line with its pool, worker and stream", () =>
    Effect.gen(function* () {
      const lines: Array<Line> = []
      yield* Effect.gen(function* () {
        yield* Snakepit.call("printing.say", { args: ["stdout", "hello ✓"] })
        yield* Snakepit.call("printing.say", { args: ["stderr", "careful"] })
        yield* Snakepit.call("printing.raw", { args: [1, Buffer.from("past Python\n")] })
        yield* Snakepit.call("printing.from_child", { args: ["from-a-child"] })
        yield* waitUntil("four lines have arrived", () => lines.length === 4)
        const known = (text: string) => lines.find((line) => line.text === text)?.annotations
        assert.deepInclude(known("hello ✓"), { pool: "default", worker: "default-0", stream: "stdout" })
        assert.deepInclude(known("careful"), { pool: "default", worker: "default-0", stream: "stderr" })
        assert.deepInclude(known("past Python"), { stream: "stdout" })
        assert.deepInclude(known("from-a-child"), { stream: "stdout" })
      }).pipe(withPool({}, recording(lines)))
    })
  )

  it.live("a line without end is cut into lines, and the next call is answered", () =>
    Effect.gen(function* () {
      const lines: Array<Line> = []
      yield* Effect.gen(function* () {
        yield* Snakepit.call("printing.endless_line", { args: [megabytes] })
        assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [9] }), 3)
        yield* waitUntil("the line has begun to arrive", () => lines.length > 0)
        assert.isAtMost(Math.max(...lines.map((line) => line.text.length)), 1 << 17)
      }).pipe(withPool({}, recording(lines)))
    })
  )

  it.live("a worker that has closed its stdout and stderr still serves calls", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("printing.close_streams"), "still here")
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [16] }), 4)
    }).pipe(withPool())
  )

  it.live("stdin is empty", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("printing.read_input"), "")
    }).pipe(withPool())
  )

  it.live("a consumer of logs that is slower than Python does not lose calls", () =>
    Effect.gen(function* () {
      let seen = 0
      const slow = Logger.layer([
        Logger.make(() => {
          seen++
          for (let spin = 0; spin < 2_000; spin++) Math.sqrt(spin)
        })
      ])
      yield* Effect.gen(function* () {
        yield* fill("stderr", megabytes)
        assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [25] }), 5)
        yield* waitUntil("every line has arrived", () => seen === Math.floor(megabytes / 100))
      }).pipe(withPool({}, slow))
    })
  )
})
