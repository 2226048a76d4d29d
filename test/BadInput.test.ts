/** What wrong input gets: a clear error of its own, at once, and a pool that goes on. */
import { PythonError, Snakepit, SnakepitError } from "@snakepit/core"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { pool, statsOf, withPool } from "./harness.ts"

const failureOf = (target: string, options: Parameters<typeof Snakepit.call>[1] = {}) =>
  Effect.flip(Snakepit.call(target, options))

layer(pool(), { excludeTestServices: true })("Bad input", (shared) => {
  shared.effect("an unknown module is a ModuleNotFoundError that names the target and the nearest module", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("statistic.mean", { args: [[1]] })
      assert.strictEqual(error._tag, "ModuleNotFoundError")
      assert.include(error.message, "statistic.mean")
      assert.include(error.message, "statistics")
    })
  )

  shared.effect("an unknown function is an AttributeError that names the target and the nearest name", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("math.sqrtt", { args: [4] })
      assert.strictEqual(error._tag, "AttributeError")
      assert.include(error.message, "math.sqrtt")
      assert.match(error.message, /sqrt\b/)
    })
  )

  shared.effect("an unknown attribute in the middle of a target is named", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("plain.Conter.helper", { args: [1] })
      assert.strictEqual(error._tag, "AttributeError")
      assert.include(error.message, "Counter")
    })
  )

  shared.effect("an unknown built-in is an AttributeError with the nearest built-in", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("lenn", { args: [[1]] })
      assert.strictEqual(error._tag, "AttributeError")
      assert.include(error.message, "'len'")
    })
  )

  shared.effect("a module attribute that is not there is an AttributeError with the nearest name", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.attribute("plain.VALU"))
      assert.strictEqual(error._tag, "AttributeError")
      assert.include(error.message, "VALUE")
    })
  )

  shared.effect("an unknown method is an AttributeError with the nearest method", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter")
      const error = yield* Effect.flip(counter.call("incremen"))
      assert.strictEqual(error._tag, "AttributeError")
      assert.include(error.message, "increment")
    })
  )

  shared.effect("what cannot be called is a TypeError that names the target", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("plain.VALUE")
      assert.strictEqual(error._tag, "TypeError")
      assert.include(error.message, "not callable")
      assert.include(error.message, "plain.VALUE")
    })
  )

  shared.effect("too few and too many arguments are a TypeError that names the function", () =>
    Effect.gen(function* () {
      const few = yield* failureOf("plain.add", { args: [1] })
      assert.strictEqual(few._tag, "TypeError")
      assert.include(few.message, "right")
      const many = yield* failureOf("plain.add", { args: [1, 2, 3] })
      assert.strictEqual(many._tag, "TypeError")
      for (const error of [few, many]) assert.include(error.message, "add()")
    })
  )

  shared.effect("an unknown keyword is a TypeError that suggests the nearest one", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("plain.add", { args: [1, 2], kwargs: { scal: 3 } })
      assert.strictEqual(error._tag, "TypeError")
      assert.include(error.message, "scal")
      assert.match(error.message, /'scale'/)
    })
  )

  shared.effect("the failed call is in the error: target, call type and argument types", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("plain.add", { args: [1, "2"] })
      if (!PythonError.isPythonError(error)) return assert.fail(error.message)
      assert.strictEqual(error.call?.target, "plain.add")
      assert.strictEqual(error.call?.callType, "function")
      assert.deepStrictEqual(
        error.call?.arguments.map(({ type }) => type),
        ["int", "str"]
      )
    })
  )

  shared.effect("private functions, attributes and dunders are refused", () =>
    Effect.gen(function* () {
      for (const target of [
        "plain._private",
        "plain._hidden.upper",
        "os._exit",
        "plain.__builtins__.get",
        "_thread.get_ident"
      ]) {
        const error = yield* failureOf(target)
        assert.strictEqual(error._tag, "AttributeError", target)
        assert.include(error.message, "allowPrivate")
      }
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter")
      const attempts: ReadonlyArray<Effect.Effect<unknown, SnakepitError.SnakepitError>> = [
        counter.get("_secret"),
        counter.set("_secret", 1),
        counter.call("__class__.__subclasses__"),
        counter.get("__dict__"),
        counter.call("increment.__globals__.get", { args: ["os"] })
      ]
      for (const attempt of attempts) {
        const error = yield* Effect.flip(attempt)
        assert.strictEqual(error._tag, "AttributeError")
        assert.include(error.message, "allowPrivate")
      }
    })
  )

  shared.effect("members and keys that Python takes for one are a DecodeError that says where", () =>
    Effect.gen(function* () {
      for (const value of [
        new Set([1, true, 0, false]),
        new Map<unknown, string>([
          [1, "one"],
          [true, "yes"]
        ])
      ]) {
        const error = yield* failureOf("plain.echo", { args: [{ rows: [value] }] })
        if (error._tag !== "DecodeError") return assert.fail(error.message)
        assert.strictEqual(error.path, "args[0].rows[0]")
        assert.isFalse(error.mayHaveExecuted)
        assert.include(error.message, "equal in Python: 1 and True")
      }
    })
  )

  shared.effect("an empty target is refused", () =>
    Effect.gen(function* () {
      for (const target of ["", ".", "math.", ".sqrt", "math..sqrt"]) {
        const error = yield* failureOf(target)
        assert.isTrue(PythonError.isPythonError(error) || error._tag === "ProtocolError", `${target}: ${error.message}`)
      }
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    })
  )

  shared.effect("an argument that cannot cross is an EncodeError with its path, and nothing is sent", () =>
    Effect.gen(function* () {
      const before = (yield* statsOf()).workers[0]?.requests
      const error = yield* failureOf("plain.echo", { args: [{ rows: [1, 2, Symbol("no")] }] })
      assert.instanceOf(error, SnakepitError.EncodeError)
      assert.strictEqual(error.path, "args[0].rows[2]")
      assert.strictEqual((yield* statsOf()).workers[0]?.requests, before)
      const inKwargs = yield* failureOf("plain.echo", { kwargs: { value: { deep: new WeakMap() } } })
      assert.instanceOf(inKwargs, SnakepitError.EncodeError)
      assert.strictEqual(inKwargs.path, "kwargs.value.deep")
    })
  )

  shared.effect("arguments that are no array, and keywords that are no object, are an EncodeError that says so", () =>
    Effect.gen(function* () {
      for (const [option, given] of [
        ["args", "abc"],
        ["args", 1],
        ["args", { 0: 1 }],
        ["kwargs", "abc"],
        ["kwargs", [1]],
        ["kwargs", 5]
      ] as const) {
        // What a program without types could pass.
        const error = yield* failureOf("plain.echo", { [option]: given } as Parameters<typeof Snakepit.call>[1])
        if (error._tag !== "EncodeError") return assert.fail(error.message)
        assert.strictEqual(error.path, option)
        assert.match(error.reason, option === "args" ? /an array of/ : /an object with/)
      }
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    })
  )

  shared.effect("a cycle among the arguments is an EncodeError", () =>
    Effect.gen(function* () {
      const cycle: Array<unknown> = [1]
      cycle.push(cycle)
      const error = yield* failureOf("plain.echo", { args: [cycle] })
      assert.instanceOf(error, SnakepitError.EncodeError)
      assert.include(error.message, "Cyclic")
    })
  )

  shared.effect("calls before and after one that cannot be encoded are not disturbed", () =>
    Effect.gen(function* () {
      const exits = yield* Effect.forEach(
        Array.from({ length: 30 }, (_, index) => index),
        (index) =>
          Effect.result(Snakepit.call("plain.echo", { args: [index % 3 === 1 ? { bad: new WeakSet() } : index] })),
        { concurrency: "unbounded" }
      )
      exits.forEach((result, index) => {
        if (index % 3 === 1) assert.strictEqual(result._tag, "Failure")
        else assert.strictEqual(result._tag === "Success" && result.success, index)
      })
    })
  )

  shared.effect("a result that does not match its schema is a DecodeError with path, expected and got", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Snakepit.call("plain.echo", {
          args: [{ rows: [{ id: 1 }, { id: "two" }] }],
          success: Schema.Struct({ rows: Schema.Array(Schema.Struct({ id: Schema.Number })) })
        })
      )
      if (error._tag !== "DecodeError") return assert.fail(error.message)
      assert.strictEqual(error.path, "result.rows[1].id")
      assert.include(error.expected, "number")
      assert.include(error.actual, "two")
      assert.isTrue(error.mayHaveExecuted)
    })
  )

  shared.effect("a result that cannot cross is an UnserializableResult with its path, outside sessions", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("plain.unsendable")
      if (error._tag !== "UnserializableResult") return assert.fail(error.message)
      assert.strictEqual(error.path, "result.rows[1]")
      assert.strictEqual(error.pythonType, "plain.Unsendable")
      assert.strictEqual(error.repr, "<Unsendable>")
      assert.include(error.reason, "session")
    })
  )

  shared.effect("a class outside of a session cannot answer a ref, and says so", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("plain.Counter")
      if (error._tag !== "UnserializableResult") return assert.fail(error.message)
      assert.include(error.reason, "session")
    })
  )

  shared.effect("a pool that does not exist is named, with those that do", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("math.sqrt", { args: [4], pool: "compute" } as Parameters<typeof Snakepit.call>[1])
      assert.strictEqual(error._tag, "PoolNotFound")
      assert.include(error.message, '"compute"')
      assert.include(error.message, "default")
    })
  )

  shared.effect("a name that is far from every other gets no suggestion", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("math.xylophone_concerto")
      assert.notInclude(error.message, "did you mean")
    })
  )
})

describe("Bad input to a pool of its own", () => {
  it.live("private names can be reached where allowPrivate is set", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("plain._private"), "private")
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter")
      assert.strictEqual(yield* counter.get("_secret"), "secret")
      assert.strictEqual(yield* counter.get("__class__.__name__"), "Counter")
    }).pipe(withPool({ allowPrivate: true }))
  )

  it.live("arguments above the frame limit are an EncodeError, and the worker goes on", () =>
    Effect.gen(function* () {
      const error = yield* failureOf("plain.echo", { args: [new Uint8Array(100_000)] })
      assert.instanceOf(error, SnakepitError.EncodeError)
      assert.include(error.message, "maxFrameBytes")
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    }).pipe(withPool({ maxFrameBytes: 65_536 }))
  )

  it.live("a result above the frame limit fails its own call, and the worker goes on", () =>
    Effect.gen(function* () {
      const pid = (yield* statsOf()).workers[0]?.pid
      const error = yield* failureOf("bytes", { args: [100_000] })
      assert.include(error.message, "65536")
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
      assert.strictEqual((yield* statsOf()).workers[0]?.pid, pid)
    }).pipe(withPool({ maxFrameBytes: 65_536 }))
  )
})
