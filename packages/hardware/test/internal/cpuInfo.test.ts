import { assert, describe, it } from "@effect/vitest"
import { parseProcessors, parseSysctl } from "../../src/internal/cpuInfo.ts"
import { fixture } from "../fixture.ts"

const read = (machine: string) => parseProcessors(fixture(`cpu/${machine}.cpuinfo.txt`))

describe("parseProcessors", () => {
  it("reads a virtual machine with AVX-512 and AMX", () => {
    const { features, ...rest } = read("xeon-vm")
    assert.deepStrictEqual(rest, { model: "Intel(R) Xeon(R) Processor", physicalCores: 2, logicalCores: 2 })
    assert.includeMembers([...features], ["sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_tile"])
    assert.deepStrictEqual([...features].sort(), features)
  })

  it("counts the cores of all sockets once, whatever their threads", () => {
    const { features, ...rest } = read("epyc-two-sockets")
    assert.deepStrictEqual(rest, { model: "AMD EPYC 7543 32-Core Processor", physicalCores: 3, logicalCores: 4 })
    assert.include(features, "avx2")
    assert.notInclude(features, "avx512f")
    assert.include(features, "sse3") // which Linux calls pni
  })

  it("names ARM cores by implementer and part", () => {
    assert.strictEqual(read("jetson-orin").model, "Cortex-A78AE")
    assert.strictEqual(read("jetson-xavier").model, "Carmel")
    assert.strictEqual(read("graviton3").model, "Neoverse-V1")
    assert.strictEqual(read("raspberry-pi").model, "Cortex-A72")
  })

  it("knows NEON of 64-bit and 32-bit kernels, and SVE", () => {
    assert.deepStrictEqual(read("jetson-orin").features, ["dotprod", "fp16", "neon"])
    assert.deepStrictEqual(read("raspberry-pi").features, ["neon"])
    assert.includeMembers([...read("graviton3").features], ["bf16", "i8mm", "neon", "sve"])
    assert.notInclude(read("graviton3").features, "sve2")
  })

  it("reports of two kinds of cores what both have", () => {
    assert.deepStrictEqual(read("two-kinds-of-cores").features, ["bf16", "dotprod", "fp16", "i8mm", "neon"])
  })

  it("reads other architectures", () => {
    const power = read("power9")
    assert.strictEqual(power.logicalCores, 2)
    assert.strictEqual(power.model, "POWER9, altivec supported")
    assert.include(power.features, "altivec")
  })

  it("answers that it does not know", () => {
    assert.deepStrictEqual(parseProcessors(""), { model: null, physicalCores: null, logicalCores: null, features: [] })
  })
})

describe("parseSysctl", () => {
  it("reads an Apple processor", () => {
    assert.deepStrictEqual(parseSysctl(fixture("mac/m3-pro.sysctl.txt")), {
      model: "Apple M3 Pro",
      physicalCores: 12,
      logicalCores: 12,
      features: ["bf16", "dotprod", "fp16", "i8mm", "neon"],
      memoryBytes: 38_654_705_664
    })
  })

  it("reads an Intel processor", () => {
    const mac = parseSysctl(fixture("mac/imac-pro.sysctl.txt"))
    assert.strictEqual(mac.physicalCores, 8)
    assert.strictEqual(mac.logicalCores, 16)
    assert.includeMembers([...mac.features], ["avx", "avx2", "avx512f", "avx512vl", "fma", "sse4_2"])
  })
})
