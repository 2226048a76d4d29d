import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import { TestClock } from "effect/testing"
import * as PythonError from "../src/PythonError.ts"
import * as Snakepit from "../src/Snakepit.ts"
import { WorkerStartError } from "../src/SnakepitError.ts"
import * as TestWorker from "../src/TestWorker.ts"
import { WorkerSpawner } from "../src/WorkerSpawner.ts"
import * as Tool from "../src/Tool.ts"
import { elapse, scripted } from "./scriptedWorker.ts"
import { makeTracer } from "./tracing.ts"

const attributesOf = (span: Tracer.NativeSpan | undefined) => Object.fromEntries(span?.attributes ?? [])

const named = (spans: ReadonlyArray<Tracer.NativeSpan>, name: string) => spans.find((span) => span.name === name)

describe("spans", () => {
  const targets: TestWorker.Targets = {
    "a.f": ([x]) => x,
    "a.fails": () => Effect.fail(PythonError.of("ValueError", "bad")),
    "a.items": () => [1, 2, 3],
    "a.Box": () => ({ get: () => 1 }),
    "a.traced": () => Effect.withSpan(Effect.succeed("inner"), "inside")
  }

  it.effect("a call is a span with its target, pool, worker, queue time and time in Python", () => {
    const { spans, tracer } = makeTracer()
    return Effect.gen(function* () {
      yield* Snakepit.call("a.f", { args: [1], attributes: { tenant: "acme" } })
      const span = named(spans, "snakepit.call")
      const attributes = attributesOf(span)
      assert.deepInclude(attributes, {
        "rpc.system": "snakepit",
        "rpc.method": "a.f",
        "snakepit.call_type": "function",
        "snakepit.pool": "default",
        "snakepit.worker": "default-0",
        "snakepit.queue_ms": 0,
        tenant: "acme"
      })
      assert.isNumber(attributes["snakepit.python_ms"])
      assert.strictEqual(span?.kind, "client")
      assert.strictEqual(span?.status._tag, "Ended")
    }).pipe(Effect.withTracer(tracer), Effect.provide(Snakepit.layerTest(targets)))
  })

  it.effect("a failed call ends its span with the failure", () => {
    const { spans, tracer } = makeTracer()
    return Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("a.fails"))
      const status = named(spans, "snakepit.call")?.status
      assert.isTrue(status?._tag === "Ended" && Exit.isFailure(status.exit))
    }).pipe(Effect.withTracer(tracer), Effect.provide(Snakepit.layerTest(targets)))
  })

  it.effect("the span of a call stands below the caller's, and above what the target opens", () => {
    const { spans, tracer } = makeTracer()
    return Effect.gen(function* () {
      yield* Effect.withSpan(Snakepit.call("a.traced"), "outside")
      const [outside, call, inside] = ["outside", "snakepit.call", "inside"].map((name) => named(spans, name))
      const parentOf = (span: Tracer.NativeSpan | undefined) =>
        span?.parent._tag === "Some" ? span.parent.value.spanId : undefined
      assert.strictEqual(parentOf(call), outside?.spanId)
      assert.strictEqual(parentOf(inside), call?.spanId)
      assert.strictEqual(inside?.traceId, outside?.traceId)
    }).pipe(Effect.withTracer(tracer), Effect.provide(Snakepit.layerTest(targets)))
  })

  it.effect("a stream is a span from its first pull to its end", () => {
    const { spans, tracer } = makeTracer()
    return Effect.gen(function* () {
      const stream = Snakepit.stream("a.items")
      assert.isUndefined(named(spans, "snakepit.stream"))
      yield* Stream.runDrain(stream)
      const span = named(spans, "snakepit.stream")
      assert.deepInclude(attributesOf(span), { "rpc.method": "a.items", "snakepit.worker": "default-0" })
      assert.strictEqual(span?.status._tag, "Ended")
    }).pipe(Effect.withTracer(tracer), Effect.provide(Snakepit.layerTest(targets)))
  })

  it.effect("a session is a span as long as its scope, and its calls name it", () => {
    const { spans, tracer } = makeTracer()
    return Effect.gen(function* () {
      const id = yield* Effect.scoped(
        Effect.gen(function* () {
          const session = yield* Snakepit.session()
          const box = yield* session.construct("a.Box")
          yield* box.call("get")
          assert.strictEqual(named(spans, "snakepit.session")?.status._tag, "Started")
          return session.id
        })
      )
      const span = named(spans, "snakepit.session")
      assert.strictEqual(span?.status._tag, "Ended")
      assert.deepInclude(attributesOf(span), { "snakepit.pool": "default" })
      const calls = spans.filter((other) => other.name === "snakepit.call").map(attributesOf)
      assert.deepStrictEqual(
        calls.map((attributes) => [attributes["rpc.method"], attributes["snakepit.session"]]),
        [
          ["a.Box", id],
          ["a.Box.get", id]
        ]
      )
    }).pipe(Effect.withTracer(tracer), Effect.provide(Snakepit.layerTest(targets)))
  })
})

