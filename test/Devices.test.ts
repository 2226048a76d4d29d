/** Workers on devices: what they see, where calls and sessions go, and what a fatal error of a GPU leads to. */
import { Snakepit } from "@snakepit/core"
import { DevicePlacement, Hardware, Machine } from "@snakepit/hardware"
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { pool, statsOf, type TestPool, waitForWorkers, waitUntil, withPool } from "./harness.ts"

const fixture = (file: string) =>
  fs.readFileSync(path.join(import.meta.dirname, "../packages/hardware/test/fixtures", file), "utf8")

/** A machine with two GPUs: the first with 5.9 GiB free, the second with 23.6. */
const twoGpus = DevicePlacement.layer.pipe(
  Layer.provide(
    Hardware.layerOn(
      Machine.layerTest({
        commands: { "nvidia-smi -q -x": fixture("nvidia/rtx-4090-pair.xml") },
        files: { "/proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 12582912 kB\n" }
      })
    )
  )
)

const first = "GPU-11111111-aaaa-4bbb-8ccc-000000000001"
const second = "GPU-22222222-aaaa-4bbb-8ccc-000000000002"

/** Real workers, placed as if this machine had two GPUs. */
const withGpus = (options: TestPool) => Effect.provide(pool(options).pipe(Layer.provide(twoGpus)))

const seen = (options: { readonly device?: string } = {}) =>
  Snakepit.call("os.getenv", { args: ["CUDA_VISIBLE_DEVICES"], success: Schema.NullOr(Schema.String), ...options })

const devices = Effect.map(statsOf(), ({ workers }) => workers.map(({ device }) => device).toSorted())

describe("Devices", () => {
  for (const start of ["fork", "spawn"] as const) {
    it.live.skipIf(start === "fork" && process.platform !== "linux")(
      `workers are spread over the devices, and each sees its own (${start})`,
      () =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* devices, ["cuda:0", "cuda:1", "cuda:1"])
          assert.strictEqual(yield* seen({ device: "cuda:0" }), first)
          assert.strictEqual(yield* seen({ device: "cuda:1" }), second)
          assert.include([first, second], yield* seen({ device: "cuda" }))
          const error = yield* Effect.flip(seen({ device: "rocm" }))
          assert.strictEqual(error._tag, "DeviceNotInPool")
        }).pipe(withGpus({ size: 3, devices: "cuda", start }))
    )
  }

  it.live("sessions stay on their device", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session({ device: "cuda:0" })
      const call = session.call("os.getenv", { args: ["CUDA_VISIBLE_DEVICES"] })
      assert.strictEqual(yield* call, first)
    }).pipe(Effect.scoped, withGpus({ size: 2, devices: ["cuda:0", "cuda:1"] }))
  )

  it.live("workers for the CPU see no GPU", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* devices, ["cpu"])
      assert.strictEqual(yield* seen({ device: "cpu" }), "")
    }).pipe(withGpus({ devices: "cpu" }))
  )

  it.live("workers fall back when a device has not enough memory", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* devices, ["cpu", "cuda:1"])
    }).pipe(withGpus({ size: 2, devices: "cuda", minFreeMemory: 20 * 1024 ** 3, fallback: ["cpu"] }))
  )

  it.live("the successor of a worker that a fatal GPU error ended is placed on another device", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* devices, ["cuda:1"])
      const error = yield* Effect.flip(Snakepit.call("hazards.print_gpu_error_and_abort"))
      assert.propertyVal(error, "crash", "gpu")
      yield* waitForWorkers(1)
      yield* waitUntil(
        "the worker is on the other GPU",
        Effect.map(devices, (now) => now.join() === "cuda:0")
      )
      assert.strictEqual(yield* seen(), first)
      const [health] = (yield* Snakepit.health).pools
      assert.deepStrictEqual(
        health?.devices.map(({ device, status }) => [device, status]),
        [
          ["cuda:1", "critical"],
          ["cuda:0", "healthy"]
        ]
      )
    }).pipe(withGpus({ size: 1, devices: "cuda" }))
  )

  it.live("a pool whose device is not there does not start, and says what there is", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Layer.build(pool({ devices: "rocm" }).pipe(Layer.provide(twoGpus))))
      assert.strictEqual(error._tag, "WorkerStartError")
      assert.include(error.message, 'No device fits "rocm"; this machine has cuda:0, cuda:1, cpu')
    }).pipe(Effect.scoped)
  )

  it.live("options that name no device stop the start", () =>
    Effect.gen(function* () {
      // what a program without types could pass
      const wrong = { devices: "gpu" } as unknown as TestPool
      const error = yield* Effect.flip(Layer.build(pool(wrong)))
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, '`pools.default.devices`: expected devices: "auto"')
    }).pipe(Effect.scoped)
  )

  it.live("on this machine, whatever it has, workers find a place", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
      const [device] = yield* devices
      assert.match(device ?? "", /^(cuda|rocm|mps|cpu)/)
    }).pipe(withPool({ devices: "auto" }))
  )

  it.live("workers that are not placed see what this process sees", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* devices, [undefined])
      assert.strictEqual(yield* seen(), process.env["CUDA_VISIBLE_DEVICES"] ?? null)
    }).pipe(withPool())
  )
})
