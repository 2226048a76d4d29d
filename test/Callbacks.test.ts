/** TypeScript functions as arguments: Python calls them while its call runs, and afterwards no more. */
import { PythonError, RetryPolicy, Snakepit, SnakepitError } from "@snakepit/core"
import { SharedMemory } from "@snakepit/zero-copy"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { pool, waitForIdle, waitUntil, withPool } from "./harness.ts"

class NoStock extends Data.TaggedError("NoStock")<{ readonly item: string }> {
  override get message() {
    return `no ${this.item} left`
  }
}

class Prices extends Context.Service<Prices, { readonly of: (item: string) => number }>()("test/Prices") {}

layer(pool(), { excludeTestServices: true })("Callbacks", (shared) => {
  shared.effect("an Effect, a plain value and a Promise all come back to Python", () =>
    Effect.gen(function* () {
      const twice = (value: number) => Effect.succeed(value * 2)
      assert.strictEqual(yield* Snakepit.call("calling_back.apply", { args: [twice, 21] }), 42)
      assert.strictEqual(yield* Snakepit.call("calling_back.apply", { args: [(value: number) => value + 1, 1] }), 2)
      assert.strictEqual(
        yield* Snakepit.call("calling_back.apply", { args: [async (value: number) => value - 1, 1] }),
        0
      )
    })
  )

  shared.effect("whatever has a `then` is awaited, and one that throws fails the callback", () =>
    Effect.gen(function* () {
      // eslint-disable-next-line unicorn/no-thenable -- that is the point
      const thenable = () => ({ then: (resolve: (value: number) => void) => setTimeout(() => resolve(42), 1) })
      assert.strictEqual(yield* Snakepit.call("calling_back.apply", { args: [thenable] }), 42)
      const hostile = () => ({
        // eslint-disable-next-line unicorn/no-thenable -- that is the point
        get then() {
          throw new Error("broken inside")
        }
      })
      const caught = yield* Snakepit.call("calling_back.caught", { args: [hostile], success: Schema.Array(Schema.Any) })
      assert.include(String(caught[2]), "broken inside")
    })
  )

  shared.effect("an asynchronous Effect suspends Python until it is done", () =>
    Effect.gen(function* () {
      const gate = yield* Latch.make(false)
      const call = yield* Effect.forkChild(
        Snakepit.call("calling_back.apply", { args: [() => Effect.as(gate.await, "through")] }),
        { startImmediately: true }
      )
      yield* gate.open
      assert.strictEqual(yield* Fiber.join(call), "through")
    })
  )

  shared.effect("one call may call back many times", () =>
    Effect.gen(function* () {
      const seen: Array<number> = []
      const square = (value: number) => {
        seen.push(value)
        return value * value
      }
      const numbers = Array.from({ length: 200 }, (_, index) => index)
      assert.deepStrictEqual(
        yield* Snakepit.call("calling_back.apply_many", { args: [square, numbers] }),
        numbers.map((value) => value * value)
      )
      assert.deepStrictEqual(seen, numbers)
    })
  )

  shared.effect("keyword arguments arrive as a last object, and every value crosses as itself", () =>
    Effect.gen(function* () {
      const seen: Array<ReadonlyArray<unknown>> = []
      yield* Snakepit.call("calling_back.apply", {
        args: [(...args: ReadonlyArray<unknown>) => void seen.push(args), 1n << 70n, new Uint8Array([1])],
        kwargs: { key: new Set([1]) }
      })
      assert.deepStrictEqual(seen, [[1n << 70n, new Uint8Array([1]), { key: new Set([1]) }]])
    })
  )

  shared.effect("a function may stand inside of other arguments and be a keyword argument", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      assert.strictEqual(
        yield* session.call("calling_back.apply", { kwargs: { function: () => "by keyword" } }),
        "by keyword"
      )
      const found = yield* session.ref("plain.echo", { args: [{ inner: [() => "found"] }] })
      const inner = yield* found.ref("get", { args: ["inner"] })
      assert.strictEqual(yield* session.call("len", { args: [inner] }), 1)
    })
  )

  shared.effect("the function runs in the context of the caller", () =>
    Effect.gen(function* () {
      const price = (item: string) => Effect.map(Prices, (prices) => prices.of(item))
      const result = yield* Snakepit.call("calling_back.apply", { args: [price, "tea"] }).pipe(
        Effect.provideService(Prices, { of: (item) => item.length })
      )
      assert.strictEqual(result, 3)
    })
  )

  shared.effect("a failure is raised in Python as CallbackError with its tag and message", () =>
    Effect.gen(function* () {
      const fails = (item: string) => Effect.fail(new NoStock({ item }))
      assert.deepStrictEqual(yield* Snakepit.call("calling_back.caught", { args: [fails, "tea"] }), [
        "CallbackError",
        "NoStock",
        "no tea left"
      ])
    })
  )

  shared.effect("a failure without a message is told by its tag or name", () =>
    Effect.gen(function* () {
      class Silent extends Data.TaggedError("Silent")<{ readonly code: number }> {}
      const silent: ReadonlyArray<readonly [() => unknown, string]> = [
        [() => Effect.fail(new Silent({ code: 3 })), "Silent"],
        [() => Effect.fail({ _tag: "Plain" }), "Plain"],
        [() => Effect.fail(new RangeError()), "RangeError"],
        [() => Effect.fail(null), "null"]
      ]
      for (const [fails, name] of silent) {
        const error = yield* Effect.flip(Snakepit.call("calling_back.apply", { args: [fails] }))
        assert.strictEqual(error._tag, "CallbackError")
        assert.strictEqual(error.message, name)
      }
    })
  )

  shared.effect("an uncaught failure of a callback fails the call as a Python exception", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Snakepit.call("calling_back.apply", { args: [() => Effect.fail(new NoStock({ item: "tea" }))] })
      )
      assert.strictEqual(error._tag, "CallbackError")
      assert.include(error.message, "no tea left")
    })
  )

  shared.effect("a defect, a thrown error and a rejected promise are raised in Python with their message", () =>
    Effect.gen(function* () {
      const faults: ReadonlyArray<() => unknown> = [
        () => Effect.die(new Error("broken inside")),
        () => {
          throw new Error("broken inside")
        },
        async () => {
          throw new Error("broken inside")
        }
      ]
      for (const fault of faults) {
        const caught = yield* Snakepit.call("calling_back.caught", { args: [fault], success: Schema.Array(Schema.Any) })
        assert.strictEqual(caught[0], "CallbackError")
        assert.include(String(caught[2]), "broken inside")
      }
    })
  )

  shared.effect("a result that cannot cross fails the callback, and the call goes on", () =>
    Effect.gen(function* () {
      const caught = yield* Snakepit.call("calling_back.caught", {
        args: [() => ({ deep: new WeakMap() })],
        success: Schema.Array(Schema.Any)
      })
      assert.strictEqual(caught[1], "EncodeError")
      assert.match(String(caught[2]), /^result\.deep cannot cross/)
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
      const around: Array<unknown> = []
      around.push([around])
      const cycle = yield* Effect.flip(Snakepit.call("calling_back.apply", { args: [() => around] }))
      assert.match(cycle.message, /result\[0\]\[0\] cannot cross to Python: got a reference back to result\./)
    })
  )

  shared.effect("a callback may itself call Python, and that call may call back", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        const countdown = (depth: number): Effect.Effect<unknown, SnakepitError.SnakepitError, Snakepit.Snakepit> =>
          depth === 0
            ? Effect.succeed("bottom")
            : Snakepit.call("calling_back.nested", { args: [countdown, depth - 1] })
        return yield* countdown(3)
      })
      assert.strictEqual(yield* program.pipe(withPool({ size: 4 })), "bottom")
    })
  )

  shared.effect("a callback may call its own session's worker where threads are free", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const inner = () => session.call("math.sqrt", { args: [16] })
      assert.strictEqual(yield* session.call("calling_back.apply", { args: [inner] }), 4)
    }).pipe(withPool({ profile: "thread", threads: 2 }))
  )

  shared.effect("a callback that needs the very worker that waits for it is told so at once", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const other = yield* Snakepit.session()
      const inner = () => session.call("math.sqrt", { args: [16] })
      const refused = (outer: () => unknown) =>
        Effect.gen(function* () {
          let error: unknown = yield* Effect.flip(session.call("calling_back.apply", { args: [outer] }))
          while (error instanceof PythonError.CallbackError) error = error.original
          assert.instanceOf(error, SnakepitError.SessionBusy)
          assert.isTrue(error.waitsForItself)
          assert.include(error.message, "each waits for the other")
        })
      yield* refused(inner)
      yield* refused(() => Effect.retry(inner(), RetryPolicy.make({ initial: "1 minute" })))
      // by way of another session's worker, and another callback
      yield* refused(() => other.call("calling_back.apply", { args: [inner] }))
      assert.strictEqual(yield* inner(), 4)
    }).pipe(withPool({ size: 2, queueTimeout: "1 minute" }))
  )

  shared.effect("a callback may use its own session where nothing waits for it: from async def, and for later", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const inner = () => session.call("math.sqrt", { args: [16] })
      assert.strictEqual(yield* session.call("calling_back.apply_async", { args: [inner] }), 4)
      const later = yield* Deferred.make<unknown, SnakepitError.SnakepitError>()
      const forked = () => Effect.asVoid(Effect.forkDetach(Deferred.into(inner(), later)))
      // long enough that the call looks as if it waited for itself
      yield* session.call("calling_back.apply_and_sleep", { args: [forked, 0.3] })
      assert.strictEqual(yield* Deferred.await(later), 4)
    }).pipe(withPool({ size: 1 }))
  )

  shared.effect("a call on a thread that user code started works", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("calling_back.from_thread", { args: [(n: number) => n * 3, 5] }), 15)
    })
  )

  shared.effect("a callback runs on the call's thread", () =>
    Effect.gen(function* () {
      let seen: unknown
      const thread = yield* Snakepit.call("calling_back.with_thread_name", {
        args: [(name: string) => void (seen = name)]
      })
      assert.strictEqual(seen, thread)
    })
  )

  shared.effect("async code awaits callbacks, many at a time", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("calling_back.apply_async", { args: [(n: number) => n + 1, 1] }), 2)
      let waiting = 0
      const everybody = yield* Latch.make(false)
      // each waits for all the others, so all must be under way at the same time
      const meet = (index: number) =>
        Effect.suspend(() => {
          waiting++
          return Effect.as(waiting === 20 ? everybody.open : everybody.await, index)
        })
      assert.deepStrictEqual(
        yield* Snakepit.call("calling_back.gather", { args: [meet, 20] }),
        Array.from({ length: 20 }, (_, index) => index)
      )
    })
  )

  shared.effect("a failure is raised at the await of async code", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* Snakepit.call("calling_back.caught_async", { args: [() => Effect.fail(new NoStock({ item: "tea" }))] }),
        ["NoStock", "no tea left"]
      )
    })
  )

  shared.effect("a generator calls back between its values", () =>
    Effect.gen(function* () {
      const values = yield* Stream.runCollect(
        Snakepit.stream("calling_back.stream_through", { args: [(n: number) => n * 10, 20] })
      )
      assert.deepStrictEqual(
        values,
        Array.from({ length: 20 }, (_, index) => index * 10)
      )
    })
  )

  shared.effect("outside sessions a function ends with its call", () =>
    Effect.gen(function* () {
      yield* Snakepit.call("calling_back.keep", { args: [() => "too late"] })
      const error = yield* Effect.flip(Snakepit.call("calling_back.call_kept"))
      assert.include(error.message, "has ended")
    })
  )

  shared.effect("in a session a function lives as long as the session", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const session = yield* Scope.provide(Snakepit.session(), scope)
      const model = yield* session.construct("calling_back.Model", { args: [(n: number) => n + 0.5] })
      assert.strictEqual(yield* model.call("predict", { args: [1] }), 1.5)
      yield* session.call("calling_back.keep", { args: [() => "still here"] })
      assert.strictEqual(yield* session.call("calling_back.call_kept"), "still here")
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(Snakepit.call("calling_back.call_kept"))
      assert.include(error.message, "has ended")
    })
  )

  shared.effect("interrupting the call interrupts the callback that runs for it", () =>
    Effect.gen(function* () {
      const begun = yield* Latch.make(false)
      let stopped = false
      const hang = () =>
        Effect.andThen(begun.open, Effect.never).pipe(
          Effect.onInterrupt(() => Effect.sync(() => void (stopped = true)))
        )
      const call = yield* Effect.forkChild(Snakepit.call("calling_back.apply", { args: [hang] }))
      yield* begun.await
      yield* Fiber.interrupt(call)
      yield* waitUntil("the callback was interrupted", () => stopped)
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    })
  )
})

