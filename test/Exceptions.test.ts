/** Every exception in a real worker, caught by its tag in TypeScript: the built-in ones here, libraries' in `LibraryErrors.test.ts`. */
import { PythonError, Snakepit, type SnakepitError } from "@snakepit/core"
import { assert, describe, it, layer } from "@effect/vitest"
import { Table, vectorFromArray } from "apache-arrow"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { inspect } from "node:util"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Match from "effect/Match"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { pool, pythonOf, tempDirectory, waitUntil, withPool } from "./harness.ts"

/** What a call fails with, which has to be a Python exception. */
const raised = <R>(call: Effect.Effect<unknown, SnakepitError.SnakepitError, R>) =>
  Effect.flatMap(Effect.flip(call), (error) =>
    PythonError.isPythonError(error) ? Effect.succeed(error) : Effect.die(error)
  )

class NoStock extends Data.TaggedError("NoStock")<{ readonly item: string }> {
  override get message() {
    return `no ${this.item} left`
  }
}

const refuse = (item: string) => Effect.fail(new NoStock({ item }))

/** Raises every built-in exception of a worker's Python, and a subclass of each, and catches it by its tag in every way there is. */
const eachArrivesByItsTag = Effect.gen(function* () {
  const names = yield* Snakepit.call("raising.names", { success: Schema.Array(Schema.String) })
  assert.isAbove(names.length, 60)
  for (const name of names) {
    const isRoot = name === "Exception" || name === "BaseException"
    // one tag stands for all of them: the compiler takes them alike
    const tag = (isRoot ? "PythonException" : name) as "ValueError"
    const caught = <R>(call: Effect.Effect<unknown, SnakepitError.SnakepitError, R>) =>
      Effect.catchTag(call, tag, (error) => Effect.succeed(error))
    const error = yield* caught(Snakepit.call("raising.builtin", { args: [name] }))
    if (!PythonError.isPythonError(error)) return assert.fail(`${name}: ${String(error)}`)
    assert.strictEqual(error._tag, tag)
    assert.strictEqual(error.pythonType, name)
    assert.isTrue(PythonError.isInstanceOf(error, name))
    assert.isTrue(Schema.is(PythonError[tag])(error))
    assert.isTrue(Schema.is(PythonError.PythonError)(error))
    const matched = Match.value(error).pipe(
      Match.tag(tag, ({ frames }) => frames.at(-1)?.function),
      Match.orElse(() => "another")
    )
    assert.strictEqual(matched, "builtin")
    // what the class without Python says of its ancestry is what Python says
    if (!isRoot) assert.deepStrictEqual(error.mro, PythonError.of(tag, "").mro)
    const own = yield* caught(Snakepit.call("raising.subclass", { args: [name] }))
    if (!PythonError.isPythonError(own)) return assert.fail(`a subclass of ${name}: ${String(own)}`)
    assert.strictEqual(own._tag, tag)
    assert.strictEqual(own.pythonType, "raising.Own")
  }
  return names
})

/** The tags that are no built-in class. */
const ownTags = [
  "PythonException",
  "CallbackError",
  "ShapeMismatch",
  "DtypeMismatch",
  "DeviceMismatch",
  "DeviceNotAvailable",
  "OutOfMemory"
]

/** Built-in classes by the version of Python 3 that brought them. */
const newer: ReadonlyArray<readonly [tag: string, minor: number]> = [
  ["ExceptionGroup", 11],
  ["BaseExceptionGroup", 11],
  ["PythonFinalizationError", 13]
]

describe("Built-in exceptions of each Python", () => {
  for (const minor of [10, 11, 12, 13, 14]) {
    const python = pythonOf(minor)
    it.live.skipIf(python === undefined)(
      `each public one of Python 3.${minor} has a tag, every tag is one of them, and it is caught by it, as a subclass is`,
      () =>
        Effect.gen(function* () {
          const names = new Set<string>(yield* eachArrivesByItsTag)
          const missing = PythonError.tags.filter((tag) => !names.has(tag) && !ownTags.includes(tag))
          assert.deepStrictEqual(missing.sort(), newer.flatMap(([tag, since]) => (minor < since ? [tag] : [])).sort())
        }).pipe(withPool({ python: python ?? "" })),
      60_000
    )
  }
})

