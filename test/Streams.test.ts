/** Streams: bounded by their consumer, ended with what ended them, and closed when the consumer leaves. */
import { Snakepit, SnakepitError } from "@snakepit/core"
import { assert, describe, it, layer } from "@effect/vitest"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import {
  kill,
  pidsOf,
  pool,
  tempDirectory,
  waitForFile,
  waitForIdle,
  waitForWorkers,
  waitUntil,
  withPool
} from "./harness.ts"

const numbers = (stop: number) => Array.from({ length: stop }, (_, index) => index)

/** How many chunks a worker may run ahead of the acks; see `protocol/README.md`. */
const window = 16

layer(pool(), { excludeTestServices: true })("Streams", (shared) => {
  for (const [what, target, args] of [
    ["a generator", "counting_up.count", [100]],
    ["an async generator", "counting_up.async_count", [100]],
    ["a list", "list", [numbers(100)]],
    ["a range", "range", [100]],
    ["an object with __iter__", "counting_up.Iterable", [numbers(100)]],
    ["a coroutine that answers a list", "counting_up.promised_list", [100]],
    ["an iterator", "iter", [numbers(100)]]
  ] as const) {
    shared.effect(`${what} is streamed in order`, () =>
      Effect.gen(function* () {
        const values = yield* Stream.runCollect(Snakepit.stream(target, { args, success: Schema.Int }))
        assert.deepStrictEqual(values, numbers(100))
      })
    )
  }

  shared.effect("an empty generator is an empty stream", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* Stream.runCollect(Snakepit.stream("counting_up.nothing")), [])
    })
  )

  shared.effect("a method of an object is streamed in a session", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const trainer = yield* session.construct("counting_up.Trainer")
      const Epoch = Schema.Struct({ epoch: Schema.Int, loss: Schema.Number })
      const epochs = yield* Stream.runCollect(trainer.stream("fit", { kwargs: { epochs: 2 }, success: Epoch }))
      assert.deepStrictEqual(epochs, [
        { epoch: 0, loss: 1 },
        { epoch: 1, loss: 0.5 }
      ])
    })
  )

  shared.effect("what cannot be iterated fails the stream with a TypeError", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Stream.runDrain(Snakepit.stream("math.sqrt", { args: [4] })))
      assert.strictEqual(error._tag, "TypeError")
      assert.include(error.message, "not iterable")
    })
  )

  for (const target of ["counting_up.fails_after", "counting_up.async_fails_after"]) {
    shared.effect(`an exception arrives after the values before it (${target})`, () =>
      Effect.gen(function* () {
        const seen: Array<unknown> = []
        const error = yield* Snakepit.stream(target, { args: [40] }).pipe(
          Stream.runForEach((value) => Effect.sync(() => seen.push(value))),
          Effect.flip
        )
        assert.deepStrictEqual(seen, numbers(40))
        assert.strictEqual(error._tag, "ValueError")
        assert.include(error.message, "failed after 40")
      })
    )
  }

  shared.effect("a value that does not match its schema fails the stream with its index", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Stream.runDrain(Snakepit.stream("list", { args: [[1, 2, "three"]], success: Schema.Number }))
      )
      assert.instanceOf(error, SnakepitError.DecodeError)
      assert.strictEqual(error.path, "result[2]")
      yield* waitForIdle()
    })
  )

  shared.effect("a value that cannot cross fails the stream with its index, after the values before it", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const error = yield* Snakepit.stream("counting_up.with_bad_item", { args: [3] }).pipe(
        Stream.runForEach((value) => Effect.sync(() => seen.push(value))),
        Effect.flip
      )
      assert.deepStrictEqual(seen, [0, 1, 2])
      assert.instanceOf(error, SnakepitError.UnserializableResult)
      assert.strictEqual(error.path, "result[3]")
    })
  )

  for (const target of ["counting_up.endless", "counting_up.async_endless"]) {
    shared.effect(`leaving a stream closes its generator and frees the worker (${target})`, () =>
      Effect.gen(function* () {
        const file = path.join(yield* tempDirectory, "closed")
        const values = yield* Snakepit.stream(target, { args: [file] }).pipe(Stream.take(3), Stream.runCollect)
        assert.deepStrictEqual(values, [0, 1, 2])
        assert.strictEqual(yield* waitForFile(file), "closed")
        yield* waitForIdle()
        assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
      })
    )

    shared.effect(`interrupting the consumer closes the generator (${target})`, () =>
      Effect.gen(function* () {
        const file = path.join(yield* tempDirectory, "closed")
        const started = yield* Latch.make(false)
        const consumer = yield* Effect.forkChild(
          Snakepit.stream(target, { args: [file] }).pipe(
            Stream.runForEach(() => Effect.andThen(started.open, Effect.never))
          )
        )
        yield* started.await
        yield* Fiber.interrupt(consumer)
        assert.strictEqual(yield* waitForFile(file), "closed")
        yield* waitForIdle()
      })
    )

    shared.effect(`a consumer that fails closes the generator (${target})`, () =>
      Effect.gen(function* () {
        const file = path.join(yield* tempDirectory, "closed")
        const error = yield* Snakepit.stream(target, { args: [file] }).pipe(
          Stream.runForEach((value) => (value === 20 ? Effect.fail("enough" as const) : Effect.void)),
          Effect.flip
        )
        assert.strictEqual(error, "enough")
        assert.strictEqual(yield* waitForFile(file), "closed")
      })
    )
  }

  shared.effect("a generator that is slow to close keeps its worker until it has", () =>
    Effect.gen(function* () {
      const file = path.join(yield* tempDirectory, "closing")
      yield* Snakepit.stream("counting_up.stubborn", { args: [file] }).pipe(Stream.take(1), Stream.runDrain)
      yield* waitForFile(file)
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    })
  )

  shared.effect("a stream that is run twice is two generators", () =>
    Effect.gen(function* () {
      const stream = Snakepit.stream("counting_up.count", { args: [3] })
      assert.deepStrictEqual(yield* Stream.runCollect(stream), [0, 1, 2])
      assert.deepStrictEqual(yield* Stream.runCollect(stream), [0, 1, 2])
    })
  )

  shared.effect("values arrive while the generator still runs", () =>
    Effect.gen(function* () {
      const file = path.join(yield* tempDirectory, "go")
      const first = yield* Latch.make(false)
      const consumer = yield* Effect.forkChild(
        Snakepit.stream("counting_up.waits_between", { args: [file] }).pipe(
          Stream.tap(() => first.open),
          Stream.runCollect
        )
      )
      yield* first.await
      yield* Effect.promise(() => import("node:fs/promises").then((fs) => fs.writeFile(file, "")))
      assert.deepStrictEqual(yield* Fiber.join(consumer), [1, 2])
    })
  )
})

