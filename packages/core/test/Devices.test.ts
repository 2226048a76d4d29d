/** What a pool does about the devices of its workers: taints and circuits, with scripted workers on scripted devices. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { describe } from "vitest"
import { Snakepit } from "@snakepit/core"
import { type Script, scripted } from "./scriptedWorker.ts"

const cuda = ["cuda:0", "cuda:1"]

/** Answers the device it runs on; crashes on those that `broken` names, with this class. */
const unless =
  (broken: ReadonlySet<string | undefined>, crash: "gpu" | "exit" = "exit"): Script =>
  (worker, number) => {
    if (broken.has(worker.device)) worker.crash(crash, 1)
    else worker.answer(number, Exit.succeed(worker.device))
  }

const devicesOf = Effect.map(Snakepit.health, ({ pools }) => pools[0]?.devices ?? [])

const barrier = { retry: "never", poisonAfter: 1_000 } as const

describe("a tainted device", () => {
  it.effect("gets no calls while workers are on others, and no new worker", () => {
    const broken = new Set<string | undefined>(["cuda:0"])
    const { layer, workers } = scripted({ size: 4, crashBarrier: barrier }, unless(broken, "gpu"), { devices: cuda })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("f"))
      assert(error._tag === "WorkerCrash")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(workers.length, 5)
      assert.strictEqual(workers[4]?.device, "cuda:1")
      for (let call = 0; call < 8; call++) assert.strictEqual(yield* Snakepit.call("f"), "cuda:1")
      // more calls than workers on the other device: they wait for those
      const many = yield* Effect.all(
        Array.from({ length: 20 }, () => Snakepit.call("f")),
        { concurrency: 20 }
      )
      assert.deepStrictEqual(new Set(many), new Set(["cuda:1"]))
    }).pipe(Effect.provide(layer))
  })

  it.effect("is used again when its time has passed", () => {
    const broken = new Set<string | undefined>(["cuda:0"])
    const { layer } = scripted({ size: 4, crashBarrier: barrier }, unless(broken, "gpu"), { devices: cuda })
    return Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("f"))
      broken.clear()
      yield* TestClock.adjust("61 seconds")
      const answers = yield* Effect.all(
        Array.from({ length: 4 }, () => Snakepit.call("f")),
        { concurrency: 4 }
      )
      assert.deepStrictEqual(new Set(answers), new Set(cuda))
    }).pipe(Effect.provide(layer))
  })

  it.effect("is used all the same when there is no other", () => {
    const broken = new Set<string | undefined>(["cuda:0"])
    const { layer } = scripted({ size: 1, crashBarrier: barrier }, unless(broken, "gpu"), { devices: ["cuda:0"] })
    return Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("f"))
      broken.clear()
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Snakepit.call("f"), "cuda:0")
    }).pipe(Effect.provide(layer))
  })

  it.effect("is left alone when `taintDeviceOnGpuFatal` is off", () => {
    const options = { size: 1, crashBarrier: { ...barrier, taintDeviceOnGpuFatal: false } }
    const { layer } = scripted(options, unless(new Set(["cuda:0"]), "gpu"), { devices: ["cuda:0"] })
    return Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("f"))
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude((yield* devicesOf)[0], { device: "cuda:0", taintedUntil: undefined, status: "healthy" })
    }).pipe(Effect.provide(layer))
  })
})

describe("the circuit of a device", () => {
  const options = {
    size: 2,
    maxRestarts: 1_000,
    crashBarrier: barrier,
    circuitBreaker: { failures: 3, openDuration: "30 seconds", probes: 1, successes: 2 }
  } as const

  /** Calls until so many have failed; answers of the others are dropped. */
  const fail = (times: number) =>
    Effect.gen(function* () {
      let failed = 0
      while (failed < times) {
        const calls = Array.from({ length: 2 }, () => Effect.exit(Snakepit.call("f")))
        const exits = yield* Effect.all(calls, { concurrency: 2 })
        failed += exits.filter(Exit.isFailure).length
        yield* TestClock.adjust("1 second")
      }
    })

  it.effect("opens after failures on it in a row, and the other device serves all calls", () => {
    const broken = new Set<string | undefined>(["cuda:0"])
    const { layer } = scripted(options, unless(broken), { devices: cuda })
    return Effect.gen(function* () {
      yield* fail(3)
      const [first, second] = yield* devicesOf
      assert.deepInclude(first, { device: "cuda:0", circuit: "open" })
      assert.deepInclude(second, { device: "cuda:1", circuit: "closed", status: "healthy" })
      const [pool] = (yield* Snakepit.health).pools
      assert.deepInclude(pool, { circuit: "closed", status: "degraded" })
      for (let call = 0; call < 6; call++) assert.strictEqual(yield* Snakepit.call("f"), "cuda:1")
    }).pipe(Effect.provide(layer))
  })

  it.effect("lets probes through after its time, and closes when they succeed", () => {
    const broken = new Set<string | undefined>(["cuda:0"])
    // the only device: its worker stays on it, since there is no other
    const single = { ...options, size: 1, circuitBreaker: { ...options.circuitBreaker, failures: 1 } }
    const { layer } = scripted(single, unless(broken), { devices: ["cuda:0"] })
    return Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("f"))
      yield* TestClock.adjust("1 second")
      assert.deepInclude((yield* devicesOf)[0], { device: "cuda:0", status: "unhealthy", circuit: "open" })
      assert.propertyVal(yield* Effect.flip(Snakepit.call("f")), "_tag", "CircuitOpen")
      broken.clear()
      yield* TestClock.adjust("31 seconds")
      assert.propertyVal((yield* devicesOf)[0], "circuit", "halfOpen")
      assert.strictEqual(yield* Snakepit.call("f"), "cuda:0")
      assert.strictEqual(yield* Snakepit.call("f"), "cuda:0")
      assert.propertyVal((yield* devicesOf)[0], "circuit", "closed")
    }).pipe(Effect.provide(layer))
  })

  it.effect("refuses calls with the device's name when no other device is left, those that wait too", () => {
    const single = { ...options, size: 2, circuitBreaker: { ...options.circuitBreaker, failures: 2 } }
    const { layer } = scripted(single, unless(new Set(["cuda:0"])), { devices: ["cuda:0"] })
    return Effect.gen(function* () {
      // streams pass the circuit of the pool before it has opened, so this is the device's alone
      const calls = yield* Effect.forEach([1, 2, 3, 4], (call) =>
        Effect.forkChild(Effect.flip(Stream.runDrain(Snakepit.stream("f", { args: [call] }))), {
          startImmediately: true
        })
      )
      const errors = yield* Effect.forEach(calls, Fiber.join)
      assert.deepStrictEqual(
        errors.map((error) => error._tag),
        ["WorkerCrash", "WorkerCrash", "CircuitOpen", "CircuitOpen"]
      )
      const refused = errors[2]
      assert(refused?._tag === "CircuitOpen")
      assert.strictEqual(refused.device, "cuda:0")
      assert.include(refused.message, "device cuda:0")
    }).pipe(Effect.provide(layer))
  })

  it.effect("counts a deadline that passed", () => {
    const single = { ...options, size: 1, circuitBreaker: { ...options.circuitBreaker, failures: 1 } }
    const { layer } = scripted(single, () => {}, { devices: ["cuda:0"] })
    return Effect.gen(function* () {
      const error = yield* TestClock.withLive(Effect.flip(Snakepit.call("f", { timeout: 5 })))
      assert.strictEqual(error._tag, "CallTimeout")
      assert.propertyVal((yield* devicesOf)[0], "circuit", "open")
    }).pipe(Effect.provide(layer))
  })
})
