import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import * as TestClock from "effect/testing/TestClock"
import * as CpuDetector from "../src/CpuDetector.ts"
import * as CudaDetector from "../src/CudaDetector.ts"
import * as Hardware from "../src/Hardware.ts"
import { Capabilities, HardwareInfo, Identity } from "../src/HardwareInfo.ts"
import * as Machine from "../src/Machine.ts"
import * as MpsDetector from "../src/MpsDetector.ts"
import * as RocmDetector from "../src/RocmDetector.ts"
import * as machines from "./machines.ts"

const on = (machine: Machine.TestMachine) => Effect.provide(Hardware.layerOn(Machine.layerTest(machine)))

describe("Hardware.info", () => {
  it.effect("lists what work can be placed on, best first, and how to show it to a process", () =>
    Effect.gen(function* () {
      const info = yield* Hardware.info
      assert.strictEqual(info.platform, "linux-x64")
      assert.strictEqual(info.accelerator, "cuda")
      assert.deepStrictEqual(
        info.devices.map(({ environment, id, kind }) => [id, kind, environment["CUDA_VISIBLE_DEVICES"]]),
        [
          ["cuda:0", "cuda", "GPU-11111111-aaaa-4bbb-8ccc-000000000001"],
          ["cuda:1", "cuda", "GPU-22222222-aaaa-4bbb-8ccc-000000000002"],
          ["cpu", "cpu", ""]
        ]
      )
    }).pipe(on(machines.twoGpus))
  )

  it.effect("lists the slices of a GPU in MIG mode in its place", () =>
    Effect.gen(function* () {
      const { devices } = yield* Hardware.info
      assert.deepStrictEqual(
        devices.map(({ id, name }) => `${id} ${name}`),
        [
          "cuda:0:0 NVIDIA A100-SXM4-80GB MIG 3g.40gb",
          "cuda:0:1 NVIDIA A100-SXM4-80GB MIG 2g.20gb",
          "cuda:1 NVIDIA A100-SXM4-80GB",
          "cpu AMD EPYC 7543 32-Core Processor"
        ]
      )
      assert.strictEqual(devices[1]?.environment["CUDA_VISIBLE_DEVICES"], "MIG-44444444-aaaa-5bbb-8ccc-000000000002")
    }).pipe(on(machines.mig))
  )

  it.effect("knows AMD GPUs, Macs and Jetson modules", () =>
    Effect.gen(function* () {
      const ids = (machine: Machine.TestMachine) =>
        Effect.map(Hardware.info, ({ devices }) => devices.map(({ environment, id }) => ({ id, environment }))).pipe(
          on(machine)
        )
      assert.deepStrictEqual(yield* ids(machines.amd), [
        { id: "rocm:0", environment: { HIP_VISIBLE_DEVICES: "0" } },
        { id: "rocm:1", environment: { HIP_VISIBLE_DEVICES: "1" } },
        { id: "cpu", environment: { HIP_VISIBLE_DEVICES: "-1" } }
      ])
      assert.deepStrictEqual(yield* ids(machines.mac), [
        { id: "mps", environment: {} },
        { id: "cpu", environment: {} }
      ])
      assert.deepStrictEqual(yield* ids(machines.jetson), [
        { id: "cuda:0", environment: { CUDA_VISIBLE_DEVICES: "0", CUDA_DEVICE_ORDER: "PCI_BUS_ID" } },
        { id: "cpu", environment: { CUDA_VISIBLE_DEVICES: "" } }
      ])
    })
  )

  it.effect("keeps what is wrong with a detector beside what the others found", () =>
    Effect.gen(function* () {
      const info = yield* Hardware.info
      assert.strictEqual(info.accelerator, "cpu")
      assert.deepInclude(info.problems[0], { detector: "cuda", reason: "driver_mismatch" })
      assert.include(info.problems[0]?.remedy, "reboot")
    }).pipe(on(machines.mismatched))
  )

  it.effect("leaves out a GPU that is lost, and says so", () =>
    Effect.gen(function* () {
      const { cuda, devices, problems } = yield* Hardware.info
      assert.strictEqual(cuda?.devices.length, 2)
      assert.deepStrictEqual(
        devices.map(({ id }) => id),
        ["cuda:0", "cpu"]
      )
      assert.deepInclude(problems[0], { reason: "device_lost", detail: "cuda:1 (NVIDIA A40): GPU is lost" })
    }).pipe(on(machines.lost))
  )

  it.effect("is JSON, of every machine", () =>
    Effect.gen(function* () {
      const seen = yield* Effect.forEach(Object.values(machines), (machine) =>
        Effect.all([Hardware.info, Hardware.capabilities, Hardware.identity]).pipe(on(machine))
      )
      for (const [info, capabilities, identity] of seen) {
        assert.deepStrictEqual(Schema.decodeUnknownSync(HardwareInfo)(JSON.parse(JSON.stringify(info))), info)
        assert.deepStrictEqual(JSON.parse(JSON.stringify(Schema.encodeSync(Capabilities)(capabilities))), capabilities)
        assert.deepStrictEqual(JSON.parse(JSON.stringify(Schema.encodeSync(Identity)(identity))), identity)
      }
    })
  )

  it.live("describes this machine, whatever it is", () =>
    Effect.gen(function* () {
      const info = yield* Hardware.info
      assert.isTrue(Schema.is(HardwareInfo)(info), JSON.stringify(info))
      assert.strictEqual(info.platform, `${process.platform}-${process.arch}`)
      assert.strictEqual(info.devices.at(-1)?.id, "cpu")
      assert.isAtLeast(info.cpu.availableCores, 1)
    }).pipe(Effect.provide(Hardware.layer))
  )
})

