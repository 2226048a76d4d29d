import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { snakepit } from "./run.ts"

describe("snakepit call", () => {
  it.live("prints the result of a function", () =>
    Effect.gen(function* () {
      const run = yield* snakepit("call", "math.sqrt", "--args", "[4]")
      assert.deepStrictEqual(run, { exitCode: 0, stdout: "2\n", stderr: "" })
    })
  )

  it.live("integers of any size and floats arrive in Python as what they are", () =>
    Effect.gen(function* () {
      const run = yield* snakepit("call", "builtins.repr", "--args", "[[2, 2.0, 1e3, 123456789012345678901234567890]]")
      assert.strictEqual(run.stdout, "[2, 2.0, 1000.0, 123456789012345678901234567890]\n")
    })
  )

  it.live("prints JSON when asked, and text without quotes otherwise", () =>
    Effect.gen(function* () {
      const plain = yield* snakepit("call", "builtins.str", "--args", '["snake"]')
      assert.strictEqual(plain.stdout, "snake\n")
      const json = yield* snakepit("call", "builtins.dict", "--kwargs", '{"big": 9007199254740993}', "--json")
      assert.strictEqual(json.stdout, '{\n  "big": 9007199254740993\n}\n')
    })
  )

  it.live("arrays, tables, decimals and durations are shown as what is in them", () =>
    Effect.gen(function* () {
      const decoded = (...args: ReadonlyArray<string>) =>
        Effect.map(snakepit("call", ...args, "--json"), ({ stdout }): unknown => JSON.parse(stdout))
      assert.deepStrictEqual(yield* decoded("numpy.eye", "--args", "[2]"), [
        [1, 0],
        [0, 1]
      ])
      const frame = ["pandas.DataFrame", "--args", '[{ "name": ["a", "b"], "count": [1, 2] }]']
      assert.deepStrictEqual(yield* decoded(...frame), [
        { name: "a", count: 1 },
        { name: "b", count: 2 }
      ])
      assert.strictEqual((yield* snakepit("call", ...frame)).stdout, "name  count\na     1\nb     2\n2 rows\n")
      assert.strictEqual(yield* decoded("decimal.Decimal", "--args", '["1.25"]'), "1.25")
      assert.strictEqual(yield* decoded("datetime.timedelta", "--args", "[1, 1.5]"), 86401.5)
    })
  )

  it.live("an exception is said on stderr, with exit code 1", () =>
    Effect.gen(function* () {
      const run = yield* snakepit("call", "math.sqrt", "--args", "[-1]")
      assert.strictEqual(run.exitCode, 1)
      assert.strictEqual(run.stdout, "")
      assert.match(run.stderr, /^ValueError: math domain error/)
      const story = yield* snakepit("call", "json.loads", "--args", '["{"]')
      assert.match(story.stderr, /^ValueError \(json.decoder.JSONDecodeError\): Expecting property name/)
      assert.include(story.stderr, "return _default_decoder.decode(s)")
      assert.notInclude(story.stderr, "file://")
    })
  )

  it.live("an exception is one JSON document when JSON is asked for", () =>
    Effect.gen(function* () {
      const run = yield* snakepit("call", "no_such_module.f", "--json")
      assert.strictEqual(run.exitCode, 1)
      assert.deepNestedInclude(JSON.parse(run.stdout), { "error.tag": "ModuleNotFoundError" })
    })
  )

  it.live("arguments that are no JSON array are refused before Python starts", () =>
    Effect.gen(function* () {
      const run = yield* snakepit("call", "math.sqrt", "--args", '{"a": 1}')
      assert.strictEqual(run.exitCode, 2)
      assert.include(run.stderr, "Expected a JSON array")
    })
  )

  it.live("answers what is no function, and says that arguments have no place there", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* snakepit("call", "math.pi"), { exitCode: 0, stdout: "3.141592653589793\n" })
      const run = yield* snakepit("call", "math.pi", "--args", "[1]", "--json")
      assert.deepStrictEqual(JSON.parse(run.stdout).error, {
        tag: "TypeError",
        message: "math.pi is a value, which is printed without --args and --kwargs",
        pythonType: "TypeError"
      })
      // of the function's own
      const own = yield* snakepit("call", "functools.reduce", "--args", "[1, [2, 3]]")
      assert.match(own.stderr, /^TypeError: 'int' object is not callable/)
    })
  )

  it.live("names the target of a builtin's attribute", () =>
    Effect.gen(function* () {
      const { exitCode, stderr } = yield* snakepit("call", "range.__len__")
      assert.strictEqual(exitCode, 1)
      assert.strictEqual(stderr, "ModuleNotFoundError: range is a builtin: snakepit call builtins.range.__len__\n")
      const target = "builtins.dict.fromkeys"
      assert.strictEqual((yield* snakepit("call", target, "--args", '[["a"]]')).stdout, "{ a: null }\n")
      assert.include((yield* snakepit("call", "nobody.f")).stderr, "no module named 'nobody'")
    })
  )

  it.live("a signal that stops it leaves one JSON document, when JSON is asked for, and exit code 130", () =>
    Effect.gen(function* () {
      for (const signal of ["SIGINT", "SIGTERM"]) {
        // from the worker, once it runs
        const code = `import os, signal, time; os.kill(os.getppid(), signal.${signal}); time.sleep(60)`
        const { exitCode, stdout } = yield* snakepit("call", "exec", "--args", JSON.stringify([code]), "--json")
        assert.strictEqual(exitCode, 130)
        assert.strictEqual(JSON.parse(stdout).error.tag, "Interrupted")
      }
    })
  )

  it.live("a signal that comes when the result is printed, and Python ends, adds nothing to it", () =>
    Effect.gen(function* () {
      const parts = ["import atexit, os, signal, time", "atexit.register(time.sleep, 1)"]
      const code = [...parts, "atexit.register(os.kill, os.getppid(), signal.SIGINT)"].join("; ")
      const { exitCode, stdout } = yield* snakepit("call", "exec", "--args", JSON.stringify([code]), "--json")
      assert.deepStrictEqual({ exitCode, stdout }, { exitCode: 130, stdout: "null\n" })
    })
  )

  it.live("what Python prints goes to stderr, and leaves stdout to the result", () =>
    Effect.gen(function* () {
      const run = yield* snakepit("call", "print", "--args", '["snake"]', "--json")
      assert.deepStrictEqual(run, { exitCode: 0, stdout: "null\n", stderr: "snake\n" })
    })
  )
})
