import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { describe } from "vitest"
import { CircuitBreaker, PoolConfig, PythonError, Snakepit } from "@snakepit/core"
import { elapse, scripted } from "./scriptedWorker.ts"

const fail = Effect.fail({ _tag: "CallTimeout" })

const opened = Effect.gen(function* () {
  const breaker = yield* CircuitBreaker.make("model")
  for (let failure = 0; failure < 5; failure++) yield* Effect.flip(breaker.guard(fail))
  assert.strictEqual(yield* breaker.state, "open")
  return breaker
})

describe("make", () => {
  it.effect("opens after five failures in a row and says when to come back", () =>
    Effect.gen(function* () {
      const breaker = yield* opened
      yield* TestClock.adjust("10 seconds")
      const error = yield* Effect.flip(breaker.guard(Effect.die("must not run")))
      assert.deepInclude(error, { _tag: "CircuitOpen", pool: "model", retryAfterMillis: 20_000 })
    })
  )

  for (const [key, input] of [
    ["probes", { probes: 0 }],
    ["successes", { successes: 0 }],
    ["failures", { failures: 1.5 }],
    ["openDuration", { openDuration: -1 }],
    ["failure", Object({ failure: 2 })]
  ] as const) {
    it.effect(`does not take ${JSON.stringify(input)}`, () =>
      Effect.gen(function* () {
        const defect = yield* Effect.flip(Effect.catchDefect(CircuitBreaker.make("model", input), Effect.fail))
        assert.deepInclude(defect, { _tag: "ConfigError", key: `circuitBreaker.${key}` })
      })
    )
  }

  it.effect("a success in between begins the count anew", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("model", { failures: 2 })
      yield* Effect.flip(breaker.guard(fail))
      yield* breaker.guard(Effect.void)
      yield* Effect.flip(breaker.guard(fail))
      assert.strictEqual(yield* breaker.state, "closed")
    })
  )

  it.effect("other failures and interruptions are not outages", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("model", { failures: 1 })
      yield* Effect.flip(breaker.guard(Effect.fail({ _tag: "ValueError" })))
      const fiber = yield* Effect.forkChild(breaker.guard(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(yield* breaker.state, "closed")
    })
  )

  it.effect("lets three probes through when half open, and closes after three successes", () =>
    Effect.gen(function* () {
      const breaker = yield* opened
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* breaker.state, "halfOpen")
      const gate = yield* Deferred.make<void>()
      const probes = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(breaker.guard(Deferred.await(gate)), { startImmediately: true })
      )
      const refused = yield* Effect.flip(breaker.guard(Effect.void))
      assert.deepInclude(refused, { _tag: "CircuitOpen", retryAfterMillis: 0 })
      assert.strictEqual(yield* breaker.state, "halfOpen")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll(probes)
      assert.strictEqual(yield* breaker.state, "closed")
    })
  )

  it.effect("two successes are not enough, and one failed probe opens it again", () =>
    Effect.gen(function* () {
      const breaker = yield* opened
      yield* TestClock.adjust("30 seconds")
      yield* breaker.guard(Effect.void)
      yield* breaker.guard(Effect.void)
      assert.strictEqual(yield* breaker.state, "halfOpen")
      yield* Effect.flip(breaker.guard(fail))
      assert.strictEqual(yield* breaker.state, "open")
    })
  )

  it.effect("an interrupted probe frees its place", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("model", { failures: 1, probes: 1, successes: 1 })
      yield* Effect.flip(breaker.guard(fail))
      yield* TestClock.adjust("30 seconds")
      const probe = yield* Effect.forkChild(breaker.guard(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(probe)
      yield* breaker.guard(Effect.void)
      assert.strictEqual(yield* breaker.state, "closed")
    })
  )

  it.effect("outcomes of calls that began before the circuit opened change nothing", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("model", { failures: 1, probes: 1, successes: 1 })
      const gate = yield* Deferred.make<void>()
      const early = yield* Effect.forkChild(breaker.guard(Deferred.await(gate)), { startImmediately: true })
      yield* Effect.flip(breaker.guard(fail))
      yield* TestClock.adjust("30 seconds")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(early)
      assert.strictEqual(yield* breaker.state, "halfOpen")
    })
  )
})

describe("the option of a pool", () => {
  it.effect("refuses calls and streams after failures of workers, and never for Python exceptions", () => {
    const { layer } = scripted({ size: 1, circuitBreaker: { failures: 2 } }, (worker, number, observer) => {
      if (observer.call.target === "bad") worker.answer(number, Exit.fail(PythonError.of("ValueError", "bad")))
      else worker.crash()
    })
    return Effect.gen(function* () {
      for (let call = 0; call < 5; call++) {
        assert.propertyVal(yield* Effect.flip(Snakepit.call("bad")), "_tag", "ValueError")
      }
      for (let call = 0; call < 2; call++) {
        assert.propertyVal(yield* elapse(Effect.flip(Snakepit.call("f", { args: [call] }))), "_tag", "WorkerCrash")
      }
      const error = yield* Effect.flip(Snakepit.call("f"))
      assert.deepInclude(error, { _tag: "CircuitOpen", pool: "default" })
      assert.propertyVal(yield* Effect.flip(Stream.runDrain(Snakepit.stream("f"))), "_tag", "CircuitOpen")
    }).pipe(Effect.provide(layer))
  })

  it.effect("names the nested key that does not hold", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(PoolConfig.resolve("ml", { circuitBreaker: { failures: 0 } }))
      assert.strictEqual(error.key, "pools.ml.circuitBreaker.failures")
    })
  )

  it.effect("calls for a device have a circuit of their own", () => {
    const layer = Snakepit.layerTest(
      { f: () => Effect.fail(PythonError.of("RuntimeError", "bad")), g: () => 1 },
      {
        pools: {
          default: {
            size: 2,
            circuitBreaker: { failures: 1, failureTags: ["RuntimeError"] },
            ...{ devices: ["cuda:0", "cuda:1"] }
          }
        }
      }
    )
    return Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("f", { device: "cuda:0" }))
      const refused = yield* Effect.flip(Snakepit.call("g", { device: "cuda:0" }))
      assert.deepInclude(refused, { _tag: "CircuitOpen", pool: "default", device: "cuda:0" })
      assert.strictEqual(yield* Snakepit.call("g", { device: "cuda:1" }), 1)
      assert.strictEqual(yield* Snakepit.call("g"), 1)
      const [health] = (yield* Snakepit.health).pools
      assert.deepStrictEqual(
        health?.devices.map(({ circuit, device }) => [device, circuit]),
        [
          ["cuda:0", "open"],
          ["cuda:1", "closed"]
        ]
      )
    }).pipe(Effect.provide(layer))
  })
})
