import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { describe } from "vitest"
import { PoolConfig, PythonError, Snakepit, type TestWorker } from "@snakepit/core"
import { elapse, outcome, type Script, scripted, type ScriptedWorker } from "./scriptedWorker.ts"

const answer = (worker: ScriptedWorker, number: number, value: unknown) => worker.answer(number, Exit.succeed(value))

/** Crashes the worker of the first calls, and answers the ones after them with how many there have been. */
const crashFirst = (crashes: number): Script => {
  let calls = 0
  return (worker, number) => {
    if (++calls <= crashes) worker.crash()
    else answer(worker, number, calls)
  }
}

const statsOf = Effect.flatMap(Snakepit.stats, ([stats]) => Effect.fromNullishOr(stats))

describe("retries", () => {
  it.effect("an idempotent call runs again on another worker", () => {
    const { layer, workers } = scripted({ size: 2 }, crashFirst(2))
    return Effect.gen(function* () {
      assert.strictEqual(yield* elapse(Snakepit.call("f", { idempotent: true })), 3)
      const stats = yield* statsOf
      assert.deepStrictEqual([stats.requests, stats.retries, stats.errors], [1, 2, 0])
      assert.isAbove(workers.length, 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a call that is not idempotent fails with the crash, and may have run", () => {
    const { layer } = scripted({ size: 1 }, crashFirst(1))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("f"))
      assert(error._tag === "WorkerCrash")
      assert.isTrue(error.mayHaveExecuted)
      assert.strictEqual((yield* statsOf).retries, 0)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the policy never leaves idempotent calls alone, and always repeats the others", () =>
    Effect.gen(function* () {
      const never = scripted({ size: 1, crashBarrier: { retry: "never" } }, crashFirst(1))
      const error = yield* Effect.flip(Effect.provide(Snakepit.call("f", { idempotent: true }), never.layer))
      assert.propertyVal(error, "_tag", "WorkerCrash")
      const always = scripted({ size: 1, crashBarrier: { retry: "always" } }, crashFirst(1))
      assert.strictEqual(yield* Effect.provide(elapse(Snakepit.call("f")), always.layer), 2)
    })
  )

  it.effect("a call fails with its last crash when the retries are used up", () => {
    const { layer, workers } = scripted({ size: 1, crashBarrier: { maxRetries: 1 } }, crashFirst(9))
    return Effect.gen(function* () {
      const error = yield* elapse(Effect.flip(Snakepit.call("f", { idempotent: true })))
      assert.propertyVal(error, "_tag", "WorkerCrash")
      assert.propertyVal(error, "worker", workers[1]?.id)
    }).pipe(Effect.provide(layer))
  })

  it.effect("the crash is the answer when the schedule of the backoff ends", () => {
    const { layer } = scripted({ size: 1, crashBarrier: { backoff: Schedule.recurs(0) } }, crashFirst(9))
    return Effect.gen(function* () {
      const error = yield* elapse(Effect.flip(Snakepit.call("f", { idempotent: true })))
      assert.propertyVal(error, "_tag", "WorkerCrash")
    }).pipe(Effect.provide(layer))
  })

  it.effect("a call waits out the backoff before it runs again", () => {
    const { layer, workers } = scripted({ size: 2, crashBarrier: { backoff: { initial: "1 second" } } }, crashFirst(1))
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Snakepit.call("f", { idempotent: true }), { startImmediately: true })
      yield* TestClock.adjust(700)
      assert.isUndefined(fiber.pollUnsafe())
      assert.isTrue(workers.every((worker) => worker.calls.size === 0))
      assert.deepStrictEqual(yield* outcome(fiber), Exit.succeed(2))
    }).pipe(Effect.provide(layer))
  })

  it.effect("a caller who leaves during the backoff costs nothing", () => {
    const { layer } = scripted({ size: 1 }, crashFirst(1))
    return Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Snakepit.call("f", { idempotent: true }), { startImmediately: true })
      yield* TestClock.adjust(10)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 minute")
      const stats = yield* statsOf
      assert.deepStrictEqual([stats.retries, stats.queued, stats.busy], [0, 0, 0])
    }).pipe(Effect.provide(layer))
  })

  it.effect("closing the pool during the backoff answers the call with its crash", () =>
    Effect.gen(function* () {
      const { layer } = scripted({ size: 1 }, crashFirst(1))
      const scope = yield* Scope.make()
      const context = yield* Scope.provide(Layer.build(layer), scope)
      const call = Effect.provide(Snakepit.call("f", { idempotent: true }), context)
      const fiber = yield* Effect.forkChild(Effect.flip(call), { startImmediately: true })
      yield* TestClock.adjust(10)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Fiber.join(fiber)
      assert.propertyVal(error, "_tag", "WorkerCrash")
    })
  )

  it.live("a deadline that passes during the backoff says that the call may have run", () => {
    const { layer } = scripted(
      { size: 1, crashBarrier: { backoff: { initial: "1 hour", max: "1 hour" } } },
      crashFirst(1)
    )
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("f", { idempotent: true, timeout: 20 }))
      assert(error._tag === "CallTimeout")
      assert.isTrue(error.mayHaveExecuted)
    }).pipe(Effect.provide(layer))
  })

  it.effect("a call of a session is not moved to a worker that lacks its objects", () => {
    const { layer } = scripted({ size: 2 }, crashFirst(1))
    return Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const error = yield* Effect.flip(session.call("f", { idempotent: true }))
      assert.propertyVal(error, "_tag", "WorkerCrash")
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("a stream starts again only when none of its values has come", () => {
    let runs = 0
    const script: Script = (worker, number, observer) => {
      runs++
      if (observer.call.args[0] === "late") observer.onChunk([1])
      if (runs === 1 || observer.call.args[0] === "late") worker.crash()
      else {
        observer.onChunk([1, 2])
        answer(worker, number, undefined)
      }
    }
    const { layer } = scripted({ size: 1 }, script)
    return Effect.gen(function* () {
      const early = Stream.runCollect(Snakepit.stream("g", { idempotent: true }))
      assert.deepStrictEqual(yield* elapse(early), [1, 2])
      const late = Snakepit.stream("g", { args: ["late"], idempotent: true })
      const seen: Array<unknown> = []
      const error = yield* elapse(Effect.flip(Stream.runForEach(late, (value) => Effect.sync(() => seen.push(value)))))
      assert.deepStrictEqual(seen, [1])
      assert.propertyVal(error, "_tag", "WorkerCrash")
    }).pipe(Effect.provide(layer))
  })

  it.effect("calls that had not begun are moved, even into a full waiting room, and are no retries", () => {
    let crashed = false
    // fast answers earn trust, so that calls are sent ahead
    const script: Script = (worker, number, observer) => {
      if (observer.call.target === "warm" || crashed) answer(worker, number, observer.call.target)
    }
    const { layer, workers } = scripted({ size: 1, maxQueue: 1 }, script)
    return Effect.gen(function* () {
      for (let index = 0; index < 60; index++) yield* Snakepit.call("warm")
      const running = yield* Effect.forkChild(Effect.flip(Snakepit.call("slow")), { startImmediately: true })
      const ahead = yield* Effect.forkChild(Snakepit.call("behind"), { startImmediately: true })
      const waiting = yield* Effect.forkChild(Snakepit.call("waiting"), { startImmediately: true })
      yield* Effect.yieldNow
      assert.strictEqual(workers[0]?.calls.size, 2)
      crashed = true
      workers[0]?.crash()
      assert.propertyVal(yield* Fiber.join(running), "_tag", "WorkerCrash")
      assert.deepStrictEqual(yield* outcome(ahead), Exit.succeed("behind"))
      assert.deepStrictEqual(yield* outcome(waiting), Exit.succeed("waiting"))
      const stats = yield* statsOf
      assert.deepStrictEqual([stats.moved, stats.retries, stats.rejected], [1, 0, 0])
    }).pipe(Effect.provide(layer))
  })

  it.effect("a disabled barrier retries nothing and remembers nothing", () => {
    const { layer } = scripted(
      { size: 1, crashBarrier: { enabled: false, retry: "always", poisonAfter: 1 } },
      crashFirst(2)
    )
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("f"))
      assert.propertyVal(error, "_tag", "WorkerCrash")
      const again = yield* elapse(Effect.flip(Snakepit.call("f")))
      assert.propertyVal(again, "_tag", "WorkerCrash")
    }).pipe(Effect.provide(layer))
  })
})