/** A spawner whose first starts fail, over the workers of the test layer. */
const failing = (targets: TestWorker.Targets, fails: (start: number) => boolean): Layer.Layer<WorkerSpawner> => {
  let starts = 0
  return Layer.effect(
    WorkerSpawner,
    Effect.map(WorkerSpawner, ({ spawn }) =>
      WorkerSpawner.of({
        spawn: (wanted) =>
          Effect.suspend(() =>
            fails(starts++)
              ? Effect.fail(
                  new WorkerStartError({ pool: wanted.pool, worker: wanted.worker, reason: "no Python", stderr: [] })
                )
              : spawn(wanted)
          )
      })
    )
  ).pipe(Layer.provide(TestWorker.layer(targets)))
}

describe("supervision", () => {
  const targets: TestWorker.Targets = {
    "a.f": () => "f",
    "a.crash": (_args, _kwargs, { crash }) => crash("abort"),
    "a.who": (_args, _kwargs, { worker }) => worker
  }
  const quiet = Logger.layer([])

  it.effect("a pool whose workers do not start does not start", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(Layer.build(Snakepit.layer({}).pipe(Layer.provide(failing(targets, () => true)))))
      )
      assert.strictEqual(error._tag, "WorkerStartError")
      assert.include(error.message, "no Python")
    })
  )

  it.effect("all workers are there when the pool is", () =>
    Effect.gen(function* () {
      const [stats] = yield* Snakepit.stats
      assert.deepStrictEqual(
        stats?.workers.map(({ state, worker }) => [worker, state]),
        [
          ["default-0", "idle"],
          ["default-1", "idle"],
          ["default-2", "idle"]
        ]
      )
    }).pipe(Effect.provide(Snakepit.layerTest(targets, { pools: { default: { size: 3 } } })))
  )

  it.effect("a crashed worker is replaced, under a new name", () =>
    Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("a.crash"))
      const next = yield* Effect.forkChild(Snakepit.call("a.who"), { startImmediately: true })
      yield* TestClock.adjust("150 millis")
      assert.strictEqual(yield* Fiber.join(next), "default-1")
      const [stats] = yield* Snakepit.stats
      assert.deepInclude(stats, { idle: 1, busy: 0, queued: 0 })
    }).pipe(Effect.provide(Snakepit.layerTest(targets)), Effect.provide(quiet))
  )

  it.effect("the other workers go on while one is down", () =>
    Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("a.crash"))
      assert.strictEqual(yield* Snakepit.call("a.f"), "f")
    }).pipe(Effect.provide(Snakepit.layerTest(targets, { pools: { default: { size: 2 } } })), Effect.provide(quiet))
  )

  it.effect("callers fail at once while no worker can be started, and are served when one can again", () =>
    Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("a.crash"))
      const waiting = yield* Effect.forkChild(Effect.flip(Snakepit.call("a.f")), { startImmediately: true })
      yield* TestClock.adjust("150 millis")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "WorkerStartError")
      assert.strictEqual((yield* Effect.flip(Snakepit.call("a.f")))._tag, "WorkerStartError")
      const session = yield* Effect.flip(Effect.scoped(Snakepit.session()))
      assert.strictEqual(session._tag, "WorkerStartError")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Snakepit.call("a.f"), "f")
    }).pipe(
      Effect.provide(
        Snakepit.layer({ pools: { default: { size: 1, drainTimeout: 0 } } }).pipe(
          Layer.provide(failing(targets, (start) => start === 1 || start === 2))
        )
      ),
      Effect.provide(quiet)
    )
  )

  it.effect(
    "workers that crash too often make the pool unhealthy: callers fail at once and are told why, until one is up",
    () => {
      const { layer, workers } = scripted(
        { size: 1, maxRestarts: 2, crashBarrier: { enabled: false } },
        (worker, number) => (workers.length <= 3 ? worker.crash() : worker.answer(number, Exit.succeed("well")))
      )
      return Effect.gen(function* () {
        for (let crash = 0; crash < 3; crash++) yield* elapse(Effect.flip(Snakepit.call("f")))
        yield* TestClock.adjust(0)
        const refused = yield* Effect.flip(Snakepit.call("f"))
        assert(refused._tag === "PoolUnhealthy")
        assert.deepStrictEqual([refused.crashes, refused.windowMillis], [3, 60_000])
        const [health] = (yield* Snakepit.health).pools
        assert.include(health?.reasons ?? [], "its workers crash more often than `maxRestarts` allows")
        // the next try is after 4 s at the earliest, of which waiting for the last crash has taken one at the most
        yield* TestClock.adjust(2_900)
        assert.strictEqual(workers.length, 3)
        yield* TestClock.adjust(3_100)
        assert.strictEqual(workers.length, 4)
        assert.strictEqual(yield* Snakepit.call("f"), "well")
      }).pipe(Effect.provide(layer), Effect.provide(quiet))
    }
  )

  it.effect("the pool comes back to its size after whatever went wrong with its workers", () => {
    let troubles = 0
    const trouble = () => {
      if (troubles > 0) throw new Error(`trouble ${troubles--}`)
    }
    const tool = Tool.make("t", { description: "", parameters: {}, run: () => Effect.void })
    const { layer, workers } = scripted({ size: 3, tools: [tool], maxRestarts: 1_000 }, () => {}, {
      onSpawn: Effect.suspend(() => {
        if (troubles % 2 === 0) trouble()
        return Effect.void
      }),
      onTools: trouble,
      onClose: trouble
    })
    const open = Effect.map(Snakepit.stats, ([stats]) => stats?.workers.length)
    return Effect.gen(function* () {
      troubles = 12
      for (const worker of [...workers]) worker.crash()
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(troubles, 0)
      assert.strictEqual(yield* open, 3)
    }).pipe(Effect.provide(layer), Effect.provide(quiet))
  })

  it.effect("no more than four workers start at the same time", () => {
    let starting = 0
    let most = 0
    const { layer, workers } = scripted({ size: 10 }, () => {}, {
      onSpawn: Effect.sync(() => (most = Math.max(most, ++starting))).pipe(
        Effect.andThen(Effect.sleep(10)),
        Effect.andThen(Effect.sync(() => starting--))
      )
    })
    return Effect.gen(function* () {
      yield* elapse(Effect.provide(Effect.void, layer))
      assert.strictEqual(workers.length, 10)
      assert.strictEqual(most, 4)
    })
  })

  it.effect("sessions are lost with their worker, and others can be opened on the next", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      assert.strictEqual((yield* Effect.flip(session.call("a.crash")))._tag, "WorkerCrash")
      assert.strictEqual((yield* Effect.flip(session.call("a.f")))._tag, "SessionLost")
      yield* TestClock.adjust("150 millis")
      const next = yield* Snakepit.session()
      assert.strictEqual(yield* next.call("a.f"), "f")
    }).pipe(Effect.scoped, Effect.provide(Snakepit.layerTest(targets)), Effect.provide(quiet))
  )
})