describe("Callbacks and frames", () => {
  it.live("an answer above the frame limit fails the callback, and the worker goes on", () =>
    Effect.gen(function* () {
      const before = yield* Snakepit.call("os.getpid")
      const caught = yield* Snakepit.call("calling_back.caught", {
        args: [() => new Uint8Array(100_000)],
        success: Schema.Array(Schema.Any)
      })
      assert.include(String(caught[2]), "maxFrameBytes")
      assert.strictEqual(yield* Snakepit.call("os.getpid"), before)
    }).pipe(withPool({ maxFrameBytes: 65_536 }))
  )

  it.live("arguments for a callback above the frame limit fail in Python, and the worker goes on", () =>
    Effect.gen(function* () {
      const before = yield* Snakepit.call("os.getpid")
      const error = yield* Effect.flip(
        Snakepit.call("calling_back.apply_to_bytes", { args: [(bytes: Uint8Array) => bytes.length, 100_000] })
      )
      assert.include(error.message, "maxFrameBytes")
      assert.strictEqual(yield* Snakepit.call("os.getpid"), before)
    }).pipe(withPool({ maxFrameBytes: 65_536 }))
  )

  it.live("a call made by a callback while no worker is free waits, and times out, also when the worker is fast", () =>
    Effect.gen(function* () {
      yield* Effect.forEach(Array.from({ length: 200 }), () => Snakepit.call("math.sqrt", { args: [4] }), {
        concurrency: 50
      })
      const nested = () =>
        Effect.flip(Snakepit.call("math.sqrt", { args: [4] })).pipe(Effect.map((error) => error._tag))
      assert.strictEqual(yield* Snakepit.call("calling_back.apply", { args: [nested] }), "QueueTimeout")
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    }).pipe(withPool({ size: 1, queueTimeout: 500 }))
  )
})

