/** Calls of functions and module attributes: arguments, results, exceptions. */
import { PythonError, Snakepit, SnakepitError } from "@snakepit/core"
import { assert, layer } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { pool } from "./harness.ts"

layer(pool(), { excludeTestServices: true })("Calls", (it) => {
  it.effect("a result has the type of its schema", () =>
    Effect.gen(function* () {
      const mean: number = yield* Snakepit.call("statistics.mean", { args: [[1, 2, 6]], success: Schema.Number })
      assert.strictEqual(mean, 3)
    })
  )

  it.effect("a name without dots is a built-in", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("len", { args: [[1, 2, 3]] }), 3)
    })
  )

  it.effect("a target may lead through classes and instances of a module", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("plain.Counter.helper", { args: [1] }), 2)
      assert.strictEqual(yield* Snakepit.call("datetime.date.fromisoformat.__name__.upper"), "FROMISOFORMAT")
    })
  )

  it.effect("an object of a module that was replaced is not called any more", () =>
    Effect.gen(function* () {
      const version = Snakepit.call("plain.model.version", { success: Schema.Number })
      assert.deepStrictEqual([yield* version, yield* version], [1, 1])
      yield* Snakepit.call("plain.load_model", { args: [2] })
      assert.deepStrictEqual([yield* version, yield* version], [2, 2])
    })
  )

  it.effect("a submodule that nobody imported is found", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("xml.etree.ElementTree.iselement", { args: [1] }), false)
    })
  )

  it.effect("positional and keyword arguments arrive as such", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("plain.add", { args: [1, 2], kwargs: { scale: 10 } }), 30)
      assert.strictEqual(yield* Snakepit.call("plain.add", { kwargs: { left: 1, right: 2 } }), 3)
      assert.deepStrictEqual(
        yield* Snakepit.call("plain.everything", { args: [1, undefined], kwargs: { a: null, "not a name": 1 } }),
        [[1, null], { a: null, "not a name": 1 }]
      )
    })
  )

  it.effect("a module attribute is read anew each time", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.attribute("math.pi", { success: Schema.Number }), Math.PI)
      assert.strictEqual(yield* Snakepit.attribute("plain.VALUE"), 42)
      yield* Snakepit.call("plain.__dict__.update", { args: [{ VALUE: 43 }] }).pipe(Effect.flip)
      assert.strictEqual(yield* Snakepit.attribute("plain.Counter.kind"), "counter")
    })
  )

  it.effect("an exception is caught by its tag, and has Python's message, type, traceback and call", () =>
    Effect.gen(function* () {
      const error = yield* Snakepit.call("plain.raise_with_notes", { args: [] }).pipe(
        Effect.as(undefined),
        Effect.catchTag("ValueError", Effect.succeed)
      )
      if (error === undefined) return assert.fail("the call succeeded")
      assert.instanceOf(error, PythonError.ValueError)
      assert.strictEqual(error.pythonType, "ValueError")
      assert.deepStrictEqual(
        error.mro,
        ["ValueError", "Exception", "BaseException", "object"].slice(0, error.mro.length)
      )
      assert.deepStrictEqual(error.args, ["outer", 7])
      assert.deepStrictEqual(error.notes, ["first note", "second note"])
      assert.strictEqual(error.cause?._tag, "KeyError")
      assert.strictEqual(error.frames.at(-1)?.function, "raise_with_notes")
      assert.include(error.frames.at(-1)?.source, "raise error from inner")
      assert.strictEqual(error.call?.target, "plain.raise_with_notes")
      assert.isTrue(error.mayHaveExecuted)
    })
  )

  it.effect("an exception of a user's class has the tag of its nearest built-in ancestor", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("plain.raise_own"))
      assert.strictEqual(error._tag, "LookupError")
      assert.strictEqual(PythonError.isPythonError(error) && error.pythonType, "plain.OwnError")
    })
  )

  it.effect("every built-in exception arrives under its own tag", () =>
    Effect.forEach(
      [
        "TypeError",
        "IndexError",
        "ZeroDivisionError",
        "NotImplementedError",
        "RecursionError",
        "MemoryError",
        "PermissionError",
        "TimeoutError",
        "StopIteration",
        "AssertionError",
        "OverflowError",
        "SystemExit",
        "KeyboardInterrupt",
        "GeneratorExit"
      ],
      (name) =>
        Effect.map(Effect.flip(Snakepit.call("plain.raise_given", { args: [name, "why"] })), (error) =>
          assert.strictEqual(error._tag, name)
        ),
      { discard: true }
    )
  )

  it.effect("sys.exit in a call fails the call, and the worker goes on", () =>
    Effect.gen(function* () {
      const before = yield* Snakepit.call("plain.identity")
      assert.strictEqual((yield* Effect.flip(Snakepit.call("faults.raise_exit", { args: [3] })))._tag, "SystemExit")
      assert.deepStrictEqual(yield* Snakepit.call("plain.identity"), before)
    })
  )

  it.effect("an attribute that names a closed set of errors type-checks for catchTag", () =>
    Effect.gen(function* () {
      const caught: unknown = yield* Snakepit.call("math.sqrt", { args: [-1] }).pipe(
        Effect.catchTag(["ValueError", "TypeError"], (error) => Effect.succeed(error.message)),
        Effect.catchTag("WorkerCrash", (error) => Effect.succeed(error.crash))
      )
      assert.match(String(caught), /math domain error|nonnegative/)
    })
  )

  it.effect("hundreds of concurrent calls each get their own result", () =>
    Effect.gen(function* () {
      const numbers = Array.from({ length: 500 }, (_, index) => index)
      const results = yield* Effect.forEach(numbers, (number) => Snakepit.call("plain.echo", { args: [number] }), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(results, numbers)
    })
  )

  it.effect("a failure among concurrent calls fails itself alone", () =>
    Effect.gen(function* () {
      const exits = yield* Effect.forEach(
        Array.from({ length: 100 }, (_, index) => index),
        (index) => Effect.exit(Snakepit.call("math.sqrt", { args: [index % 10 === 3 ? -1 : index * index] })),
        { concurrency: "unbounded" }
      )
      exits.forEach((exit, index) => {
        if (index % 10 === 3) assert.isTrue(Exit.isFailure(exit) && Cause.hasFails(exit.cause))
        else assert.deepStrictEqual(exit, Exit.succeed(index))
      })
    })
  )

  it.effect("arguments and results of several megabytes cross", () =>
    Effect.gen(function* () {
      const bytes = new Uint8Array(5_000_000).map((_, index) => index % 251)
      const back = yield* Snakepit.call("plain.echo", { args: [bytes], success: Schema.Uint8Array })
      assert.isTrue(Buffer.from(back).equals(bytes))
      const text = "蛇".repeat(1_000_000)
      assert.strictEqual(yield* Snakepit.call("plain.echo", { args: [text] }), text)
    })
  )

  it.effect("a call that is too late says so, and the worker serves the next one", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("time.sleep", { args: [60], timeout: "50 millis" }))
      assert.instanceOf(error, SnakepitError.CallTimeout)
      assert.include(error.message, "time.sleep did not finish within 50 ms")
      assert.isTrue(error.mayHaveExecuted)
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    })
  )

  it.effect("a call may take all the time of a generous deadline", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4], timeout: "1 hour" }), 2)
    })
  )

  it.effect("the deadline can be read in Python", () =>
    Effect.gen(function* () {
      const before = Date.now()
      const deadline = yield* Snakepit.call("snakepit_worker.deadline", { timeout: "1 minute", success: Schema.Number })
      assert.isAtLeast(deadline * 1000, before + 60_000 - 1)
      assert.isAtMost(deadline * 1000, Date.now() + 60_001)
      assert.strictEqual(yield* Snakepit.call("snakepit_worker.deadline"), null)
    })
  )
})