describe("poison", () => {
  const poison: Script = (worker, number, observer) => {
    const [value] = observer.call.args
    if (value === "poison") worker.crash()
    else answer(worker, number, value)
  }

  it.effect("a call that killed three workers fails as PoisonCall with its history", () => {
    const { layer, workers } = scripted({ size: 1 }, poison)
    return Effect.gen(function* () {
      const error = yield* elapse(Effect.flip(Snakepit.call("f", { args: ["poison"], idempotent: true })))
      assert(error._tag === "PoisonCall")
      assert.isTrue(error.mayHaveExecuted)
      assert.deepStrictEqual(
        error.crashes.map((mark) => [mark.worker, mark.crash]),
        [
          ["default-0", "segfault"],
          ["default-1", "segfault"],
          ["default-2", "segfault"]
        ]
      )
      const running = workers.length
      const again = yield* Effect.flip(Snakepit.call("f", { args: ["poison"] }))
      assert(again._tag === "PoisonCall")
      assert.isFalse(again.mayHaveExecuted)
      assert.strictEqual(workers.length, running)
    }).pipe(Effect.provide(layer))
  })

  it.effect("equal calls count together, others of the target run", () => {
    const { layer } = scripted({ size: 1, crashBarrier: { poisonAfter: 2 } }, poison)
    const call = (value: string) =>
      elapse(Effect.result(Snakepit.call("f", { args: [value], kwargs: { a: [1, { b: 2 }] } })))
    return Effect.gen(function* () {
      const first = yield* call("poison")
      assert.isTrue(first._tag === "Failure" && first.failure._tag === "WorkerCrash")
      const second = yield* call("poison")
      assert.isTrue(second._tag === "Failure" && second.failure._tag === "PoisonCall" && second.failure.mayHaveExecuted)
      const third = yield* call("poison")
      assert.isTrue(third._tag === "Failure" && third.failure._tag === "PoisonCall" && !third.failure.mayHaveExecuted)
      assert.isTrue((yield* call("food"))._tag === "Success")
    }).pipe(Effect.provide(layer))
  })

  it.effect("an equal call that comes back clears the name", () => {
    let calls = 0
    const everySecond: Script = (worker, number) => (++calls % 2 === 1 ? worker.crash() : answer(worker, number, calls))
    const { layer } = scripted({ size: 1, crashBarrier: { poisonAfter: 2 } }, everySecond)
    return Effect.gen(function* () {
      for (let round = 1; round <= 3; round++) {
        assert.strictEqual(yield* elapse(Snakepit.call("f", { idempotent: true })), round * 2)
      }
    }).pipe(Effect.provide(layer))
  })

  it.effect("`markOn` says which crashes count, for each pool by itself", () => {
    const pools = {
      lenient: { size: 1, crashBarrier: { poisonAfter: 2, markOn: ["oom"] } },
      strict: { size: 1, crashBarrier: { poisonAfter: 2, markOn: ["killed"] } }
    } as const
    const kill: TestWorker.Targets = { kill: (_args, _kwargs, { crash }) => crash("killed") }
    const tagsIn = (pool: string) =>
      Effect.forEach([1, 2, 3], () =>
        Effect.map(elapse(Effect.flip(Snakepit.call("kill", { pool }))), ({ _tag }) => _tag)
      )
    return Effect.gen(function* () {
      assert.deepStrictEqual(yield* tagsIn("lenient"), ["WorkerCrash", "WorkerCrash", "WorkerCrash"])
      assert.deepStrictEqual(yield* tagsIn("strict"), ["WorkerCrash", "PoisonCall", "PoisonCall"])
    }).pipe(Effect.provide(Snakepit.layerTest(kill, { pools })))
  })

  it.effect("kills from outside, ends that nobody saw, and crashes with several suspects are nobody's fault", () =>
    Effect.gen(function* () {
      for (const crash of ["killed", "exit"] as const) {
        const ended = scripted({ size: 1, crashBarrier: { poisonAfter: 1 } }, (worker) => worker.crash(crash, null))
        const error = yield* Effect.flip(Effect.provide(Snakepit.call("f"), ended.layer))
        assert.propertyVal(error, "_tag", "WorkerCrash")
      }
      const threads = scripted(
        { size: 1, profile: "thread", threads: 2, crashBarrier: { poisonAfter: 1 } },
        (worker) => void (worker.calls.size === 2 && worker.crash())
      )
      const both = Effect.all([Effect.flip(Snakepit.call("f")), Effect.flip(Snakepit.call("g"))], { concurrency: 2 })
      for (const one of yield* Effect.provide(both, threads.layer)) assert.propertyVal(one, "_tag", "WorkerCrash")
    })
  )
})