layer(pool(), { excludeTestServices: true })("Built-in exceptions", (shared) => {
  shared.effect("each of the Python in use arrives by its tag", () => eachArrivesByItsTag)

  shared.effect("is caught by Effect.catchTag, and members of a group are typed", () =>
    Effect.gen(function* () {
      const caught = yield* Snakepit.call("raising.builtin", { args: ["ExceptionGroup"] }).pipe(
        Effect.catchTag("ExceptionGroup", (group) => Effect.succeed(group.exceptions.map(({ _tag }) => _tag)))
      )
      assert.deepStrictEqual(caught, ["ValueError", "KeyError"])
    })
  )

  shared.effect("arrives out of a stream, a constructor, __getattr__, a method, an async task and a thread", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const stream = Snakepit.stream("raising.generator", { args: [3] }).pipe(
        Stream.runForEach((value) => Effect.sync(() => seen.push(value)))
      )
      assert.strictEqual((yield* raised(stream))._tag, "ValueError")
      assert.deepStrictEqual(seen, [0, 1, 2])
      const session = yield* Snakepit.session()
      const broken = yield* raised(session.construct("raising.Model", { args: [true] }))
      assert.strictEqual(broken._tag, "ValueError")
      const model = yield* session.construct("raising.Model")
      assert.strictEqual((yield* raised(model.get("weights")))._tag, "LookupError")
      assert.strictEqual((yield* raised(model.call("fit")))._tag, "ArithmeticError")
      assert.strictEqual((yield* raised(Snakepit.call("raising.later")))._tag, "TimeoutError")
      assert.strictEqual((yield* raised(Snakepit.call("raising.in_thread")))._tag, "BufferError")
      assert.strictEqual(yield* Snakepit.call("raising.destructor"), "went on")
    })
  )

  shared.effect("an exception that is hard to describe arrives as something true, and the worker goes on", () =>
    Effect.gen(function* () {
      const hostile = yield* raised(Snakepit.call("raising.hostile"))
      assert.strictEqual(hostile._tag, "PythonException")
      assert.strictEqual(hostile.pythonType, "raising._Hostile")
      assert.include(hostile.message, "RuntimeError")
      assert.match(String(hostile.args[0]), /^<object object/)
      const large = yield* raised(Snakepit.call("raising.large", { args: [10_000_000] }))
      assert.isBelow(large.message.length, 10_000)
      assert.include(large.message, "9992000 more characters are left out")
      const circular = yield* raised(Snakepit.call("raising.circular"))
      assert.strictEqual(circular.cause?._tag, "KeyError")
      assert.isUndefined(circular.cause?.cause)
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    })
  )
})

layer(pool({ size: 2 }), { excludeTestServices: true })("TypeScript errors that went through Python", (shared) => {
  shared.effect("keep their type: the very object comes back", () =>
    Effect.gen(function* () {
      const error = yield* raised(Snakepit.call("calling_back.apply", { args: [refuse, "tea"] }))
      if (error._tag !== "CallbackError") return assert.fail(error.message)
      assert.instanceOf(error.original, NoStock)
      const caught = yield* Snakepit.call("calling_back.apply", { args: [refuse, "tea"] }).pipe(
        Effect.mapError(PythonError.as(NoStock)),
        Effect.catchTag("NoStock", ({ item }) => Effect.succeed(`no ${item}`))
      )
      assert.strictEqual(caught, "no tea")
    })
  )

  shared.effect("keep it in sessions, in streams, as defects and through callbacks inside of callbacks", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const asNoStock = Effect.mapError(PythonError.as(NoStock))
      const inSession = yield* Effect.flip(asNoStock(session.call("calling_back.apply", { args: [refuse, "tea"] })))
      assert.instanceOf(inSession, NoStock)
      const stream = Snakepit.stream("calling_back.stream_through", { args: [() => refuse("tea"), 1] }).pipe(
        Stream.mapError(PythonError.as(NoStock)),
        Stream.runCollect
      )
      assert.instanceOf(yield* Effect.flip(stream), NoStock)
      const bug = new RangeError("a bug")
      const thrown = yield* raised(
        Snakepit.call("calling_back.apply", {
          args: [
            () => {
              throw bug
            }
          ]
        })
      )
      assert.strictEqual(thrown._tag === "CallbackError" ? thrown.original : undefined, bug)
      const inner = (item: string) => Snakepit.call("calling_back.apply", { args: [refuse, item] })
      const nested = yield* Effect.flip(asNoStock(Snakepit.call("calling_back.apply", { args: [inner, "tea"] })))
      assert.instanceOf(nested, NoStock)
    })
  )
})

