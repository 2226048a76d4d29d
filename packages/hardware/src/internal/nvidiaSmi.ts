/** Reads what `nvidia-smi` prints. Total: every text has an answer. */
import type { CudaDevice, MigDevice, Problem } from "../HardwareInfo.ts"
import * as Quantity from "./quantity.ts"
import * as Xml from "./xml.ts"

/** What `nvidia-smi -q -x` tells. */
export interface Report {
  readonly driverVersion: string | null
  readonly cudaVersion: string | null
  readonly devices: ReadonlyArray<CudaDevice>
}

/** Reads `nvidia-smi -q -x`; `undefined` when it is no such report. */
export const parseReport = (output: string): Report | undefined => {
  const log = Xml.find(Xml.parse(output), "nvidia_smi_log")
  if (log === undefined) return undefined
  return {
    driverVersion: Quantity.word(Xml.text(log, "driver_version")),
    cudaVersion: Quantity.word(Xml.text(log, "cuda_version")),
    devices: Xml.all(log, "gpu").map(device)
  }
}

// The report lists GPUs in PCI bus order, which is how nvidia-smi counts them; `minor_number` is that of the device file.
const device = (gpu: Xml.Element, index: number): CudaDevice => {
  const total = Quantity.bytes(Xml.text(gpu, "fb_memory_usage", "total"))
  const free = Quantity.bytes(Xml.text(gpu, "fb_memory_usage", "free"))
  const used = Quantity.bytes(Xml.text(gpu, "fb_memory_usage", "used"))
  return {
    index,
    uuid: Quantity.word(Xml.text(gpu, "uuid")),
    name: Quantity.word(Xml.text(gpu, "product_name")) ?? "NVIDIA GPU",
    memoryTotalBytes: positive(total),
    memoryFreeBytes: positive(total) === null ? null : (free ?? remainder(total, used)),
    unifiedMemory: false,
    computeCapability: capability(Xml.text(gpu, "compute_cap")),
    temperatureCelsius: Quantity.number(Xml.text(gpu, "temperature", "gpu_temp")),
    utilizationPercent: Quantity.number(Xml.text(gpu, "utilization", "gpu_util")),
    fault: fault(Xml.text(gpu, "uuid"), Xml.text(gpu, "fb_memory_usage", "total")),
    migEnabled: Xml.text(gpu, "mig_mode", "current_mig") === "Enabled",
    migDevices: Xml.all(Xml.find(gpu, "mig_devices"), "mig_device").map(migDevice)
  }
}

const migDevice = (slice: Xml.Element, position: number): MigDevice => ({
  index: integer(Xml.text(slice, "index")) ?? position,
  uuid: Quantity.word(Xml.text(slice, "uuid")),
  profile: Quantity.word(Xml.text(slice, "profile")),
  memoryTotalBytes: Quantity.bytes(Xml.text(slice, "fb_memory_usage", "total")),
  memoryFreeBytes: Quantity.bytes(Xml.text(slice, "fb_memory_usage", "free"))
})

/** What is asked of every GPU with `--query-gpu`: it is known to drivers since 2014, but for the compute capability. */
export const columns = [
  "index",
  "uuid",
  "name",
  "driver_version",
  "memory.total",
  "memory.free",
  "temperature.gpu",
  "utilization.gpu"
] as const

/** Reads `--query-gpu` of {@link columns} with `--format=csv,noheader,nounits`. Lines that are none of it are passed over. */
export const parseQuery = (output: string): Report => {
  let driverVersion: string | null = null
  const devices: Array<CudaDevice> = []
  for (const line of output.split("\n")) {
    const [index, uuid, name, driver, total, free, temperature, utilization, ...rest] = line.split(",")
    const number = integer(index)
    if (number === undefined || utilization === undefined || rest.length > 0) continue
    driverVersion ??= Quantity.word(driver)
    const memory = positive(Quantity.bytes(total, mebibyte))
    devices.push({
      index: number,
      uuid: Quantity.word(uuid),
      name: Quantity.word(name) ?? "NVIDIA GPU",
      memoryTotalBytes: memory,
      memoryFreeBytes: memory === null ? null : Quantity.bytes(free, mebibyte),
      unifiedMemory: false,
      computeCapability: null,
      temperatureCelsius: Quantity.number(temperature),
      utilizationPercent: Quantity.number(utilization),
      fault: fault(uuid, total),
      migEnabled: false,
      migDevices: []
    })
  }
  return { driverVersion, cudaVersion: null, devices }
}

