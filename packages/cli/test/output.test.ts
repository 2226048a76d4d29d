/** How results of every kind are printed. */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { assert, describe, it } from "@effect/vitest"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { pretty, toJson } from "../src/output.ts"

const pythonPath = [path.join(import.meta.dirname, "fixtures")]

const result = (target: string) =>
  Snakepit.call(target).pipe(
    Effect.provide(SnakepitNode.layer({ pools: { default: { size: 1, start: "spawn", pythonPath } } }))
  )

const decoded = (value: unknown): unknown => JSON.parse(toJson(value))

describe("output", () => {
  it.live("of a table is one line for each row, whatever stands in it", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        pretty(yield* result("results.table"))
          .split("\n")
          .map((line) => line.split(/ {2,}/)),
        [
          ["list", "span", "when", "zoned", "bytes", "price", "day", "time", "record"],
          [
            "[ 1, 2 ]",
            "1s 500ms",
            "2024-01-02T03:04:05.000001",
            "2024-01-02T01:04:05Z",
            "b'x\\'\\x00'",
            "1.10",
            "2024-01-02",
            "01:02:03",
            "{ at: [ 2024-01-02T00:00:00 ] }"
          ],
          ["[ 1152921504606846976n ]", ...Array.from({ length: 8 }, () => "null")],
          ["2 rows"]
        ]
      )
    })
  )

  it.live("of a table in JSON has times as texts, durations as seconds, and null for what is missing", () =>
    Effect.gen(function* () {
      const filled = {
        list: [1, 2],
        span: 1.5,
        when: "2024-01-02T03:04:05.000001",
        zoned: "2024-01-02T01:04:05Z",
        bytes: { base64: "eCcA" },
        price: "1.10",
        day: "2024-01-02",
        time: "01:02:03",
        record: { at: ["2024-01-02T00:00:00"] }
      }
      const missing = Object.fromEntries(Object.keys(filled).map((name) => [name, null]))
      // 2**60, which JavaScript reads as a float
      assert.deepStrictEqual(decoded(yield* result("results.table")), [filled, { ...missing, list: [2 ** 60] }])
    })
  )

  it.live("of bytes, decimals, durations and arrays of times is as Python writes them", () =>
    Effect.gen(function* () {
      const values = yield* result("results.values")
      assert.strictEqual(
        pretty(values),
        [
          "[",
          "  b'x\\n\\\\',",
          "  1.10,",
          "  -1.2E+4,",
          "  0.00,",
          "  1E-10,",
          "  -1s 500ms,",
          "  -0,",
          "  Tuple(1) [ { inner: b'\\'' } ],",
          "  [ 1969-12-31T23:59:59.500, null ],",
          "  [ 2024-01-02 ],",
          "  [ 1s, null ],",
          "  [ { n: 1152921504606846976n, at: 2024-01-02T03:00:00 } ]",
          "]"
        ].join("\n")
      )
      assert.deepStrictEqual(decoded(values), [
        { base64: "eApc" },
        "1.10",
        "-1.2E+4",
        "0.00",
        "1E-10",
        -1.5,
        -0,
        [{ inner: { base64: "Jw==" } }],
        ["1969-12-31T23:59:59.500", null],
        ["2024-01-02"],
        [1, null],
        [{ n: 2 ** 60, at: "2024-01-02T03:00:00" }]
      ])
    })
  )

  it("of what holds itself, as somebody may type, says so", () => {
    const circle: Array<unknown> = [1]
    circle.push({ circle })
    assert.strictEqual(pretty(circle), "<ref *1> [ 1, { circle: [Circular *1] } ]")
  })
})
