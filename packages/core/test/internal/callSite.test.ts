import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { type CallSite, callSiteLines, noteCallSite } from "../../src/internal/callSite.ts"

const outer = (): CallSite => noted()
const noted = (): CallSite => noteCallSite(noted)

/** Notes until the budget is used up, and answers the first place that is not noted. */
const exhaust = (): CallSite => {
  for (;;) {
    const site = outer()
    if (site.stack === undefined) return site
  }
}

describe("callSite", () => {
  it.live("is where the boundary was called, with the callers behind it", () =>
    Effect.gen(function* () {
      let site = outer()
      // the budget of this process may have been used up by another test
      while (site.stack === undefined) {
        yield* Effect.sleep(1)
        site = outer()
      }
      const lines = callSiteLines(site)
      assert.match(lines[0] ?? "", /^ {4}at outer \(.*callSite\.test\.ts:\d+:\d+\)$/)
      assert.notInclude(lines.join(""), "Generator.next")
      assert.isAtMost(lines.length, 4)
    })
  )

  it.live("is on a budget: a busy loop is told so, and later calls are noted again", () =>
    Effect.gen(function* () {
      const missing = exhaust()
      assert.deepStrictEqual(callSiteLines(missing), ["    at <not noted: more than 2000 calls per second>"])
      while (outer().stack === undefined) yield* Effect.sleep(1)
    })
  )

  it("leaves the process's limit of stack traces as it is", () => {
    const before = Error.stackTraceLimit
    try {
      for (const limit of [0, 2, 25]) {
        Error.stackTraceLimit = limit
        noted()
        assert.strictEqual(Error.stackTraceLimit, limit)
      }
    } finally {
      Error.stackTraceLimit = before
    }
  })

  it("has no lines without a place", () => {
    assert.deepStrictEqual(callSiteLines(undefined), [])
  })

  it("respects source maps", () => {
    const root = path.join(import.meta.dirname, "../../../..")
    const folder = path.join(root, ".snakepit", `source-maps-${process.pid}`)
    fs.mkdirSync(folder, { recursive: true })
    try {
      // the map says that the third line of the program is line 30 of `written.ts`
      const map = { version: 3, sources: ["written.ts"], names: [], mappings: ";;AA6BA" }
      const program = [
        'import { PythonError, Snakepit } from "@snakepit/core"; import * as Effect from "effect/Effect"',
        'const layer = Snakepit.layerTest({ "a.b": () => Effect.fail(PythonError.of("ValueError", "bad")) })',
        'const call = Snakepit.call("a.b")',
        "const error = await Effect.runPromise(Effect.flip(call).pipe(Effect.provide(layer)))",
        "console.log(error.stack)",
        `//# sourceMappingURL=data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString("base64")}`
      ]
      fs.writeFileSync(path.join(folder, "built.mjs"), program.join("\n"))
      const { stderr, stdout } = spawnSync(
        process.execPath,
        ["--enable-source-maps", "--conditions=snakepit-source", "built.mjs"],
        { cwd: folder, encoding: "utf8" }
      )
      assert.strictEqual(stderr, "")
      assert.match(stdout, /^ValueError: bad\n {4}at .*written\.ts:30:\d+/)
      assert.include(stdout, "-- Python: a.b [function]")
    } finally {
      fs.rmSync(folder, { recursive: true })
    }
  })
})