const mebibyte = 1024 ** 2

/** Reads `--query-gpu=index,compute_cap`: capabilities by index. Drivers before 510 do not know the field. */
export const parseCapabilities = (output: string): ReadonlyMap<number, string> => {
  const found = new Map<number, string>()
  for (const line of output.split("\n")) {
    const [index, value] = line.split(",")
    const number = integer(index)
    const read = capability(value)
    if (number !== undefined && read !== null) found.set(number, read)
  }
  return found
}

/** The identity of a slice, as `nvidia-smi -L` prints it. */
export interface ListedSlice {
  readonly gpu: number
  readonly index: number
  readonly profile: string
  readonly uuid: string
}

/** Reads the slices that `nvidia-smi -L` lists: the report has neither their UUIDs nor their profiles. */
export const parseSlices = (output: string): ReadonlyArray<ListedSlice> => {
  const slices: Array<ListedSlice> = []
  let gpu: number | undefined
  for (const line of output.split("\n")) {
    const card = /^GPU (\d{1,6}):/.exec(line)?.[1]
    if (card !== undefined) gpu = Number(card)
    const [, profile, index, uuid] = /^\s+MIG (\S+)\s+Device\s+(\d{1,6}): \(UUID: ([^)\s]+)\)/.exec(line) ?? []
    if (gpu === undefined || profile === undefined || index === undefined || uuid === undefined) continue
    slices.push({ gpu, index: Number(index), profile, uuid })
  }
  return slices
}

/** Reads the release that `nvcc --version` prints. */
export const parseToolkit = (output: string): string | null => /release (\d+\.\d+)/.exec(output)?.[1] ?? null

/** Reads the version of cuDNN from its header, `cudnn_version.h`. */
export const parseCudnn = (header: string): string | null => {
  const part = (name: string) => new RegExp(`^#define CUDNN_${name}\\s+(\\d+)`, "m").exec(header)?.[1]
  const [major, minor, patch] = [part("MAJOR"), part("MINOR"), part("PATCHLEVEL")]
  return major === undefined ? null : [major, minor, patch].filter((value) => value !== undefined).join(".")
}

/** What a failing `nvidia-smi` means; `undefined` when it says nothing of the kind. */
export const diagnose = (output: string): Problem["reason"] | undefined => {
  if (/driver\/library version mismatch/i.test(output)) return "driver_mismatch"
  if (/GPU is lost|Unable to determine the device handle|fallen off the bus/i.test(output)) return "device_lost"
  if (/access blocked|Insufficient Permissions/i.test(output)) return "access_blocked"
  if (/couldn't communicate with the NVIDIA driver|Driver Not Loaded|couldn't find libnvidia-ml/i.test(output)) {
    return "driver_not_loaded"
  }
  if (/No devices were found/i.test(output)) return "no_devices"
  return undefined
}

/** What the driver says in place of a value that every GPU has. */
const fault = (...fields: ReadonlyArray<string | undefined>): string | null => {
  for (const field of fields) {
    const said = /GPU is lost|GPU requires reset|fallen off the bus|Unknown Error|ERR!/i.exec(field ?? "")?.[0]
    if (said !== undefined) return said
  }
  return null
}

const integer = (text: string | undefined): number | undefined =>
  text !== undefined && /^\s*\d{1,6}\s*$/.test(text) ? Number(text) : undefined

/** Memory of size 0 is memory that the driver does not report. */
const positive = (value: number | null): number | null => (value === 0 ? null : value)

const remainder = (total: number | null, used: number | null): number | null =>
  total === null || used === null || used > total ? null : total - used

const capability = (text: string | undefined): string | null =>
  /^\s*(\d{1,3}\.\d{1,2})\s*$/.exec(text ?? "")?.[1] ?? null
