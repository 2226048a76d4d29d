import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as PythonError from "../src/PythonError.ts"

const fail = (error: PythonError.PythonError): Effect.Effect<string, PythonError.PythonError> => Effect.fail(error)

describe("PythonError", () => {
  it("has a class for each tag, whose instances carry it", () => {
    assert.isAbove(PythonError.tags.length, 60)
    for (const tag of PythonError.tags) {
      const error = PythonError.of(tag, "message")
      assert.strictEqual(error._tag, tag)
      assert.instanceOf(error, Error)
      assert.strictEqual(error.message, "message")
      assert.isTrue(PythonError.isPythonError(error))
      assert.strictEqual(error.mro.at(-1), "BaseException")
    }
  })

  it("knows what Python's exceptions descend from", () => {
    const mro = (tag: PythonError.Tag) => PythonError.of(tag, "").mro
    assert.deepStrictEqual(mro("KeyError"), ["KeyError", "LookupError", "Exception", "BaseException"])
    assert.deepStrictEqual(mro("BrokenPipeError"), [
      "BrokenPipeError",
      "ConnectionError",
      "OSError",
      "Exception",
      "BaseException"
    ])
    assert.deepStrictEqual(mro("ExceptionGroup"), [
      "ExceptionGroup",
      "BaseExceptionGroup",
      "Exception",
      "BaseException"
    ])
    assert.deepStrictEqual(mro("SystemExit"), ["SystemExit", "BaseException"])
    assert.deepStrictEqual(mro("PythonException"), ["Exception", "BaseException"])
  })

  it("a library's own class stands before the built-in one", () => {
    const error = PythonError.of("ValueError", "line 1", {
      pythonType: "json.decoder.JSONDecodeError",
      notes: ["a note"]
    })
    assert.deepStrictEqual(error.mro, ["json.decoder.JSONDecodeError", "ValueError", "Exception", "BaseException"])
    assert.deepStrictEqual(error.notes, ["a note"])
    assert.deepStrictEqual(error.args, ["line 1"])
  })

  it("an unknown tag becomes PythonException, names of Object.prototype included", () => {
    const details = {
      pythonType: "BrandNewError",
      mro: ["BrandNewError", "Exception", "BaseException"],
      message: "x",
      args: [],
      frames: [],
      notes: [],
      exceptions: [],
      mayHaveExecuted: true
    }
    for (const tag of ["BrandNewError", "constructor", "toString"]) {
      const error = PythonError.makeUnsafe(tag, details)
      assert.strictEqual(error._tag, "PythonException")
      assert.strictEqual(error.pythonType, "BrandNewError")
    }
  })

  it("carries its cause and its context", () => {
    const cause = PythonError.of("KeyError", "'rate'")
    const error = PythonError.of("ValueError", "no rate", { cause, context: cause, exceptions: [cause] })
    assert.strictEqual(error.cause, cause)
    assert.strictEqual(error.context, cause)
    assert.deepStrictEqual(error.exceptions, [cause])
  })

  it("is recognised by a schema, and other errors are not", () => {
    const is = Schema.is(PythonError.PythonError)
    assert.isTrue(is(PythonError.of("TypeError", "x")))
    assert.isFalse(is(new TypeError("x")))
    assert.isFalse(PythonError.isPythonError(new TypeError("x")))
    assert.isFalse(PythonError.isPythonError(null))
  })

  it.effect("is caught by its tag", () =>
    Effect.gen(function* () {
      const caught = yield* fail(PythonError.of("ValueError", "bad")).pipe(
        Effect.catchTag("ValueError", (error) => Effect.succeed(error.message))
      )
      assert.strictEqual(caught, "bad")
    })
  )

  it.effect("is caught as Python would, by any ancestor", () =>
    Effect.gen(function* () {
      const recover = PythonError.catchInstanceOf("LookupError", (error) => Effect.succeed(error._tag))
      assert.strictEqual(yield* recover(fail(PythonError.of("KeyError", "'x'"))), "KeyError")
      const other = yield* Effect.flip(recover(fail(PythonError.of("ValueError", "x"))))
      assert.strictEqual(other._tag, "ValueError")
      const untouched = yield* Effect.flip(recover(Effect.fail("text")))
      assert.strictEqual(untouched, "text")
    })
  )
})
