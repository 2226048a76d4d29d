import { PythonError, SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
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

  it.each([
    ["shape", "ShapeMismatch", { operation: "matmul", dimension: { axes: [1, 0], sizes: [3, 2] } }],
    ["features", "ShapeMismatch", { operation: null, decidedBy: "message" }],
    ["dtype", "DtypeMismatch", { expected: "torch.float32", cast: "args[0].to(torch.float32)" }],
    ["device", "DeviceMismatch", { suggestion: 'move args[1]: args[1].to("cuda:0")' }],
    [
      "library",
      "ValueError",
      { library: { name: null, version: null, attributes: { msg: "Expecting value", lineno: 2, colno: 2 } } }
    ],
    ["no-device", "DeviceNotAvailable", { device: "cuda", available: ["cpu"] }],
    ["memory", "OutOfMemory", { requestedBytes: 2_147_483_648, totalBytes: null }],
    ["syntax", "SyntaxError", { syntax: { file: "given.py", line: 2, source: "b = = 2", column: 5, caret: [4, 5] } }]
  ])("makes the structured error of the golden message exit-fail-%s", (name, tag, expected: object) => {
    const file = path.join(import.meta.dirname, `../../../protocol/golden/message-exit-fail-${name}.json`)
    const error = errorOf(decodeExit(JSON.parse(fs.readFileSync(file, "utf8")).value.exit, "f"))
    assert.strictEqual(error._tag, tag)
    assert.deepInclude({ ...error } as object, expected)
  })

  it("keeps the tag of Python for machine-learning details that are not what the contract says", () => {
    for (const ml of [null, 5, {}, { _tag: "ShapeMismatch" }, { _tag: "ValueError" }, { _tag: "Unheard" }]) {
      assert.instanceOf(errorOf(failure({ _tag: "Fail", error: { ...exception, ml } })), PythonError.ValueError)
    }
  })

  it("leaves away what is not of the form that the contract says", () => {
    const error = errorOf(
      failure({ _tag: "Fail", error: { ...exception, truncated: 5, syntax: null, library: [], repro: {} } })
    )
    if (!PythonError.isPythonError(error)) return assert.fail("expected a Python error")
    assert.deepStrictEqual([error.truncated, error.syntax, error.library, error.repro], Array(4).fill(undefined))
  })

  it("knows the TypeScript error that a callback failed with, while it is kept", () => {
    const original = new Error("no tea left")
    const error = { ...exception, _tag: "PythonException", mro: [PythonError.callbackErrorType], callback: 7 }
    for (const [originals, expected] of [
      [new Map([[7, original]]), original],
      [new Map(), undefined]
    ] as const) {
      const made = errorOf(decodeExit({ _tag: "Failure", cause: [{ _tag: "Fail", error }] }, "f", originals))
      if (made._tag !== "CallbackError") return assert.fail(made._tag)
      assert.strictEqual(made.original, expected)
    }
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