const MIB = 1024 * 1024

const arenaOf = Effect.flatMap(SharedMemory.SharedMemory, (memory) =>
  Effect.map(memory.pool(), ({ arena }) => (typeof arena === "string" ? assert.fail(arena) : arena))
)

/** A function that answers an array of a MiB, and the most that was held when it was asked. */
const watched = Effect.map(arenaOf, (arena) => {
  const seen = { most: 0 }
  const fetch = (index: number) => {
    seen.most = Math.max(seen.most, arena.heldBytes)
    return new Float64Array(MIB / 8).fill(index)
  }
  return { arena, fetch, seen }
})

const ascending = Array.from({ length: 40 }, (_, index) => index)

describe("large arrays that functions answer", () => {
  for (const profile of ["process", "thread"] as const) {
    it.live(`are held while Python looks at them, not until the call ends: ${profile}`, () =>
      Effect.gen(function* () {
        const { arena, fetch, seen } = yield* watched
        assert.deepStrictEqual(yield* Snakepit.call("calling_back.pull", { args: [fetch, 40] }), ascending)
        assert.deepStrictEqual(yield* Snakepit.call("calling_back.pull_async", { args: [fetch, 40] }), ascending)
        const items = Snakepit.stream("calling_back.pull_items", { args: [fetch, 40] })
        assert.deepStrictEqual(yield* Stream.runCollect(items), ascending)
        assert.isAtMost(seen.most, 4 * MIB)
        yield* waitUntil("nothing is held", () => arena.heldBytes === 0)
      }).pipe(withPool({ profile }))
    )
  }

  it.live("are not held when the rest of the answer cannot cross", () =>
    Effect.gen(function* () {
      const { arena, fetch, seen } = yield* watched
      const half = (index: number) => [fetch(index), Symbol("cannot cross")]
      assert.strictEqual(yield* Snakepit.call("calling_back.try_many", { args: [half, 20] }), 0)
      assert.strictEqual(seen.most, 0)
      assert.strictEqual(arena.heldBytes, 0)
    }).pipe(withPool())
  )

  it.live("are not held when nobody waits for them any more", () =>
    Effect.gen(function* () {
      const { arena, fetch } = yield* watched
      const gaveUp = yield* Latch.make(false)
      const late = () => Effect.as(gaveUp.await, fetch(1))
      const session = yield* Snakepit.session()
      assert.strictEqual(yield* session.call("calling_back.give_up_on", { args: [late] }), "gave up")
      yield* gaveUp.open
      for (let round = 0; round < 30; round++) {
        yield* Effect.exit(Snakepit.call("calling_back.pull", { args: [fetch, 1e6], timeout: 5 + round }))
      }
      yield* waitForIdle()
      yield* waitUntil("nothing is held", () => arena.heldBytes === 0)
    }).pipe(withPool({ cancelGrace: 0 }))
  )
})

describe("arrays that Python makes in shared memory", () => {
  for (const profile of ["process", "thread"] as const) {
    it.live(`cost neither memory nor the worker when their call is stopped: ${profile}`, () =>
      Effect.gen(function* () {
        const arena = yield* arenaOf
        yield* Snakepit.call("numpy.zeros", { args: [1] })
        const before = yield* Snakepit.call("os.getpid")
        for (let round = 0; round < 40; round++) {
          yield* Effect.exit(
            Snakepit.call("calling_back.make_arrays", { args: [MIB / 16], timeout: 10 + (round % 10) })
          )
        }
        yield* waitForIdle()
        assert.strictEqual(yield* Snakepit.call("os.getpid"), before)
        yield* Effect.promise(() => arena.relieve())
        yield* waitUntil("nothing is held", () => arena.heldBytes === 0)
      }).pipe(withPool({ profile, cancelGrace: 0 }))
    )
  }
})