layer(pool(), { excludeTestServices: true })("The story of an error", (shared) => {
  const callChained = () => Snakepit.call("raising.chained")

  shared.effect("begins at the TypeScript call, crosses to the target and ends where Python raised", () =>
    Effect.gen(function* () {
      const error = yield* raised(callChained())
      const [head, site, boundary, ...python] = (error.stack ?? "").split("\n")
      assert.strictEqual(head, "ValueError: the rate is missing")
      assert.match(site ?? "", /^    at callChained \(.*Exceptions\.test\.ts:\d+:\d+\)$/)
      const at = python.findIndex((line) => /^    at chained \(.*raising\.py:\d+/.test(line))
      assert.isAtLeast(at, 0, error.stack)
      assert.isTrue([boundary, ...python].some((line) => line?.includes("-- Python: raising.chained [function]")))
      assert.strictEqual(python[at + 1]?.trim(), 'raise ValueError("the rate is missing") from error')
    })
  )

  shared.effect("is what Cause.pretty prints, with Python's causes", () =>
    Effect.gen(function* () {
      const cause = yield* Effect.flip(Effect.sandbox(callChained()))
      const pretty = Cause.pretty(cause)
      assert.include(pretty, "ValueError: the rate is missing\n    at callChained (")
      assert.include(pretty, "-- Python: raising.chained [function]")
      assert.include(pretty, "[cause]: KeyError: 'rate'")
    })
  )

  shared.effect("is told for sessions, refs, streams and Snakepit's own errors too", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const model = yield* session.construct("raising.Model")
      const stories = [
        yield* raised(session.call("raising.chained")),
        yield* raised(model.call("fit")),
        yield* raised(Stream.runDrain(Snakepit.stream("raising.generator", { args: [0] }))),
        yield* Effect.flip(Snakepit.call("time.sleep", { args: [30], timeout: "50 millis" }))
      ]
      for (const { stack } of stories) {
        assert.match(stack ?? "", /^.*\n    at .*Exceptions\.test\.ts:\d+:\d+/)
        assert.include(stack, "-- Python: ")
      }
    })
  )
})

layer(pool({ preload: ["numpy"], memoryLimit: 64 * 1024 * 1024 }), { excludeTestServices: true })(
  "Machine learning",
  (shared) => {
    shared.effect("shapes that do not fit are told with their numbers, and the Python class stays known", () =>
      Effect.gen(function* () {
        const add = Snakepit.call("numpy.add", {
          args: [
            [1, 2, 3],
            [1, 2]
          ]
        })
        const error = yield* raised(add)
        if (error._tag !== "ShapeMismatch") return assert.fail(PythonError.render(error, { colors: false }))
        assert.deepStrictEqual(error.dimension?.sizes, [3, 2])
        const caught = PythonError.catchInstanceOf("ValueError", ({ _tag }) => Effect.succeed(_tag))
        assert.strictEqual(yield* caught(add), "ShapeMismatch")
        assert.include(error.stack, `    suggestion: ${error.suggestion}`)
        assert.isTrue(Schema.is(PythonError.ShapeMismatch)(error))
      })
    )

    shared.effect("no memory below the worker's ceiling is OutOfMemory, and the worker goes on", () =>
      Effect.gen(function* () {
        const error = yield* raised(Snakepit.call("numpy.ones", { args: [100_000_000] }))
        if (error._tag !== "OutOfMemory") return assert.fail(PythonError.render(error, { colors: false }))
        assert.strictEqual(error.device, "cpu")
        assert.strictEqual(error.requestedBytes, 800_000_000)
        assert.isTrue(PythonError.isInstanceOf(error, "MemoryError"))
        assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
      })
    )
  }
)

it.live("a warning of Python is a log record with category, file and line, once for each place", () =>
  Effect.gen(function* () {
    const records: Array<{ readonly level: string; readonly message: string; readonly annotations: object }> = []
    const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
      const annotations = fiber.getRef(References.CurrentLogAnnotations)
      if ("category" in annotations) records.push({ level: logLevel, message: String(message), annotations })
    })
    yield* Effect.gen(function* () {
      for (const text of ["mind the gap", "mind the gap", "and the step"]) {
        yield* Snakepit.call("raising.warn", { args: [text] })
      }
      yield* waitUntil("both warnings are logged", () => records.length >= 2)
    }).pipe(withPool({}, Logger.layer([logger])), Effect.provide(Logger.layer([logger])))
    assert.deepStrictEqual(
      records.map(({ level, message }) => [level, message]),
      [
        ["Warn", "UserWarning: mind the gap"],
        ["Warn", "UserWarning: and the step"]
      ]
    )
    const { file, line, ...rest } = { ...records[0]?.annotations } as Record<string, unknown>
    assert.deepStrictEqual(rest, { category: "UserWarning", pool: "default", worker: "default-0" })
    assert.match(String(file), /raising\.py$/)
    assert.isNumber(line)
  })
)

