import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { assert, describe, it } from "@effect/vitest"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { python } from "../../python-worker/test/wheel.ts"
import { PythonProxy } from "../src/PythonProxy.ts"
import { snakepitIn } from "./run.ts"

const terminal = path.join(import.meta.dirname, "fixtures/terminal.py")

/** What a terminal shows of a session in which somebody types, each time after something has been shown. */
const terminalSession = (steps: ReadonlyArray<readonly [shown: string, typed: string]>) =>
  Effect.gen(function* () {
    const shell = `exec '${python}' '${terminal}' "$STEPS" "$@"`
    const env = { STEPS: JSON.stringify(steps), TERM: "xterm", NO_COLOR: "1", NODE_REPL_HISTORY: "" }
    const run = yield* snakepitIn({ shell, env }, "repl")
    assert.strictEqual(run.exitCode, 0, run.stderr)
    return run.stdout
  })

describe("snakepit repl", () => {
  it.live("refuses --json, since a conversation is no document", () =>
    Effect.gen(function* () {
      const run = yield* snakepitIn({ input: "1 + 1\n" }, "repl", "--json")
      assert.strictEqual(run.exitCode, 2, run.stderr)
      assert.deepInclude(JSON.parse(run.stdout), {
        error: { tag: "Misused", message: "repl prints no JSON document: snakepit call does" }
      })
      assert.strictEqual(run.stderr, "")
    })
  )

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
      const run = yield* snakepitIn({ input: `${typed.join("\n")}\n` }, "repl")
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

  it.live("goes on in a new session after Python has crashed, and says that its objects are gone", () =>
    Effect.gen(function* () {
      const typed = [
        "const third = await py.fractions.Fraction(1, 3)",
        "py.os.abort()",
        "await Promise.all([py.math.sqrt(4), py.math.sqrt(9)])",
        "py.math.sqrt(16)",
        "third.limit_denominator(2)",
        "py.math.sqrt(25)"
      ]
      const { exitCode, stdout } = yield* snakepitIn({ input: `${typed.join("\n")}\n` }, "repl")
      assert.strictEqual(exitCode, 0)
      assert.match(
        stdout,
        /^undefined\n[^]*Uncaught WorkerCrash: [^]*\nPython was started anew, and what variables held of it is gone: .*\n\[ 2, 3 \]\n4\nUncaught SessionLost: .*\n5\n$/
      )
      assert.lengthOf(stdout.match(/started anew/g) ?? [], 1)
    })
  )

  it.live("completes on a terminal what is typed, and shows it once", () =>
    Effect.gen(function* () {
      const shown = yield* terminalSession([
        ["> ", "py.math.sq\t"],
        ["sqrt", "(16)\r"],
        ["4\r\n", "const third = await py.fractions.Fraction(1, 3)\r"],
        ["undefined\r\n", "third.limit_d\t"],
        ["limit_denominator", "(2)\r"],
        ["Fraction(1, 2)", "\x04"]
      ])
      assert.notInclude(shown, "sqrtrt")
      assert.include(shown, "third.limit_denominator(2)")
    })
  )

  it.live("Ctrl-C stops what runs in Python, and the session goes on; Ctrl-D does not wait for it", () =>
    Effect.gen(function* () {
      const begin = performance.now()
      const shown = yield* terminalSession([
        ["> ", "const started = await py.builtins.list()\r"],
        ["undefined\r\n", 'py.builtins.exec(\'print("be" + "gun", flush=True); import time; time.sleep(600)\')\r'],
        ["begun", "\x03"],
        ["Uncaught Interrupted", "py.math.sqrt(16)\r"],
        ["4\r\n", 'py.builtins.exec(\'print("a" + "gain", flush=True); import time; time.sleep(600)\')\r'],
        ["again", "\x04"]
      ])
      assert.notInclude(shown, "PoolClosed")
      // a pool that ends gives running calls five seconds
      assert.isBelow(performance.now() - begin, 5_000)
    })
  )

  it.live("completes modules, and attributes of modules, classes and objects", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const proxy = new PythonProxy(session, Effect.runPromise)
      const names = (...place: ReadonlyArray<string>) =>
        Effect.promise(() => proxy.names({ root: undefined, path: place }))
      assert.includeMembers([...(yield* names())], ["math", "os", "numpy"])
      assert.includeMembers([...(yield* names("os", "path"))], ["join"])
      assert.includeMembers([...(yield* names("xml", "dom", "minidom", "Document"))], ["createElement"])
      const root = yield* session.ref("collections.Counter", { args: ["snake"] })
      assert.includeMembers([...(yield* Effect.promise(() => proxy.names({ root, path: [] })))], ["most_common"])
    }).pipe(Effect.scoped, Effect.provide(SnakepitNode.layer({ pools: { default: { size: 1, allowPrivate: true } } })))
  )
})