describe("statistics", () => {
  it.effect("count requests and errors, by pool and by worker", () =>
    Effect.gen(function* () {
      yield* Snakepit.call("a.f")
      yield* Effect.flip(Snakepit.call("a.fails"))
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Snakepit.session()
          const [during] = yield* Snakepit.stats
          assert.strictEqual(during?.sessions, 1)
        })
      )
      const [stats] = yield* Snakepit.stats
      assert.deepInclude(stats, { requests: 2, errors: 1, rejected: 0, timeouts: 0, sessions: 0 })
      assert.deepInclude(stats?.workers[0], { requests: 2, errors: 1, inFlight: 0, sessions: 0, state: "idle" })
    }).pipe(
      Effect.provide(
        Snakepit.layerTest({ "a.f": () => 1, "a.fails": () => Effect.fail(PythonError.of("ValueError", "bad")) })
      )
    )
  )
})

describe("concurrency", () => {
  it.effect("calls are spread over the workers, and each runs one at a time", () => {
    let running = 0
    let most = 0
    return Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const hold = Effect.acquireUseRelease(
        Effect.sync(() => {
          most = Math.max(most, ++running)
        }),
        () => Deferred.await(gate),
        () => Effect.sync(() => running--)
      )
      yield* Effect.gen(function* () {
        const fibers = yield* Effect.forEach(Array(6).keys(), () =>
          Effect.forkChild(Snakepit.call("a.hold"), { startImmediately: true })
        )
        yield* Deferred.succeed(gate, undefined)
        yield* Effect.forEach(fibers, Fiber.join)
      }).pipe(Effect.provide(Snakepit.layerTest({ "a.hold": () => hold }, { pools: { default: { size: 3 } } })))
      assert.isAtMost(most, 3)
      assert.strictEqual(running, 0)
    })
  })

  it.effect("the thread profile runs as many at a time as it has threads", () => {
    const arrived = Array.from({ length: 4 }, () => Deferred.makeUnsafe<void>())
    return Effect.gen(function* () {
      const calls = arrived.map((_, index) => Snakepit.call("a.meet", { args: [index] }))
      yield* Effect.all(calls, { concurrency: "unbounded" })
    }).pipe(
      Effect.provide(
        Snakepit.layerTest(
          {
            // each waits for all the others, so they end only if they run side by side
            "a.meet": ([index]: [number]) =>
              Effect.andThen(
                Effect.sync(() => Deferred.doneUnsafe(arrived[index] ?? assert.fail(), Exit.void)),
                Effect.forEach(arrived, (other) => Deferred.await(other), { discard: true })
              )
          },
          { pools: { default: { profile: "thread", threads: 4 } } }
        )
      )
    )
  })
})
