import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as CudaDetector from "../src/CudaDetector.ts"
import { layerTest, type TestMachine } from "../src/Machine.ts"
import { exit, fixture, gibibyte, mebibyte } from "./fixture.ts"

const detect = (machine: TestMachine) =>
  CudaDetector.CudaDetector.use((detector) => detector.detect).pipe(
    Effect.provide(CudaDetector.layer),
    Effect.provide(layerTest(machine))
  )

const capabilities = "nvidia-smi --query-gpu=index,compute_cap --format=csv,noheader"
const query =
  "nvidia-smi --query-gpu=index,uuid,name,driver_version,memory.total,memory.free,temperature.gpu,utilization.gpu --format=csv,noheader,nounits"

const pair = {
  "nvidia-smi -q -x": fixture("nvidia/rtx-4090-pair.xml"),
  [capabilities]: "0, 8.9\n1, 8.9\n"
}

describe("CudaDetector", () => {
  it.effect("joins the report with compute capabilities, toolkit and cuDNN", () =>
    Effect.gen(function* () {
      const info = yield* detect({
        commands: { ...pair, "nvcc --version": "Cuda compilation tools, release 12.4, V12.4.131\n" },
        files: {
          "/usr/include/cudnn_version.h": "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 0"
        }
      })
      assert.strictEqual(info?.driverVersion, "550.54.15")
      assert.strictEqual(info?.driverCudaVersion, "12.4")
      assert.strictEqual(info?.toolkitVersion, "12.4")
      assert.strictEqual(info?.cudnnVersion, "9.1.0")
      assert.deepStrictEqual(
        info?.devices.map(({ computeCapability, index }) => [index, computeCapability]),
        [
          [0, "8.9"],
          [1, "8.9"]
        ]
      )
    })
  )

  it.effect("names the slices of a GPU in MIG mode", () =>
    Effect.gen(function* () {
      const info = yield* detect({
        commands: {
          "nvidia-smi -q -x": fixture("nvidia/a100-mig.xml"),
          "nvidia-smi -L": fixture("nvidia/a100-mig.list.txt"),
          [capabilities]: "0, 8.0\n1, 8.0\n"
        }
      })
      assert.deepStrictEqual(info?.devices[0]?.migDevices[1], {
        index: 1,
        uuid: "MIG-44444444-aaaa-5bbb-8ccc-000000000002",
        profile: "2g.20gb",
        memoryTotalBytes: 19968 * mebibyte,
        memoryFreeBytes: 9984 * mebibyte
      })
    })
  )

  it.effect("leaves out the GPUs and slices that CUDA_VISIBLE_DEVICES hides", () =>
    Effect.gen(function* () {
      const visible = (value: string) => detect({ commands: pair, environment: { CUDA_VISIBLE_DEVICES: value } })
      const one = yield* visible("1")
      assert.deepStrictEqual(
        one?.devices.map(({ index }) => index),
        [1]
      )
      assert.strictEqual(one?.hiddenDevices, 1)
      assert.strictEqual((yield* visible("GPU-11111111"))?.devices[0]?.index, 0)
      assert.deepStrictEqual((yield* visible(""))?.devices, [])

      const sliced = yield* detect({
        commands: {
          "nvidia-smi -q -x": fixture("nvidia/a100-mig.xml"),
          "nvidia-smi -L": fixture("nvidia/a100-mig.list.txt")
        },
        environment: { CUDA_VISIBLE_DEVICES: "MIG-44444444-aaaa-5bbb-8ccc-000000000002" }
      })
      assert.deepStrictEqual(
        sliced?.devices.map(({ index, migDevices }) => [index, migDevices.map((slice) => slice.index)]),
        [[0, [1]]]
      )
    })
  )

  it.effect("takes the system's memory for that of a GPU that shares it", () =>
    Effect.gen(function* () {
      const files = { "/proc/meminfo": "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n" }
      const spark = yield* detect({ commands: { "nvidia-smi -q -x": fixture("nvidia/gb10.xml") }, files })
      assert.deepInclude(spark?.devices[0], {
        name: "NVIDIA GB10",
        unifiedMemory: true,
        memoryTotalBytes: gibibyte,
        memoryFreeBytes: gibibyte / 2
      })
    })
  )

  it.effect("knows Jetson modules, with and without nvidia-smi", () =>
    Effect.gen(function* () {
      const files = {
        "/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
        "/proc/meminfo": "MemTotal: 1048576 kB\nMemAvailable: 524288 kB\n"
      }
      const expected = {
        name: "NVIDIA Jetson AGX Orin Developer Kit",
        computeCapability: "8.7",
        unifiedMemory: true,
        memoryTotalBytes: gibibyte
      }
      const jetpack6 = yield* detect({
        architecture: "arm64",
        commands: { "nvidia-smi -q -x": fixture("nvidia/jetson-orin.xml") },
        files
      })
      assert.deepInclude(jetpack6?.devices[0], expected)
      assert.strictEqual(jetpack6?.driverCudaVersion, "12.6")
      assert.deepInclude((yield* detect({ architecture: "arm64", files }))?.devices[0], expected)
      // the same model name elsewhere is no Jetson
      assert.isNull(yield* detect({ files }))
    })
  )

  it.effect("finds nvidia-smi where WSL has it", () =>
    Effect.gen(function* () {
      const info = yield* detect({
        commands: { "/usr/lib/wsl/lib/nvidia-smi -q -x": fixture("nvidia/rtx-4090-pair.xml") }
      })
      assert.strictEqual(info?.devices.length, 2)
      assert.isNull(info?.devices[0]?.computeCapability)
    })
  )

  it.effect("asks for the GPUs one by one when a lost one spoils the report", () =>
    Effect.gen(function* () {
      const said =
        "Unable to determine the device handle for GPU0000:07:00.0: GPU is lost.  Reboot the system to recover this GPU\n"
      const info = yield* detect({
        commands: { "nvidia-smi -q -x": exit(15, said), [query]: fixture("nvidia/trouble.csv") }
      })
      assert.strictEqual(info?.devices.length, 4)
      assert.strictEqual(info?.driverVersion, "535.104.05")
      const alone = yield* Effect.flip(detect({ commands: { "nvidia-smi -q -x": exit(15, said) } }))
      assert.strictEqual(alone.reason, "device_lost")
    })
  )

  it.effect("finds nothing, and nothing wrong, where there is no nvidia-smi", () =>
    Effect.gen(function* () {
      assert.isNull(yield* detect({}))
      assert.isNull(yield* detect({ platform: "darwin", commands: pair }))
    })
  )

  it.effect("says why a driver that is there does not answer", () =>
    Effect.gen(function* () {
      const failure = (output: TestMachine["commands"]) => Effect.flip(detect({ commands: output }))
      const mismatch = yield* failure({
        "nvidia-smi -q -x": exit(
          18,
          "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.124\n"
        )
      })
      assert.strictEqual(mismatch.reason, "driver_mismatch")
      assert.strictEqual(mismatch.detail, "Failed to initialize NVML: Driver/library version mismatch")
      assert.include(mismatch.message, "reboot")
      assert.strictEqual((yield* failure({ "nvidia-smi -q -x": { _tag: "TimedOut" } })).reason, "timed_out")
      assert.strictEqual((yield* failure({ "nvidia-smi -q -x": "No devices were found\n" })).reason, "no_devices")
      assert.strictEqual((yield* failure({ "nvidia-smi -q -x": "gibberish" })).reason, "unreadable_output")
      assert.strictEqual((yield* failure({ "nvidia-smi -q -x": exit(139, "") })).reason, "command_failed")
      const none = '<?xml version="1.0" ?>\n<nvidia_smi_log><attached_gpus>0</attached_gpus></nvidia_smi_log>'
      assert.strictEqual((yield* failure({ "nvidia-smi -q -x": none })).reason, "no_devices")
    })
  )
})
