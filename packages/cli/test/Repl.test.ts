import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { PythonProxy } from "../src/PythonProxy.ts"
import { snakepitWithInput } from "./run.ts"

describe("snakepit repl", () => {
  it.live("runs what is typed, line after line, and goes on after an error", () =>
    Effect.gen(function* () {
      const typed = [
        "py.math.sqrt(4)",
        "await py.math.tau > 6",
        "const third = await py.fractions.Fraction(1, 3)",
        "third",
        "third.limit_denominator(2)",
        "py.math.sqrt(-1)",
        "py.builtins.sorted([3, 1, 2], kw({",
        "reverse: true }))",
        "nobody",
        ".doc third.limit_denominator",
        "1 + 1"
      ]
      const run = yield* snakepitWithInput(`${typed.join("\n")}\n`, "repl")
      const lines = run.stdout.split("\n")
      assert.deepStrictEqual(lines.slice(0, 6), [
        "2",
        "true",
        "undefined",
        "Fraction(1, 3)",
        "Fraction(1, 2)",
        "Uncaught ValueError: math domain error"
      ])
      assert.include(run.stdout, "[ 3, 2, 1 ]")
      assert.include(run.stdout, "Uncaught ReferenceError: nobody is not defined")
      assert.include(run.stdout, "limit_denominator(max_denominator=1000000)\n\nClosest Fraction")
      assert.strictEqual(lines.at(-2), "2")
      assert.strictEqual(run.exitCode, 0)
    })
  )

  it.live("completes modules, and attributes of modules, classes and objects", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const python = new PythonProxy(session, Effect.runPromise)
      const names = (...path: ReadonlyArray<string>) => Effect.promise(() => python.names({ root: undefined, path }))
      assert.includeMembers([...(yield* names())], ["math", "os", "numpy"])
      assert.includeMembers([...(yield* names("os", "path"))], ["join"])
      assert.includeMembers([...(yield* names("xml", "dom", "minidom", "Document"))], ["createElement"])
      const root = yield* session.ref("collections.Counter", { args: ["snake"] })
      assert.includeMembers([...(yield* Effect.promise(() => python.names({ root, path: [] })))], ["most_common"])
    }).pipe(Effect.scoped, Effect.provide(SnakepitNode.layer({ pools: { default: { size: 1, allowPrivate: true } } })))
  )
})
