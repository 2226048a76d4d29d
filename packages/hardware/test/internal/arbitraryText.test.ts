/** Every parser answers every text: arbitrary ones, and those of real machines cut, spliced and doubled. */
import { describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as AmdSmi from "../../src/internal/amdSmi.ts"
import * as Cgroup from "../../src/internal/cgroup.ts"
import { parseProcessors, parseSysctl } from "../../src/internal/cpuInfo.ts"
import { countProcessors, parseAffinity } from "../../src/internal/cpuList.ts"
import { parseMemory } from "../../src/internal/memInfo.ts"
import { parseDisplays } from "../../src/internal/metal.ts"
import * as NvidiaSmi from "../../src/internal/nvidiaSmi.ts"
import { visible } from "../../src/internal/visibleDevices.ts"
import { CudaDevice, MpsInfo, RocmDevice } from "../../src/HardwareInfo.ts"
import { fixtures } from "../fixture.ts"

const isCuda = Schema.is(CudaDevice)
const isRocm = Schema.is(RocmDevice)
const isMps = Schema.is(MpsInfo)

const all = (value: unknown, test: boolean): void => {
  if (!test) throw new Error(`does not fit its schema: ${JSON.stringify(value)}`)
}

/** Runs every parser, and holds what they answer against the schemas. */
const parseEverything = (text: string): void => {
  for (const device of NvidiaSmi.parseReport(text)?.devices ?? []) all(device, isCuda(device))
  for (const device of NvidiaSmi.parseQuery(text).devices) all(device, isCuda(device))
  for (const report of [AmdSmi.parseAmdSmi(text, text), AmdSmi.parseRocmSmi(text)]) {
    for (const device of report?.devices ?? []) all(device, isRocm({ ...device, hipIndex: 0 }))
  }
  const mac = parseDisplays(text)
  if (mac !== undefined) all(mac, isMps({ ...mac, macosVersion: null }))
  NvidiaSmi.parseCapabilities(text)
  NvidiaSmi.parseSlices(text)
  NvidiaSmi.parseToolkit(text)
  NvidiaSmi.parseCudnn(text)
  NvidiaSmi.diagnose(text)
  AmdSmi.diagnose(text)
  parseProcessors(text)
  parseSysctl(text)
  parseMemory(text)
  parseAffinity(text)
  countProcessors(text)
  Cgroup.levels("cpu", text, text)
  Cgroup.levels("memory", text, text)
  Cgroup.parseCpuMax(text)
  Cgroup.parseCfs(text, text)
  Cgroup.parseMemoryLimit(text)
  Cgroup.parseReclaimable(text)
  visible([text, null], text, (name) => [name])
}

const captured = fixtures()
const Share = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))
const at = (text: string, share: number): number => Math.floor((text.length * share) / 1000)

describe("parsers", () => {
  it("answer every fixture, whatever it is of", () => captured.forEach(parseEverything))

  it.prop("answer arbitrary text", [Schema.String], ([text]) => parseEverything(text), { arbitrary: { runs: 200 } })

  it.prop(
    "answer what machines print, cut and spliced at will",
    [Share, Share, Share, Share, Schema.String],
    ([one, other, first, last, between]) => {
      const a = captured[one % captured.length] ?? ""
      const b = captured[other % captured.length] ?? ""
      parseEverything(a.slice(0, at(a, first)) + between + b.slice(at(b, last)))
    },
    { arbitrary: { runs: 300 } }
  )
})
