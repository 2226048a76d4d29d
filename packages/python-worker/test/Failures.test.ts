import { PythonError, SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { decodeExit, field } from "../src/internal/failures.ts"

const failure = (...cause: ReadonlyArray<unknown>) => decodeExit({ _tag: "Failure", cause }, "math.sqrt")

const errorOf = (exit: Exit.Exit<unknown, SnakepitError.SnakepitError>): SnakepitError.SnakepitError => {
  if (Exit.isSuccess(exit)) return assert.fail("expected a failure")
  const reason = exit.cause.reasons.find(Cause.isFailReason)
  return reason?.error ?? assert.fail(`expected a typed failure, got ${String(exit.cause)}`)
}

const exception = {
  _tag: "ValueError",
  pythonType: "ValueError",
  mro: ["ValueError", "Exception"],
  message: "math domain error",
  args: ["math domain error"],
  frames: [{ file: "a.py", line: 3, function: "f", source: "g()" }],
  notes: ["a note"],
  cause: null,
  context: null,
  exceptions: [],
  call: {
    target: "math.sqrt",
    callType: "function",
    arguments: [{ name: "x", type: "ndarray", shape: [2], dtype: "<f8" }]
  }
}

describe("decodeExit", () => {
  it("answers the value of a success, also when it is null or missing", () => {
    assert.deepStrictEqual(decodeExit({ _tag: "Success", value: 5 }, "f"), Exit.succeed(5))
    assert.deepStrictEqual(decodeExit({ _tag: "Success", value: null }, "f"), Exit.succeed(null))
  })

  it("makes the tagged error of an exception, with all it carries", () => {
    const error = errorOf(failure({ _tag: "Fail", error: exception }))
    assert.instanceOf(error, PythonError.ValueError)
    assert.deepInclude(
      { ...error },
      {
        pythonType: "ValueError",
        args: ["math domain error"],
        notes: ["a note"],
        frames: exception.frames,
        call: exception.call,
        mayHaveExecuted: true
      }
    )
    assert.strictEqual(error.message, "math domain error")
  })

  it("follows causes, contexts and groups", () => {
    const error = errorOf(
      failure({
        _tag: "Fail",
        error: {
          ...exception,
          cause: { ...exception, _tag: "KeyError" },
          context: exception,
          exceptions: [exception, exception]
        }
      })
    )
    if (!PythonError.isPythonError(error)) return assert.fail("expected a Python error")
    assert.instanceOf(error.cause, PythonError.KeyError)
    assert.instanceOf(error.context, PythonError.ValueError)
    assert.strictEqual(error.exceptions.length, 2)
  })

  it("is PythonException for a tag that it does not know", () => {
    const error = errorOf(
      failure({ _tag: "Fail", error: { ...exception, _tag: "NewError", pythonType: "my.NewError" } })
    )
    assert.strictEqual(error._tag, "PythonException")
    assert.strictEqual(PythonError.isPythonError(error) && error.pythonType, "my.NewError")
  })

  it("cuts a chain of causes that has no end", () => {
    let endless: unknown = { ...exception }
    for (let depth = 0; depth < 500; depth++) endless = { ...exception, cause: endless }
    let error: PythonError.PythonExceptionValue | undefined = errorOf(
      failure({ _tag: "Fail", error: endless })
    ) as PythonError.PythonError
    let length = 0
    for (; error !== undefined; error = error.cause) length++
    assert.isBelow(length, 100)
  })

  for (const [error, fields] of [
    [
      { _tag: "SessionLost", session: "s", reason: "why" },
      { session: "s", reason: "why" }
    ],
    [
      { _tag: "UnserializableResult", path: "result[1]", pythonType: "T", repr: "<T>", reason: "why" },
      { path: "result[1]", pythonType: "T", repr: "<T>", reason: "why" }
    ],
    [
      { _tag: "DecodeError", path: "args[0]", expected: "a date", actual: "a pear" },
      { path: "args[0]", expected: "a date", actual: "a pear", mayHaveExecuted: false }
    ],
    [
      { _tag: "ProtocolError", reason: "why" },
      { reason: "why", mayHaveExecuted: false }
    ]
  ] as const) {
    it(`makes ${error._tag} of the worker's own failure`, () => {
      const made = errorOf(failure({ _tag: "Fail", error }))
      assert.strictEqual(made._tag, error._tag)
      assert.deepInclude(made as object, fields)
    })
  }

  it("is a defect for Die, with target and text", () => {
    const exit = failure({ _tag: "Die", defect: "out of sorts" })
    const text = Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : ""
    assert.include(text, "math.sqrt")
    assert.include(text, "out of sorts")
  })

  it("is an interruption for Interrupt", () => {
    const exit = failure({ _tag: "Interrupt", fiberId: null })
    assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
  })

  it("is a ProtocolError for what is no exit, and for failures of no form", () => {
    for (const exit of [
      undefined,
      null,
      5,
      {},
      { _tag: "Maybe" },
      { _tag: "Failure" },
      { _tag: "Failure", cause: 5 }
    ]) {
      const error = errorOf(decodeExit(exit, "f"))
      assert.instanceOf(error, SnakepitError.ProtocolError)
      assert.include(error.message, "expected the exit of a call")
    }
    for (const error of [undefined, 5, {}, { _tag: 5 }, { _tag: "ValueError" }]) {
      assert.instanceOf(errorOf(failure({ _tag: "Fail", error })), SnakepitError.ProtocolError)
    }
  })

  it("takes an exception whose fields have other types for what can be made of it", () => {
    const error = errorOf(
      failure({
        _tag: "Fail",
        error: {
          _tag: 5,
          pythonType: "T",
          mro: "no list",
          message: null,
          args: 5,
          frames: [null, 5],
          notes: [1],
          exceptions: {}
        }
      })
    )
    assert.strictEqual(error._tag, "PythonException")
  })

  it("is a ProtocolError for a failure without a reason", () => {
    assert.instanceOf(errorOf(failure()), SnakepitError.ProtocolError)
  })
})

describe("field", () => {
  it("reads from anything", () => {
    assert.strictEqual(field({ a: 1 }, "a"), 1)
    for (const value of [undefined, null, 5, "text", []]) assert.isUndefined(field(value, "a"))
  })
})
