import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as path from "node:path"
import { inspect } from "node:util"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Schema from "effect/Schema"
import * as PythonError from "../src/PythonError.ts"
import { tellStory } from "../src/internal/errorStory.ts"

const fail = (error: PythonError.PythonError): Effect.Effect<string, PythonError.PythonError> => Effect.fail(error)

/** The fields of all tags. */
const extra = {
  operation: null,
  suggestion: "do this",
  decidedBy: "class",
  operands: [],
  dimension: null,
  expected: null,
  actual: null,
  operand: null,
  cast: null,
  device: "cpu",
  available: [],
  requestedBytes: null,
  freeBytes: null,
  totalBytes: null
} as const

describe("PythonError", () => {
  it("has a class for each tag, whose instances carry it", () => {
    assert.isAbove(PythonError.tags.length, 60)
    for (const tag of PythonError.tags) {
      // at run time, `of` takes any tag alike, and fields that a tag does not have are left away
      const error = PythonError.of(tag as "OutOfMemory", "message", extra)
      assert.strictEqual(error._tag, tag)
      assert.instanceOf(error, Error)
      assert.strictEqual(error.message, "message")
      assert.isTrue(PythonError.isPythonError(error))
      assert.strictEqual(error.mro.at(-1), "BaseException")
    }
  })

  it("is equal to another with the same fields, wherever the calls of both were made", () => {
    const make = () => PythonError.of("ValueError", "bad rate", { notes: ["a note"] })
    const told = (line: number) =>
      tellStory(make(), { target: "rates.check", callType: "function", site: new Error(`line ${line}`) })
    assert.isTrue(Equal.equals(make(), make()))
    assert.isTrue(Equal.equals(told(1), make()))
    assert.isTrue(Equal.equals(make(), told(1)))
    assert.isTrue(Equal.equals(told(1), told(2)))
    assert.include(told(1).stack, "-- Python: rates.check [function]")
    assert.isFalse(Equal.equals(told(1), PythonError.of("ValueError", "bad rate")))
    assert.isFalse(Equal.equals(told(1), PythonError.of("TypeError", "bad rate", { notes: ["a note"] })))
  })

  it("knows what Python's exceptions descend from", () => {
    const mro = (tag: "KeyError" | "BrokenPipeError" | "ExceptionGroup" | "SystemExit" | "PythonException") =>
      PythonError.of(tag, "").mro
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

  it("is what the constructor of its class makes, however it was made", () => {
    const made = PythonError.of("KeyError", "'x'", { notes: ["a note"], repro: "/r" })
    const constructed = new PythonError.KeyError(PythonError.detailsOf(made))
    assert.strictEqual(Object.getPrototypeOf(made), Object.getPrototypeOf(constructed))
    assert.deepStrictEqual({ ...made }, { ...constructed })
    assert.deepStrictEqual(JSON.parse(JSON.stringify(made)), JSON.parse(JSON.stringify(constructed)))
    assert.strictEqual(String(made), String(constructed))
    assert.strictEqual(Object.prototype.toString.call(made), "[object Error]")
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

  it("has fields of its own for what went wrong between arrays, tensors and devices", () => {
    const error = PythonError.of("OutOfMemory", "no memory", {
      pythonType: "torch.OutOfMemoryError",
      operation: null,
      suggestion: "use a smaller batch",
      decidedBy: "class",
      device: "cuda:0",
      requestedBytes: 2 ** 31,
      freeBytes: null,
      totalBytes: null
    })
    assert.strictEqual(error._tag, "OutOfMemory")
    assert.strictEqual(error.device, "cuda:0")
    assert.isTrue(Schema.is(PythonError.PythonError)(error))
  })
})

class NoStock extends Data.TaggedError("NoStock")<{ readonly item: string }> {}

describe("as", () => {
  const original = new NoStock({ item: "tea" })
  const wrapped = (inner: unknown) => PythonError.of("CallbackError", "no tea left", { original: inner })

  it("gives a TypeScript error that went through Python its type back, however often it did", () => {
    assert.strictEqual(PythonError.as(NoStock)(wrapped(original)), original)
    assert.strictEqual(PythonError.as(NoStock)(wrapped(wrapped(original))), original)
  })

  it("leaves alone what is of none of the classes", () => {
    for (const error of [
      wrapped(new Error("other")),
      PythonError.of("ValueError", "x"),
      new Error("y"),
      "text",
      null
    ]) {
      assert.strictEqual(PythonError.as(NoStock)(error), error)
    }
  })

  it("unwraps a Python error that a callback failed with when its class is asked for", () => {
    const inner = PythonError.of("KeyError", "'rate'")
    assert.strictEqual(PythonError.as(PythonError.KeyError)(wrapped(inner)), inner)
  })
})

describe("stack and render", () => {
  const cause = PythonError.of("KeyError", "'rate'", {
    frames: [{ file: "/app/model.py", line: 11, function: "Model.rate", source: 'return self.options["rate"]' }]
  })
  const error = PythonError.of("ValueError", "the rate is missing", {
    pythonType: "app.BadRate",
    notes: ["while fitting fold 3"],
    cause,
    frames: [
      { file: "/app/train.py", line: 40, function: "fit", source: "loss = model.check()", column: 12, caret: [7, 20] }
    ],
    call: {
      target: "app.train.fit",
      callType: "function",
      arguments: [{ name: "x", type: "torch.Tensor", shape: [2, 3], dtype: "torch.float32", device: "cuda:0" }]
    },
    truncated: [{ field: "frames", kept: 1, total: 40, reason: "limit" }]
  })

  it("tells what was called in Python, and Python's traceback", () => {
    assert.strictEqual(
      error.stack,
      [
        "ValueError: the rate is missing",
        "    -- Python: app.train.fit [function], most recent call last --",
        "    | x: torch.Tensor torch.float32 (2, 3) on cuda:0",
        "    at fit (/app/train.py:40:12)",
        "        loss = model.check()",
        "               ^^^^^^^^^^^^^",
        "    note: while fitting fold 3",
        "    left out: 39 of 40 of frames"
      ].join("\n")
    )
  })

  it("prints well as a cause of Effect, causes of Python's included", () => {
    const pretty = Cause.pretty(Cause.fail(error))
    assert.include(pretty, "ValueError: the rate is missing\n    -- Python: app.train.fit [function]")
    assert.include(pretty, "[cause]: KeyError: 'rate'")
    assert.include(pretty, "at Model.rate (/app/model.py:11)")
  })

  it("renders the whole with causes and members, in colours only when asked to", () => {
    const text = PythonError.render(error, { colors: false })
    assert.include(text, "ValueError (app.BadRate): the rate is missing")
    assert.include(text, "  caused by\n    KeyError: 'rate'\n        at Model.rate (/app/model.py:11)")
    assert.notInclude(text, "\u001b")
    assert.include(PythonError.render(error, { colors: true }), "\u001b[31m")
    const group = PythonError.of("ExceptionGroup", "two", { exceptions: [cause, PythonError.of("OSError", "gone")] })
    assert.include(PythonError.render(group, { colors: false }), "  member 2 of 2:\n    OSError: gone")
  })

  it("renders what was handled when there is no cause, and where a text does not parse", () => {
    const text = PythonError.render(
      PythonError.of("SyntaxError", "invalid syntax", {
        context: cause,
        syntax: { file: "given.py", line: 2, source: "b = = 2", column: 5, caret: [4, 5] }
      }),
      { colors: false }
    )
    assert.include(text, "    at <text> (given.py:2:5)\n        b = = 2\n            ^")
    assert.include(text, "  while handling\n    KeyError: 'rate'")
  })

  it("has no colours where NO_COLOR is set or stderr is no terminal", () => {
    const before = { ...process.env }
    try {
      delete process.env["FORCE_COLOR"]
      process.env["NO_COLOR"] = "1"
      assert.notInclude(PythonError.render(error), "\u001b")
      delete process.env["NO_COLOR"]
      process.env["FORCE_COLOR"] = "1"
      assert.include(PythonError.render(error), "\u001b")
    } finally {
      process.env = before
    }
  })

  it("has colours on a terminal, and none in a file", () => {
    const script = [
      'import { PythonError } from "@snakepit/core"',
      'process.stderr.write(PythonError.render(PythonError.of("ValueError", "bad")))'
    ].join("\n")
    const node = [process.execPath, "--conditions=snakepit-source", "--input-type=module", "-e", script]
    const { FORCE_COLOR: _, NO_COLOR: __, ...rest } = process.env
    const env: NodeJS.ProcessEnv = { ...rest, TERM: "xterm" }
    const run = (command: ReadonlyArray<string>) => {
      const { stderr, stdout } = spawnSync(command[0] ?? "", command.slice(1), {
        cwd: import.meta.dirname,
        encoding: "utf8",
        env
      })
      return stdout + stderr
    }
    assert.notInclude(run(node), "\u001b[31m")
    const python = path.join(env["VIRTUAL_ENV"] ?? "", "bin", "python")
    const inTerminal = [python, "-c", "import pty, sys; pty.spawn(sys.argv[1:])", ...node]
    assert.include(run(inTerminal), "\u001b[31mValueError\u001b[0m: bad")
  })

  it("is what console.error prints, in its colours, instead of the fields; inside of objects too", () => {
    assert.strictEqual(inspect(error), PythonError.render(error, { colors: false }))
    assert.strictEqual(inspect(error, { colors: true }), PythonError.render(error, { colors: true }))
    assert.include(
      inspect({ error }),
      "error: ValueError (app.BadRate): the rate is missing\n      -- Python: app.train.fit"
    )
  })

  it.each([
    [
      PythonError.of("ShapeMismatch", "matmul: no", {
        ...extra,
        operands: [
          { name: "x", shape: [2, 3] },
          { name: "args[1]", shape: [null] }
        ]
      }),
      "shapes: x (2, 3), args[1] (?,)"
    ],
    [
      PythonError.of("DtypeMismatch", "no", { ...extra, expected: "float32", actual: "int64" }),
      "dtypes: expected float32, got int64"
    ],
    [
      PythonError.of("DtypeMismatch", "no", { ...extra, expected: "float32" }),
      "dtypes: expected float32, got one that does not fit"
    ],
    [
      PythonError.of("DeviceMismatch", "no", {
        ...extra,
        operands: [
          { name: "x", device: "cpu" },
          { name: "w", device: "cuda:0" }
        ]
      }),
      "devices: x on cpu, w on cuda:0"
    ],
    [
      PythonError.of("OutOfMemory", "no", {
        ...extra,
        requestedBytes: 80_000_000_000,
        freeBytes: 3.2 * 2 ** 30,
        totalBytes: 900
      }),
      "memory of cpu: 74.5 GiB requested, 3.2 GiB free of 900 bytes"
    ],
    [
      PythonError.of("OutOfMemory", "no", { ...extra, freeBytes: 1024 }),
      "memory of cpu: an unknown amount requested, 1 KiB free of an unknown amount"
    ]
  ])("says what the fields of $_tag say: %#", (mismatch, line) => {
    assert.include(mismatch.stack, `\n    ${line}\n    suggestion: do this`)
  })

  it.each(["DtypeMismatch", "OutOfMemory"] as const)("says nothing of the fields of %s when none is known", (tag) => {
    assert.strictEqual(PythonError.of(tag, "no", extra).stack, `${tag}: no\n    suggestion: do this`)
  })

  it("keeps a stack that somebody sets", () => {
    const own = PythonError.of("ValueError", "x")
    own.stack = "mine"
    assert.strictEqual(own.stack, "mine")
  })
})
