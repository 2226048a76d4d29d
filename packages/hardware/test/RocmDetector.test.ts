import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { amdMetric, amdStatic, rocm } from "../src/internal/amdSmi.ts"
import { layerTest, type TestMachine } from "../src/Machine.ts"
import * as RocmDetector from "../src/RocmDetector.ts"
import { exit, fixture } from "./fixture.ts"

const detect = (machine: TestMachine) =>
  RocmDetector.RocmDetector.use((detector) => detector.detect).pipe(
    Effect.provide(RocmDetector.layer),
    Effect.provide(layerTest(machine))
  )

const amdSmi = {
  [`amd-smi ${amdStatic.join(" ")}`]: fixture("amd/mi300x.static.json"),
  [`amd-smi ${amdMetric.join(" ")}`]: fixture("amd/mi300x.metric.json")
}
const rocmSmi = { [`rocm-smi ${rocm.join(" ")}`]: fixture("amd/rx7900xt-igpu.rocm-smi.json") }

describe("RocmDetector", () => {
  it.effect("asks amd-smi, and reads the version of ROCm", () =>
    Effect.gen(function* () {
      const info = yield* detect({
        commands: { ...amdSmi, ...rocmSmi },
        files: { "/opt/rocm/.info/version": "6.3.1-48\n" }
      })
      assert.strictEqual(info?.version, "6.3.1")
      assert.deepStrictEqual(
        info?.devices.map(({ architecture, hipIndex, index }) => [index, hipIndex, architecture]),
        [
          [0, 0, "gfx942"],
          [1, 1, "gfx942"]
        ]
      )
    })
  )

  it.effect("asks rocm-smi where amd-smi is missing or fails", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* detect({ commands: rocmSmi }))?.devices.length, 2)
      const failing = { [`amd-smi ${amdStatic.join(" ")}`]: exit(255, "", "ERROR:root:Unable to get devices") }
      assert.strictEqual((yield* detect({ commands: { ...failing, ...rocmSmi } }))?.driverVersion, "6.8.5")
    })
  )

  it.effect("leaves out what ROCR_VISIBLE_DEVICES and then HIP_VISIBLE_DEVICES hide", () =>
    Effect.gen(function* () {
      const left = (environment: Record<string, string>) =>
        Effect.map(detect({ commands: amdSmi, environment }), (info) =>
          info?.devices.map(({ hipIndex, index }) => [index, hipIndex])
        )
      assert.deepStrictEqual(yield* left({ HIP_VISIBLE_DEVICES: "1" }), [[1, 1]])
      assert.deepStrictEqual(yield* left({ ROCR_VISIBLE_DEVICES: "1", HIP_VISIBLE_DEVICES: "0" }), [[1, 0]])
      assert.deepStrictEqual(yield* left({ ROCR_VISIBLE_DEVICES: "GPU-1a2b3c4d5e6f7002" }), [[1, 0]])
      assert.deepStrictEqual(yield* left({ CUDA_VISIBLE_DEVICES: "0" }), [[0, 0]])
      assert.deepStrictEqual(yield* left({ HIP_VISIBLE_DEVICES: "-1" }), [])
    })
  )

  it.effect("finds nothing where there are no tools, and says why tools that are there do not answer", () =>
    Effect.gen(function* () {
      assert.isNull(yield* detect({}))
      const command = `rocm-smi ${rocm.join(" ")}`
      const reason = (output: TestMachine["commands"]) =>
        Effect.map(Effect.flip(detect({ commands: output })), (error) => error.reason)
      const said = "ERROR:root:Driver not initialized (amdgpu not found in modules)\n"
      assert.strictEqual(yield* reason({ [command]: exit(0, said) }), "driver_not_loaded")
      assert.strictEqual(yield* reason({ [command]: "WARNING: No AMD GPUs specified\n" }), "no_devices")
      assert.strictEqual(yield* reason({ [command]: { _tag: "TimedOut" } }), "timed_out")
      assert.strictEqual(yield* reason({ [command]: exit(1, "", "Traceback") }), "command_failed")
      assert.strictEqual(yield* reason({ [command]: "{" }), "unreadable_output")
    })
  )
})
