import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import * as TestClock from "effect/testing/TestClock"
import * as DevicePlacement from "../src/DevicePlacement.ts"
import * as Hardware from "../src/Hardware.ts"
import * as Machine from "../src/Machine.ts"
import { gibibyte } from "./fixture.ts"
import * as machines from "./machines.ts"

const on = (machine: Machine.TestMachine) =>
  Effect.provide(DevicePlacement.layer.pipe(Layer.provideMerge(Hardware.layerOn(Machine.layerTest(machine)))))

const acquire = (request: Partial<DevicePlacement.Request>) =>
  Effect.map(
    DevicePlacement.DevicePlacement.use((placement) =>
      placement.acquire({ devices: ["cuda"], fallback: [], ...request })
    ),
    ({ id }) => id
  )

describe("DevicePlacement", () => {
  it.effect("spreads workers over the devices that fit", () =>
    Effect.gen(function* () {
      const placed = yield* Effect.all(
        Array.from({ length: 5 }, () => acquire({})),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(placed, ["cuda:1", "cuda:0", "cuda:1", "cuda:0", "cuda:1"])
    }).pipe(Effect.scoped, on(machines.twoGpus))
  )

  it.effect("gives a device back when its scope closes", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      assert.strictEqual(yield* Scope.provide(acquire({}), scope), "cuda:1")
      assert.strictEqual(yield* acquire({}), "cuda:0")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* acquire({}), "cuda:1")
    }).pipe(Effect.scoped, on(machines.twoGpus))
  )

  it.effect("keeps the memory of workers that have not taken it yet", () =>
    Effect.gen(function* () {
      // the emptier GPU has 23.6 GiB free, the other 5.9
      const request = { minFreeMemory: 10 * gibibyte, fallback: ["cpu"] as const }
      const scope = yield* Scope.make()
      assert.strictEqual(yield* acquire(request), "cuda:1")
      assert.strictEqual(yield* Scope.provide(acquire(request), scope), "cuda:1")
      assert.strictEqual(yield* acquire(request), "cpu")
      // a later look at the machine does not change it: they may still be loading
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* acquire(request), "cpu")
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* acquire(request), "cuda:1")
    }).pipe(Effect.scoped, on(machines.twoGpus))
  )

  it.effect("looks at the machine again before it refuses a device", () => {
    // one GPU, whose free memory changes from look to look
    let free = 2 * gibibyte
    let looks = 0
    const hardware = Layer.effect(
      Hardware.Hardware,
      Effect.gen(function* () {
        const look = Effect.gen(function* () {
          looks++
          const info = yield* Hardware.info.pipe(Effect.provide(Hardware.layerOn(Machine.layerTest(machines.twoGpus))))
          return { ...info, devices: info.devices.slice(0, 1).map((device) => ({ ...device, memoryFreeBytes: free })) }
        })
        const [kept, forget] = yield* Effect.cachedInvalidateWithTTL(look, "1 hour")
        return { info: kept, detect: Effect.andThen(forget, kept), clearCache: forget }
      })
    )
    const request = { minFreeMemory: 10 * gibibyte }
    return Effect.gen(function* () {
      yield* Effect.flip(acquire(request))
      free = 12 * gibibyte
      // not again at once: several workers that start together would all wait for it
      yield* Effect.flip(acquire(request))
      assert.strictEqual(looks, 1)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* acquire(request), "cuda:0")
      assert.strictEqual(looks, 2)
      // what another program gave back is there for a second worker
      free = 22 * gibibyte
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* acquire(request), "cuda:0")
      // both have loaded, and another program has come
      free = gibibyte
      yield* TestClock.adjust("5 seconds")
      const error = yield* Effect.flip(acquire(request))
      assert.include(error.message, "needed")
    }).pipe(Effect.scoped, Effect.provide(DevicePlacement.layer), Effect.provide(hardware))
  })

  it.effect("leaves a tainted device alone until its time is over", () =>
    Effect.gen(function* () {
      const placement = yield* DevicePlacement.DevicePlacement
      yield* placement.taint("cuda:1", 1_000)
      yield* placement.taint("cuda:1", 500)
      assert.strictEqual(yield* acquire({}), "cuda:0")
      assert.strictEqual(yield* acquire({}), "cuda:0")
      yield* placement.taint("cuda:0", 2_000)
      const error = yield* Effect.flip(acquire({}))
      assert.include(error.message, "cuda:0: it is tainted by a fatal error for 2000 ms more")
      assert.include(error.message, "cuda:1: it is tainted by a fatal error for 1000 ms more")
      assert.strictEqual(yield* acquire({ fallback: ["cpu"] }), "cpu")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* acquire({}), "cuda:1")
    }).pipe(Effect.scoped, on(machines.twoGpus))
  )

  it.effect("falls back in order", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* acquire({ fallback: ["rocm", "mps", "cpu"] }), "cpu")
      const error = yield* Effect.flip(acquire({ fallback: ["rocm"] }))
      assert.deepStrictEqual(error.wanted, ["cuda", "rocm"])
    }).pipe(Effect.scoped, on(machines.plain))
  )

  it.effect("tells of each device, and warns once when workers have to fall back", () =>
    Effect.gen(function* () {
      const entries: Array<string> = []
      const logger = Logger.make(({ fiber, logLevel, message }) => {
        const { device, wanted } = fiber.getRef(References.CurrentLogAnnotations)
        entries.push([logLevel, message, wanted, device].flat().join(" ").trim())
      })
      const span = yield* Effect.gen(function* () {
        yield* acquire({ fallback: ["cpu"] })
        yield* acquire({ fallback: ["cpu"] })
        yield* Effect.flip(acquire({ devices: ["rocm", "mps"] }))
        return yield* Effect.currentSpan
      }).pipe(
        Effect.withSpan("test"),
        Effect.scoped,
        on(machines.plain),
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "Debug")
      )
      const placed = entries.filter((entry) => entry.includes("hardware.device_"))
      assert.deepStrictEqual(placed, [
        "Warn snakepit.hardware.device_unavailable cuda",
        "Debug snakepit.hardware.device_selected cuda cpu",
        "Debug snakepit.hardware.device_unavailable cuda",
        "Debug snakepit.hardware.device_selected cuda cpu",
        "Warn snakepit.hardware.device_unavailable rocm, mps"
      ])
      assert.instanceOf(span, Tracer.NativeSpan)
      const [unavailable, selected] = span.events.filter(([name]) => name.includes("hardware.device_"))
      assert.strictEqual(unavailable?.[0], "snakepit.hardware.device_unavailable")
      assert.deepInclude(unavailable?.[2], { wanted: "cuda" })
      assert.include(String(unavailable?.[2]?.["reason"]), 'No device fits "cuda"')
      assert.strictEqual(selected?.[0], "snakepit.hardware.device_selected")
      assert.deepInclude(selected?.[2], { device: "cpu", wanted: "cuda" })
    })
  )
})
