import { assert, describe, it } from "@effect/vitest"
import { parseDisplays } from "../../src/internal/metal.ts"
import { fixture, gibibyte } from "../fixture.ts"

describe("parseDisplays", () => {
  it("reads the GPU of an Apple processor, which shares its memory", () => {
    assert.deepStrictEqual(parseDisplays(fixture("mac/m3-pro.displays.json")), {
      name: "Apple M3 Pro",
      gpuCores: 18,
      metalVersion: "3",
      memoryTotalBytes: null,
      unifiedMemory: true
    })
  })

  it("reads the GPU of an Intel Mac, past one without Metal", () => {
    assert.deepStrictEqual(parseDisplays(fixture("mac/imac-pro.displays.json")), {
      name: "Radeon Pro Vega 64",
      gpuCores: null,
      metalVersion: null,
      memoryTotalBytes: 16 * gibibyte,
      unifiedMemory: false
    })
  })

  it("finds none in other texts", () => {
    for (const text of ["", "{}", '{"SPDisplaysDataType": []}', '{"SPDisplaysDataType": [null, 3, {}]}', "[]"]) {
      assert.isUndefined(parseDisplays(text))
    }
  })
})
