/** Reads what macOS says of its GPUs: `system_profiler SPDisplaysDataType -json`. Total: every text has an answer. */
import type { MpsInfo } from "../HardwareInfo.ts"
import * as Quantity from "./quantity.ts"

/** The first GPU that supports Metal; `undefined` when there is none. Its memory is its own, `null` where it shares the CPU's. */
export const parseDisplays = (output: string): Omit<MpsInfo, "macosVersion"> | undefined => {
  for (const entry of entries(output)) {
    const field = (name: string): string | null => Quantity.word(entry[name])
    const metal =
      field("spdisplays_mtlgpufamilysupport") ?? field("spdisplays_metalfamily") ?? field("spdisplays_metal")
    if (metal === null || /notsupported|unsupported/i.test(metal)) continue
    const name = field("sppci_model") ?? field("_name") ?? "Apple GPU"
    const own = field("spdisplays_vram") ?? field("_spdisplays_vram")
    return {
      name,
      gpuCores: Quantity.count(field("sppci_cores")),
      metalVersion: /metal(\d)$/.exec(metal)?.[1] ?? null,
      memoryTotalBytes: own === null ? null : Quantity.bytes(own),
      unifiedMemory: own === null
    }
  }
  return undefined
}

const entries = (output: string): ReadonlyArray<Readonly<Record<string, unknown>>> => {
  try {
    const report: unknown = JSON.parse(output)
    const list = isObject(report) ? report["SPDisplaysDataType"] : undefined
    return Array.isArray(list) ? list.filter(isObject) : []
  } catch {
    return []
  }
}

const isObject = (given: unknown): given is Readonly<Record<string, unknown>> =>
  typeof given === "object" && given !== null && !Array.isArray(given)
