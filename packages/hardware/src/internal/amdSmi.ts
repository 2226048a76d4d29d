/**
 * Reads what AMD's tools print as JSON: `amd-smi static` and `amd-smi metric`, and the older `rocm-smi`. Both print warnings
 * before the JSON, and their keys changed from release to release. Total: every text has an answer.
 */
import type { Problem, RocmDevice } from "../HardwareInfo.ts"
import * as Quantity from "./quantity.ts"

/** One GPU, before any is hidden. */
export type Card = Omit<RocmDevice, "hipIndex">

/** What the tools tell. */
export interface Report {
  readonly driverVersion: string | null
  readonly devices: ReadonlyArray<Card>
}

/** What `amd-smi` and `rocm-smi` are asked for. */
export const amdStatic = ["static", "--asic", "--driver", "--vram", "--json"] as const
export const amdMetric = ["metric", "--mem-usage", "--temperature", "--usage", "--json"] as const
export const rocm = [
  "--showid",
  "--showproductname",
  "--showuniqueid",
  "--showmeminfo",
  "vram",
  "--showtemp",
  "--showuse",
  "--showdriverversion",
  "--json"
] as const

/** Reads the output of `amd-smi static` and `amd-smi metric`; `undefined` when the first is no such report. */
export const parseAmdSmi = (fixed: string, measured: string): Report | undefined => {
  const entries = rows(json(fixed))
  if (entries === undefined) return undefined
  const metrics = rows(json(measured)) ?? []
  const devices = entries.map((entry, position): Card => {
    const index = Quantity.count(at(entry, "gpu")) ?? position
    const metric = metrics.find((row, place) => (Quantity.count(at(row, "gpu")) ?? place) === index)
    const total = megabytes(at(metric, "mem_usage", "total_vram")) ?? megabytes(at(entry, "vram", "size"))
    const free = megabytes(at(metric, "mem_usage", "free_vram"))
    return card(index, {
      uuid: Quantity.word(at(entry, "asic", "asic_serial")),
      name: Quantity.word(at(entry, "asic", "market_name")),
      total,
      free: free ?? remainder(total, megabytes(at(metric, "mem_usage", "used_vram"))),
      architecture: Quantity.word(at(entry, "asic", "target_graphics_version")),
      temperature: value(at(metric, "temperature", "edge")) ?? value(at(metric, "temperature", "hotspot")),
      utilization: value(at(metric, "usage", "gfx_activity"))
    })
  })
  return { driverVersion: Quantity.word(at(entries[0], "driver", "version")), devices }
}

/** Reads the output of `rocm-smi --json`; `undefined` when it is no such report. */
export const parseRocmSmi = (output: string): Report | undefined => {
  const report = json(output)
  if (!isObject(report)) return undefined
  const devices: Array<Card> = []
  for (const [key, entry] of Object.entries(report)) {
    const index = /^card(\d{1,6})$/.exec(key)?.[1]
    if (index === undefined || !isObject(entry)) continue
    // "Card series" became "Card Series", and so did others
    const fields = new Map(Object.entries(entry).map(([name, field]) => [name.toLowerCase(), field]))
    const total = Quantity.bytes(fields.get("vram total memory (b)"))
    const used = Quantity.bytes(fields.get("vram total used memory (b)"))
    devices.push(
      card(Number(index), {
        uuid: Quantity.word(fields.get("unique id")),
        name:
          Quantity.word(fields.get("card series")) ??
          Quantity.word(fields.get("device name")) ??
          Quantity.word(fields.get("card model")),
        total,
        free: remainder(total, used),
        architecture: Quantity.word(fields.get("gfx version")),
        temperature:
          Quantity.number(fields.get("temperature (sensor edge) (c)")) ??
          Quantity.number(fields.get("temperature (sensor junction) (c)")),
        utilization: Quantity.number(fields.get("gpu use (%)"))
      })
    )
  }
  const driverVersion = Quantity.word(at(report, "system", "Driver version"))
  if (devices.length === 0 && driverVersion === null) return undefined
  return { driverVersion, devices: devices.sort((one, other) => one.index - other.index) }
}

/** What a failing tool means; `undefined` when it says nothing of the kind. */
export const diagnose = (output: string): Problem["reason"] | undefined => {
  if (/not found in modules|driver not initialized|module is NOT loaded/i.test(output)) return "driver_not_loaded"
  if (/permission denied|not in render group|not a member of/i.test(output)) return "access_blocked"
  if (/No AMD GPUs|No devices|Unable to detect any GPU/i.test(output)) return "no_devices"
  return undefined
}

interface Reading {
  readonly uuid: string | null
  readonly name: string | null
  readonly total: number | null
  readonly free: number | null
  readonly architecture: string | null
  readonly temperature: number | null
  readonly utilization: number | null
}

const card = (index: number, reading: Reading): Card => ({
  index,
  uuid: reading.uuid,
  name: reading.name ?? "AMD GPU",
  memoryTotalBytes: reading.total === 0 ? null : reading.total,
  memoryFreeBytes: reading.total === 0 ? null : reading.free,
  architecture: reading.architecture,
  temperatureCelsius: reading.temperature,
  utilizationPercent: reading.utilization
})

const remainder = (total: number | null, used: number | null): number | null =>
  total === null || used === null || used > total ? null : total - used

/** A number, or `{ value, unit }` of one. */
const value = (field: unknown): number | null => Quantity.number(isObject(field) ? field["value"] : field)

const megabytes = (field: unknown): number | null => {
  const size = isObject(field) ? field["value"] : field
  const unit = isObject(field) && typeof field["unit"] === "string" ? field["unit"] : "MB"
  return Quantity.bytes(`${String(size)} ${unit}`)
}

/** Newer releases wrap the list in `gpu_data`. */
const rows = (report: unknown): ReadonlyArray<unknown> | undefined => {
  const list = isObject(report) ? report["gpu_data"] : report
  return Array.isArray(list) && list.some(isObject) ? list.filter(isObject) : undefined
}

/** The JSON in the output, after whatever stands before it. */
const json = (output: string): unknown => {
  for (const start of output.matchAll(/^\s*[[{]/gm)) {
    try {
      return JSON.parse(output.slice(start.index))
    } catch {
      // a warning that begins with a bracket: the JSON is further on, or there is none
      if (start.index > 65_536) return undefined
    }
  }
  return undefined
}

const isObject = (given: unknown): given is Readonly<Record<string, unknown>> =>
  typeof given === "object" && given !== null && !Array.isArray(given)

const at = (given: unknown, ...path: ReadonlyArray<string>): unknown => {
  let found = given
  for (const name of path) found = isObject(found) ? found[name] : undefined
  return found
}
