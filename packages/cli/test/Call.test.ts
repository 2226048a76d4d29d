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

  it.live("an exception is said on stderr, with exit code 1", () =>
    Effect.gen(function* () {
      const run = yield* snakepit("call", "math.sqrt", "--args", "[-1]")
      assert.strictEqual(run.exitCode, 1)
      assert.strictEqual(run.stdout, "")
      assert.match(run.stderr, /^ValueError: math domain error/)
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
      assert.strictEqual(run.exitCode, 1)
      assert.include(run.stderr, "expected a JSON array")
    })
  )
})

describe("snakepit", () => {
  it.live("completes in a shell", () =>
    Effect.gen(function* () {
      const run = yield* snakepit("--completions", "bash")
      assert.include(run.stdout, "status")
    })
  )
})
