import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { layerTest, type TestMachine } from "../src/Machine.ts"
import * as MpsDetector from "../src/MpsDetector.ts"
import { fixture, gibibyte } from "./fixture.ts"

const detect = (machine: TestMachine) =>
  MpsDetector.MpsDetector.use((detector) => detector.detect).pipe(
    Effect.provide(MpsDetector.layer),
    Effect.provide(layerTest({ platform: "darwin", ...machine }))
  )

const displays = "system_profiler SPDisplaysDataType -json"
const version = "sw_vers -productVersion"

describe("MpsDetector", () => {
  it.effect("finds the GPU of an Apple processor, with the machine's memory", () =>
    Effect.gen(function* () {
      const info = yield* detect({
        memoryBytes: 36 * gibibyte,
        commands: { [displays]: fixture("mac/m3-pro.displays.json"), [version]: "14.5\n" }
      })
      assert.deepStrictEqual(info, {
        name: "Apple M3 Pro",
        gpuCores: 18,
        metalVersion: "3",
        macosVersion: "14.5",
        memoryTotalBytes: 36 * gibibyte,
        unifiedMemory: true
      })
    })
  )

  it.effect("finds none before macOS 12.3, none on other systems, and none that says nothing", () =>
    Effect.gen(function* () {
      const commands = (macos: string) => ({ [displays]: fixture("mac/imac-pro.displays.json"), [version]: macos })
      assert.isNull(yield* detect({ commands: commands("12.2.1\n") }))
      assert.strictEqual((yield* detect({ commands: commands("12.3\n") }))?.memoryTotalBytes, 16 * gibibyte)
      assert.isNull(yield* detect({ platform: "linux", commands: commands("14.0\n") }))
      assert.isNull(yield* detect({ commands: { [displays]: "{}" } }))
      assert.isNull(yield* detect({}))
    })
  )

  it.effect("says that system_profiler hangs", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(detect({ commands: { [displays]: { _tag: "TimedOut" } } }))
      assert.strictEqual(error.reason, "timed_out")
    })
  )
})
