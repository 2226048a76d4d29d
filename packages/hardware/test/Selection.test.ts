import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Hardware from "../src/Hardware.ts"
import { DeviceUnavailable } from "../src/HardwareError.ts"
import * as Machine from "../src/Machine.ts"
import { choose, isPreference } from "../src/Selection.ts"
import { gibibyte } from "./fixture.ts"
import * as machines from "./machines.ts"

const infoOf = (machine: Machine.TestMachine) =>
  Hardware.info.pipe(Effect.provide(Hardware.layerOn(Machine.layerTest(machine))))

const idOf = (chosen: ReturnType<typeof choose>) => (chosen instanceof DeviceUnavailable ? chosen.message : chosen.id)

describe("choose", () => {
  it.effect("wants as much free memory as is asked for", () =>
    Effect.gen(function* () {
      const info = yield* infoOf(machines.twoGpus)
      assert.strictEqual(idOf(choose(info, ["cuda"], { minFreeMemory: 20 * gibibyte })), "cuda:1")
      const refused = choose(info, ["cuda"], { minFreeMemory: 40 * gibibyte })
      assert.instanceOf(refused, DeviceUnavailable)
      assert.include(
        refused.message,
        `cuda:1: ${24205 * 1024 ** 2} bytes of its memory are free, ${40 * gibibyte} are needed`
      )
      assert.strictEqual(idOf(choose(info, ["cuda", "cpu"], { minFreeMemory: 40 * gibibyte })), "cpu")
      // what is best is tried kind by kind
      assert.strictEqual(idOf(choose(info, ["auto"], { minFreeMemory: 10 ** 9 })), "cuda:1")
    })
  )

  it.effect("takes the least used of several alike, then the emptiest", () =>
    Effect.gen(function* () {
      const info = yield* infoOf(machines.twoGpus)
      const busy = new Map([["cuda:1", 1]])
      const standing = ({ id }: { readonly id: string }) => ({
        workers: busy.get(id) ?? 0,
        reservedBytes: 0,
        refused: undefined
      })
      assert.strictEqual(idOf(choose(info, [["cuda:1", "cuda:0"]], {}, standing)), "cuda:0")
      busy.set("cuda:0", 1)
      assert.strictEqual(idOf(choose(info, ["cuda"], {}, standing)), "cuda:1")
    })
  )

  it.effect("passes over what must not be used, and says why", () =>
    Effect.gen(function* () {
      const info = yield* infoOf(machines.twoGpus)
      const standing = ({ kind }: { readonly kind: string }) => ({
        workers: 0,
        reservedBytes: 0,
        refused: kind === "cuda" ? "it is tainted" : undefined
      })
      assert.strictEqual(idOf(choose(info, ["cuda", "cpu"], {}, standing)), "cpu")
      assert.strictEqual(idOf(choose(info, ["auto"], {}, standing)), "cpu")
      assert.include(idOf(choose(info, ["cuda"], {}, standing)), "cuda:0: it is tainted")
    })
  )

  it.effect("takes a GPU's name for any of its slices", () =>
    Effect.gen(function* () {
      const info = yield* infoOf(machines.mig)
      assert.strictEqual(idOf(choose(info, ["cuda:0"])), "cuda:0:0")
      assert.strictEqual(idOf(choose(info, ["cuda:0:1"])), "cuda:0:1")
      assert.include(idOf(choose(info, ["cuda:0:2"])), "No device fits")
    })
  )
})

it("isPreference knows the names of devices", () => {
  for (const text of ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:1:2", "rocm", "rocm:3"])
    assert.isTrue(isPreference(text))
  for (const text of ["", "gpu", "cuda:", "cuda:x", "rocm:0:1", "cpu:0", "CUDA", 0, null, "cuda:0:0:0"]) {
    assert.isFalse(isPreference(text))
  }
})