it.live("what nobody waits for, of a destructor or a thread, is told in the log with class, message and place", () =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const logger = Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])
    yield* Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("raising.destructor"), "went on")
      assert.strictEqual(yield* Snakepit.call("raising.in_unwatched_thread"), "went on")
      yield* waitUntil(
        "both are logged",
        () => /in the destructor/.test(lines.join()) && /nobody waits/.test(lines.join())
      )
    }).pipe(withPool({}, logger), Effect.provide(logger))
    const text = lines.join("\n")
    assert.match(text, /__del__[^]*raising\.py", line \d+[^]*OSError: in the destructor/)
    assert.match(text, /Exception in thread[^]*raising\.py", line \d+[^]*ValueError: nobody waits/)
  })
)

it.live("limits and redaction are options of the pool", () =>
  Effect.gen(function* () {
    const error = yield* raised(Snakepit.call("raising.large", { args: [5_000] }))
    assert.match(error.message, /^x{100}\.\.\. \[4900 more characters are left out\]$/)
    const cut = error.truncated?.find(({ field }) => field === "message")
    assert.deepStrictEqual(cut, { field: "message", kept: 100, total: 5_000, reason: "limit" })
    const chained = yield* raised(Snakepit.call("raising.in_thread"))
    assert.strictEqual(chained.frames.length, 1)
    assert.strictEqual(chained.truncated?.find(({ field }) => field === "frames")?.kept, 1)
    const unparsable = yield* raised(Snakepit.call("raising.unparsable"))
    assert.strictEqual(unparsable._tag, "SyntaxError")
    assert.deepInclude(unparsable.syntax, { file: "given.py", line: 2, source: "b = = 2" })
  }).pipe(withPool({ errors: { maxFrames: 1, maxMessageLength: 100, redactPaths: false } }))
)

it.live("a failed call leaves a script that raises the same exception, with arrays and tables beside it", () =>
  Effect.scoped(
    Effect.gen(function* () {
      const generateRepro = yield* tempDirectory
      const table = new Table({ price: vectorFromArray([1, 2]) })
      const calls: ReadonlyArray<readonly [call: ReturnType<typeof Snakepit.call>, files: ReadonlyArray<string>]> = [
        [Snakepit.call("math.sqrt", { args: [-1] }), []],
        [Snakepit.call("numpy.add", { args: [new Float32Array(3), new Float32Array(2)] }), ["arrays.npz"]],
        [Snakepit.call("pyarrow.Table.column", { args: [table, "cost"] }), ["table0.parquet"]]
      ]
      yield* Effect.gen(function* () {
        for (const [call, files] of calls) {
          const error = yield* raised(call)
          if (error.repro === undefined) return assert.fail(`there is no script: ${inspect(error)}`)
          assert.isTrue(error.repro.startsWith(generateRepro))
          const folder = path.dirname(error.repro)
          assert.sameMembers(fs.readdirSync(folder), ["arguments.json", "reproduce.py", ...files])
          const python = path.join(process.env["VIRTUAL_ENV"] ?? "", "bin", "python")
          const { status, stderr } = spawnSync(python, [error.repro], { encoding: "utf8" })
          assert.strictEqual(status, 1)
          assert.include(stderr, `${error.pythonType}: ${error.message}`, stderr)
        }
      }).pipe(withPool({ errors: { generateRepro } }))
    })
  )
)

it.live("an option of errors that does not hold stops the start, with key, value and what is allowed", () =>
  Effect.gen(function* () {
    const refused = (errors: object) =>
      Effect.map(Effect.flip(Effect.void.pipe(withPool({ errors }))), ({ message }) => message)
    assert.include(
      yield* refused({ maxFrames: 0 }),
      "`pools.default.errors.maxFrames`: expected an integer of at least 1, got 0"
    )
    assert.include(yield* refused({ maxMessageLength: "8k" }), "`pools.default.errors.maxMessageLength`")
    assert.include(yield* refused({ redactPaths: "no" }), "`pools.default.errors.redactPaths`: expected a boolean")
    assert.include(yield* refused({ generateRepro: "" }), "`pools.default.errors.generateRepro`: expected a string")
    assert.include(yield* refused({ frames: 3 }), "`pools.default.errors.frames`: expected a known key: maxFrames,")
    assert.include(yield* refused([]), "`pools.default.errors`: expected an object")
  })
)
