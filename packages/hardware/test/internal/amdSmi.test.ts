import { assert, describe, it } from "@effect/vitest"
import * as AmdSmi from "../../src/internal/amdSmi.ts"
import { fixture, mebibyte } from "../fixture.ts"

describe("parseAmdSmi", () => {
  it("joins what is fixed and what is measured by GPU, whatever their order", () => {
    const report = AmdSmi.parseAmdSmi(fixture("amd/mi300x.static.json"), fixture("amd/mi300x.metric.json"))
    assert.strictEqual(report?.driverVersion, "6.10.5")
    assert.deepStrictEqual(report?.devices[1], {
      index: 1,
      uuid: "0x1A2B3C4D5E6F7002",
      name: "AMD Instinct MI300X",
      memoryTotalBytes: 196592 * mebibyte,
      memoryFreeBytes: 179439 * mebibyte,
      architecture: "gfx942",
      temperatureCelsius: 61,
      utilizationPercent: 94
    })
    // this one says what is used, not what is free
    assert.strictEqual(report?.devices[0]?.memoryFreeBytes, (196592 - 284) * mebibyte)
  })

  it("reads releases without `gpu_data`, and does without measurements", () => {
    const report = AmdSmi.parseAmdSmi(fixture("amd/w7700-6.3.static.json"), "")
    assert.strictEqual(report?.devices[0]?.memoryTotalBytes, 16368 * mebibyte)
    assert.isNull(report?.devices[0]?.memoryFreeBytes)
    assert.isNull(report?.devices[0]?.uuid)
  })

  it("knows that other texts are no reports", () => {
    for (const text of ["", "[]", "{}", "null", '{"gpu_data": 3}', "ERROR:root:Driver not initialized", "[1, 2]"]) {
      assert.isUndefined(AmdSmi.parseAmdSmi(text, text))
    }
  })
})

describe("parseRocmSmi", () => {
  it("reads a GPU and the one inside the processor", () => {
    const report = AmdSmi.parseRocmSmi(fixture("amd/rx7900xt-igpu.rocm-smi.json"))
    assert.strictEqual(report?.driverVersion, "6.8.5")
    assert.deepStrictEqual(report?.devices[0], {
      index: 0,
      uuid: "0x9246aabbccddee01",
      name: "Radeon RX 7900 XT",
      memoryTotalBytes: 21_458_059_264,
      memoryFreeBytes: 21_458_059_264 - 27_856_896,
      architecture: "gfx1100",
      temperatureCelsius: 46,
      utilizationPercent: 1
    })
    assert.isNull(report?.devices[1]?.uuid)
  })

  it("reads the keys of old releases after a warning, in the order of the cards' numbers", () => {
    const report = AmdSmi.parseRocmSmi(fixture("amd/mi250x-5.4.rocm-smi.json"))
    assert.deepStrictEqual(
      report?.devices.map(({ index, memoryTotalBytes, name }) => [index, name, memoryTotalBytes]),
      [
        [0, "AMD INSTINCT MI200 (MCM) OAM LC MBA HPE C2", 68_702_699_520],
        [2, "AMD GPU", null],
        [10, "AMD INSTINCT MI200 (MCM) OAM LC MBA HPE C2", 68_702_699_520]
      ]
    )
  })

  it("knows that other texts are no reports", () => {
    for (const text of ["", "WARNING: No AMD GPUs specified", "{}", '{"card0": 1}', "[]", '{"card0": {"VRAM']) {
      assert.isUndefined(AmdSmi.parseRocmSmi(text))
    }
  })
})

it.each([
  [
    "cat: /sys/module/amdgpu/initstate: No such file or directory\nERROR:root:Driver not initialized (amdgpu not found in modules)",
    "driver_not_loaded"
  ],
  ["WARNING: No AMD GPUs specified", "no_devices"],
  ["ROCk module is NOT loaded, possibly no GPU devices", "driver_not_loaded"],
  ["Unable to open /dev/kfd read-write: Permission denied", "access_blocked"],
  ["Traceback (most recent call last):", undefined]
])("diagnose knows %j", (said, reason) => {
  assert.strictEqual(AmdSmi.diagnose(said), reason)
})