describe("taint", () => {
  it.effect("a worker is replaced after an exception that taints it", () => {
    const script: Script = (worker, number, observer) =>
      observer.call.target === "f"
        ? worker.answer(number, Exit.fail(PythonError.of("MemoryError", "no room")))
        : answer(worker, number, worker.id)
    const { layer } = scripted({ size: 1, crashBarrier: { taintOnErrorTypes: ["MemoryError"] } }, script)
    return Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("g"), "default-0")
      const error = yield* Effect.flip(Snakepit.call("f"))
      assert.strictEqual(error._tag, "MemoryError")
      assert.strictEqual(yield* elapse(Snakepit.call("g")), "default-1")
    }).pipe(Effect.provide(layer))
  })

  it.effect("the place of a worker stays empty after an exit code that taints it", () => {
    let closed = 0
    const { layer, workers } = scripted(
      { size: 1, crashBarrier: { taintOnExitCodes: [78], taintDuration: "30 seconds" } },
      (worker) => worker.crash("exit", 78),
      { onClose: () => void closed++ }
    )
    return Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("f"))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(workers.length, 1)
      // its device is free for others meanwhile
      assert.strictEqual(closed, 1)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(workers.length, 2)
    }).pipe(Effect.provide(layer))
  })
})

describe("configuration", () => {
  const refused = (crashBarrier: object) => Effect.flip(PoolConfig.resolve("ml", { crashBarrier }))

  it.effect("names the nested key that does not hold", () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<[object, string]> = [
        [{ retry: "sometimes" }, "retry"],
        [{ maxRetries: -1 }, "maxRetries"],
        [{ backoff: { initial: "soon" } }, "backoff.initial"],
        [{ backoff: { factor: 2 } }, "backoff.factor"],
        [{ markOn: ["flu"] }, "markOn"],
        [{ taintOnExitCodes: [1.5] }, "taintOnExitCodes"],
        [{ max_restarts: 1 }, "max_restarts"]
      ]
      for (const [given, key] of cases) {
        assert.strictEqual((yield* refused(given)).key, `pools.ml.crashBarrier.${key}`)
      }
    })
  )
})