describe("capabilities and identity", () => {
  it.effect("answer flags to branch on", () =>
    Effect.gen(function* () {
      const capabilities = yield* Hardware.capabilities
      assert.deepInclude(capabilities, { cuda: true, rocm: false, mps: false, avx2: true, avx512: false, neon: false })
      assert.strictEqual(capabilities.cudaVersion, "12.4")
    }).pipe(on(machines.twoGpus))
  )

  it.effect("tell machines apart by what stays the same", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* Hardware.identity.pipe(on(machines.twoGpus)), {
        platform: "linux-x64",
        accelerator: "cuda",
        gpuCount: 2,
        gpus: ["NVIDIA GeForce RTX 4090 (8.9)", "NVIDIA GeForce RTX 4090 (8.9)"],
        driverVersion: "550.54.15",
        cudaVersion: "12.4"
      })
      const identity = yield* Hardware.identity.pipe(on(machines.mac))
      assert.deepStrictEqual(identity.gpus, ["Apple M3 Pro"])
      assert.strictEqual(identity.accelerator, "mps")
    })
  )
})

describe("select and selectWithFallback", () => {
  it.effect("take the device with the most free memory", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Hardware.select("auto")).id, "cuda:1")
      assert.strictEqual((yield* Hardware.select("cuda:0")).id, "cuda:0")
      assert.strictEqual((yield* Hardware.select("cpu")).id, "cpu")
    }).pipe(on(machines.twoGpus))
  )

  it.effect("fall back in order", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Hardware.selectWithFallback(["cuda", "mps", "cpu"])).id, "cpu")
      assert.strictEqual((yield* Hardware.select("auto")).id, "cpu")
    }).pipe(on(machines.plain))
  )

  it.effect("fail with what there is and what is wrong", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Hardware.select("cuda"))
      assert.strictEqual(error._tag, "DeviceUnavailable")
      assert.include(error.message, 'No device fits "cuda"; this machine has cpu')
      assert.include(error.message, "Driver/library version mismatch")
    }).pipe(on(machines.mismatched))
  )

  it.effect("tell of the device, or that there was none", () =>
    Effect.gen(function* () {
      const entries: Array<string> = []
      const logger = Logger.make(({ fiber, message }) => {
        const annotations = fiber.getRef(References.CurrentLogAnnotations)
        entries.push(
          `${String(message)} ${String(annotations["device"] ?? annotations["wanted"] ?? annotations["devices"])}`
        )
      })
      const span = yield* Effect.gen(function* () {
        yield* Hardware.select("auto")
        yield* Effect.flip(Hardware.select("mps"))
        return yield* Effect.currentSpan
      }).pipe(
        Effect.withSpan("test"),
        on(machines.twoGpus),
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "Debug")
      )
      assert.deepStrictEqual(entries, [
        "snakepit.hardware.detected cuda:0, cuda:1, cpu",
        "snakepit.hardware.device_selected cuda:1",
        "snakepit.hardware.device_unavailable mps"
      ])
      assert.instanceOf(span, Tracer.NativeSpan)
      assert.deepStrictEqual(
        span.events.map(([name]) => name),
        ["snakepit.hardware.detected", "snakepit.hardware.device_selected", "snakepit.hardware.device_unavailable"]
      )
    })
  )
})

describe("the cache", () => {
  /** The service over a detector that counts how often it is asked. */
  const counting = () => {
    let looks = 0
    const cpu = CpuDetector.CpuDetector.use((detector) => detector.detect).pipe(
      Effect.provide(CpuDetector.layer),
      Effect.provide(Machine.layerTest(machines.plain))
    )
    const layer = Hardware.layerWith({ timeToLive: "10 seconds" }).pipe(
      Layer.provide([
        Layer.succeed(CpuDetector.CpuDetector, { detect: Effect.tap(cpu, () => Effect.sync(() => looks++)) }),
        CudaDetector.layerTest(null),
        RocmDetector.layerTest(null),
        MpsDetector.layerTest(null),
        Machine.layerTest({})
      ])
    )
    return { layer, looks: () => looks }
  }

  it.effect("keeps a result for its time, for all who ask at once", () => {
    const { layer, looks } = counting()
    return Effect.gen(function* () {
      assert.strictEqual(looks(), 0)
      yield* Effect.all([Hardware.info, Hardware.info, Hardware.capabilities], { concurrency: "unbounded" })
      assert.strictEqual(looks(), 1)
      yield* TestClock.adjust("9 seconds")
      yield* Hardware.identity
      assert.strictEqual(looks(), 1)
      yield* TestClock.adjust("2 seconds")
      yield* Hardware.info
      assert.strictEqual(looks(), 2)
    }).pipe(Effect.provide(layer))
  })

  it.effect("is cleared by clearCache, and passed by detect", () => {
    const { layer, looks } = counting()
    return Effect.gen(function* () {
      yield* Hardware.info
      yield* Hardware.clearCache
      yield* Hardware.info
      assert.strictEqual(looks(), 2)
      yield* Hardware.detect
      yield* Hardware.info
      assert.strictEqual(looks(), 3)
    }).pipe(Effect.provide(layer))
  })
})