describe("Streams on workers of their own", () => {
  for (const [target, probe] of [
    ["counting_up.count", "how_far"],
    ["counting_up.async_count", "how_far_async"]
  ] as const) {
    it.live(`a consumer that waits stops the producer within the window (${target})`, () =>
      Effect.gen(function* () {
        const gate = yield* Latch.make(false)
        const begun = yield* Latch.make(false)
        const consumer = yield* Effect.forkChild(
          Snakepit.stream(target, { args: [1000] }).pipe(
            Stream.runForEach(() => Effect.andThen(begun.open, gate.await))
          )
        )
        yield* begun.await
        // another thread of the same worker looks at how far the producer has come
        const produced = Snakepit.call(`counting_up.${probe}`, { success: Schema.Int })
        let before = 0
        yield* waitUntil(
          "the producer has come to rest",
          Effect.gen(function* () {
            const now = yield* produced
            const rests = now === before && now >= window
            before = now
            return rests
          })
        )
        assert.isAtMost(before, window + 3)
        yield* gate.open
        yield* Fiber.join(consumer)
        assert.strictEqual(yield* produced, 1000)
      }).pipe(withPool({ profile: "thread", threads: 2 }))
    )
  }

  it.live("a worker that dies in the middle of a stream fails it after the values before", () =>
    Effect.gen(function* () {
      const [pid] = yield* pidsOf()
      const file = path.join(yield* tempDirectory, "never")
      const seen: Array<unknown> = []
      const error = yield* Snakepit.stream("counting_up.waits_between", { args: [file] }).pipe(
        Stream.runForEach((value) => {
          seen.push(value)
          return kill(pid ?? 0, "SIGKILL")
        }),
        Effect.flip
      )
      assert.deepStrictEqual(seen, [1])
      assert.instanceOf(error, SnakepitError.WorkerCrash)
      assert.strictEqual(error.signal, "SIGKILL")
      yield* waitForWorkers(1)
      assert.deepStrictEqual(yield* Stream.runCollect(Snakepit.stream("range", { args: [2] })), [0, 1])
    }).pipe(withPool())
  )

  it.live("many streams on one event loop are interleaved", () =>
    Effect.gen(function* () {
      const streams = Array.from({ length: 20 }, () =>
        Stream.runCollect(Snakepit.stream("counting_up.async_count", { args: [50] }))
      )
      const all = yield* Effect.all(streams, { concurrency: "unbounded" })
      for (const values of all) assert.deepStrictEqual(values, numbers(50))
    }).pipe(withPool())
  )

  it.live("a stream that is too late fails with CallTimeout and closes its generator", () =>
    Effect.gen(function* () {
      const file = path.join(yield* tempDirectory, "closed")
      const error = yield* Snakepit.stream("counting_up.endless", { args: [file], timeout: "100 millis" }).pipe(
        Stream.runDrain,
        Effect.flip
      )
      assert.instanceOf(error, SnakepitError.CallTimeout)
      assert.strictEqual(yield* waitForFile(file), "closed")
    }).pipe(withPool())
  )
})
