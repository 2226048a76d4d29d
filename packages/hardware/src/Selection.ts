/** Which device fits what is asked for. Pure: `Hardware.ts` applies it to this machine, `DevicePlacement.ts` to a pool's workers. */
import { DeviceUnavailable } from "./HardwareError.ts"
import type { Device, DeviceKind, HardwareInfo } from "./HardwareInfo.ts"

/**
 * What is asked for: the best there is (`auto`), the best of a kind, or one device: `cuda:0`, `cuda:0:1` (slice 1 of GPU 0),
 * `rocm:2`.
 */
export type Preference = "auto" | DeviceKind | `cuda:${number}` | `cuda:${number}:${number}` | `rocm:${number}`

/** Whether the text is a preference. */
export const isPreference = (text: unknown): text is Preference =>
  typeof text === "string" && /^(?:auto|cpu|mps|cuda(?::\d{1,6}){0,2}|rocm(?::\d{1,6})?)$/.test(text)

/** What a device has to have beside its name. */
export interface Requirements {
  /**
   * Bytes of its memory that are free. An accelerator that does not say how much is free does not fit; the CPU always does.
   * Defaults to 0.
   */
  readonly minFreeMemory?: number | undefined
}

/** How much of a device is left, where more is known than the machine says. */
export interface Standing {
  /** Workers that it has. */
  readonly workers: number
  /** Bytes that are as good as taken. */
  readonly reservedBytes: number
  /** Why it must not be used now. */
  readonly refused: string | undefined
}

const untouched: Standing = { workers: 0, reservedBytes: 0, refused: undefined }

/** Devices of several preferences, alike. */
export type Alternatives = Preference | ReadonlyArray<Preference>

/**
 * The device for the first preference that one fits, or why none does. Of several, the one with the fewest workers is taken, then
 * the one with the most free memory, then the first.
 */
export const choose = (
  info: HardwareInfo,
  preferences: ReadonlyArray<Alternatives>,
  requirements: Requirements = {},
  standing: (device: Device) => Standing = () => untouched
): Device | DeviceUnavailable => {
  const refused = new Map<string, string>()
  const needed = requirements.minFreeMemory ?? 0
  for (const candidates of preferences.flatMap((preference) => candidatesOf(info, [preference].flat()))) {
    const fitting: Array<{ readonly device: Device; readonly workers: number; readonly left: number }> = []
    for (const device of candidates) {
      const { refused: why, reservedBytes, workers } = standing(device)
      const left = (device.memoryFreeBytes ?? 0) - reservedBytes
      if (why !== undefined) refused.set(device.id, why)
      else if (needed > 0 && device.kind !== "cpu" && left < needed)
        refused.set(device.id, shortage(device, left, needed))
      else fitting.push({ device, workers, left })
    }
    const [best] = fitting.sort((one, other) => one.workers - other.workers || other.left - one.left)
    if (best !== undefined) return best.device
  }
  const wanted = preferences.flat()
  return new DeviceUnavailable({
    wanted,
    refused: [...refused].map(([device, why]) => ({ device, why })),
    available: info.devices.map(({ id }) => id),
    problems: info.problems.filter(({ detector }) =>
      wanted.some((preference) => preference === "auto" || kindOf(preference) === detector)
    )
  })
}

/** The devices that are tried together. What is best there is, is tried kind by kind. */
const candidatesOf = (
  { devices }: HardwareInfo,
  alike: ReadonlyArray<Preference>
): ReadonlyArray<ReadonlyArray<Device>> => {
  if (!alike.includes("auto"))
    return [devices.filter((device) => alike.some((preference) => matches(device, preference)))]
  const kinds = [...new Set(devices.map(({ kind }) => kind))]
  return kinds.map((kind) => devices.filter((device) => device.kind === kind))
}

/** A GPU's name stands for any of its slices too. */
const matches = (device: Device, preference: Preference): boolean =>
  device.kind === preference || device.id === preference || device.id.startsWith(`${preference}:`)

const kindOf = (preference: Preference): string | undefined => preference.split(":")[0]

const shortage = (device: Device, left: number, needed: number): string =>
  device.memoryFreeBytes === null
    ? `it does not say how much of its memory is free, and ${needed} bytes are needed`
    : `${Math.max(0, left)} bytes of its memory are free, ${needed} are needed`
