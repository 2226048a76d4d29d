/**
 * The hardware of this machine: what there is, and which device to use.
 *
 * Detection runs the vendors' tools, which takes from a few milliseconds without GPUs to a second or two with many, so its
 * result is kept for a minute. Nothing is detected before it is asked for.
 *
 * **Example** (A device, whatever the machine)
 *
 * ```ts
 * const program = Effect.gen(function* () {
 *   const device = yield* Hardware.selectWithFallback(["cuda", "mps", "cpu"])
 *   return device.id
 * }).pipe(Effect.provide(Hardware.layer))
 * ```
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as CpuDetector from "./CpuDetector.ts"
import * as CudaDetector from "./CudaDetector.ts"
import { DetectionFailed, DeviceUnavailable } from "./HardwareError.ts"
import type {
  Capabilities,
  CpuInfo,
  CudaInfo,
  Device,
  HardwareInfo,
  Identity,
  MpsInfo,
  Problem,
  RocmInfo
} from "./HardwareInfo.ts"
import { emit } from "./internal/events.ts"
import * as Machine from "./Machine.ts"
import * as MpsDetector from "./MpsDetector.ts"
import * as RocmDetector from "./RocmDetector.ts"
import { choose, type Preference, type Requirements } from "./Selection.ts"

/** The hardware of one machine. */
export class Hardware extends Context.Service<
  Hardware,
  {
    readonly detect: Effect.Effect<HardwareInfo>
    readonly info: Effect.Effect<HardwareInfo>
    readonly clearCache: Effect.Effect<void>
  }
>()("@snakepit/hardware/Hardware") {}

/** Looks at the machine now, whatever is kept, and keeps the result. */
export const detect: Effect.Effect<HardwareInfo, never, Hardware> = Hardware.use((hardware) => hardware.detect)

/** What the machine has: the result that is kept, else a new one. */
export const info: Effect.Effect<HardwareInfo, never, Hardware> = Hardware.use((hardware) => hardware.info)

/** Forgets the result that is kept. */
export const clearCache: Effect.Effect<void, never, Hardware> = Hardware.use((hardware) => hardware.clearCache)

/** The flags that programs branch on. */
export const capabilities: Effect.Effect<Capabilities, never, Hardware> = Effect.map(info, (found) => ({
  cuda: found.devices.some(({ kind }) => kind === "cuda"),
  rocm: found.devices.some(({ kind }) => kind === "rocm"),
  mps: found.mps !== null,
  avx: found.cpu.features.includes("avx"),
  avx2: found.cpu.features.includes("avx2"),
  avx512: found.cpu.features.includes("avx512f"),
  neon: found.cpu.features.includes("neon"),
  sve: found.cpu.features.includes("sve"),
  cudnn: found.cuda !== null && found.cuda.cudnnVersion !== null,
  cudaVersion: found.cuda?.driverCudaVersion ?? null,
  cudnnVersion: found.cuda?.cudnnVersion ?? null,
  rocmVersion: found.rocm?.version ?? null
}))

/** What tells this machine from others, for a lock file. The same as long as hardware and drivers are. */
export const identity: Effect.Effect<Identity, never, Hardware> = Effect.map(info, identityOf)

/** The best device for a preference. */
export const select = (
  preference: Preference,
  requirements: Requirements = {}
): Effect.Effect<Device, DeviceUnavailable, Hardware> => selectWithFallback([preference], requirements)

/** The best device for the first preference that one fits. */
export const selectWithFallback = (
  preferences: ReadonlyArray<Preference>,
  requirements: Requirements = {}
): Effect.Effect<Device, DeviceUnavailable, Hardware> =>
  Effect.gen(function* () {
    const chosen = choose(yield* info, preferences, requirements)
    if (chosen instanceof DeviceUnavailable) {
      yield* emit("hardware.device_unavailable", { wanted: preferences.join(", ") })
      return yield* chosen
    }
    yield* emit("hardware.device_selected", { device: chosen.id, name: chosen.name, wanted: preferences.join(", ") })
    return chosen
  })

/** How the service keeps what it found. */
export interface Options {
  /** How long a result is kept. Defaults to 1 minute. */
  readonly timeToLive?: Duration.Input | undefined
}

/** The service over detectors, each of which can be another. */
export const layerWith = (
  options: Options = {}
): Layer.Layer<
  Hardware,
  never,
  | Machine.Machine
  | CudaDetector.CudaDetector
  | RocmDetector.RocmDetector
  | MpsDetector.MpsDetector
  | CpuDetector.CpuDetector
> =>
  Layer.effect(
    Hardware,
    Effect.gen(function* () {
      const machine = yield* Machine.Machine
      const look = Effect.all(
        {
          cpu: (yield* CpuDetector.CpuDetector).detect,
          cuda: settled((yield* CudaDetector.CudaDetector).detect),
          rocm: settled((yield* RocmDetector.RocmDetector).detect),
          mps: settled((yield* MpsDetector.MpsDetector).detect)
        },
        { concurrency: "unbounded" }
      ).pipe(
        Effect.zip(Clock.currentTimeMillis),
        Effect.map(([{ cpu, cuda, mps, rocm }, detectedAt]): HardwareInfo => {
          const devices = devicesOf(cpu, cuda.found, rocm.found, mps.found)
          return {
            platform: `${machine.platform}-${machine.architecture}`,
            accelerator: devices[0]?.kind ?? "cpu",
            devices,
            cpu,
            cuda: cuda.found,
            rocm: rocm.found,
            mps: mps.found,
            problems: [...cuda.problems, ...faults(cuda.found), ...rocm.problems, ...mps.problems],
            detectedAt
          }
        }),
        Effect.tap((found) =>
          emit("hardware.detected", {
            platform: found.platform,
            accelerator: found.accelerator,
            devices: found.devices.map(({ id }) => id).join(", "),
            problems: found.problems.map(({ detector, reason }) => `${detector}: ${reason}`).join(", ")
          })
        )
      )
      const [kept, forget] = yield* Effect.cachedInvalidateWithTTL(look, options.timeToLive ?? "1 minute")
      return { detect: Effect.andThen(forget, kept), info: kept, clearCache: forget }
    })
  )

/** The service on this machine. */
export const layer: Layer.Layer<Hardware> = Layer.suspend(() => layerOn(Machine.layer))

/** The service over one machine's commands and files, for tests: give it `Machine.layerTest`. */
export const layerOn = (machine: Layer.Layer<Machine.Machine>, options: Options = {}): Layer.Layer<Hardware> =>
  layerWith(options).pipe(
    Layer.provide([CudaDetector.layer, RocmDetector.layer, MpsDetector.layer, CpuDetector.layer]),
    Layer.provide(machine)
  )

/** The service with a fixed answer. */
export const layerTest = (found: HardwareInfo): Layer.Layer<Hardware> =>
  Layer.succeed(Hardware, { detect: Effect.succeed(found), info: Effect.succeed(found), clearCache: Effect.void })

interface Settled<A> {
  readonly found: A | null
  readonly problems: ReadonlyArray<Problem>
}

/** A detector's answer; one that fails has found nothing, and says why. */
const settled = <A>(detection: Effect.Effect<A | null, DetectionFailed>): Effect.Effect<Settled<A>> =>
  Effect.match(detection, {
    onSuccess: (found) => ({ found, problems: [] }),
    onFailure: (error) => ({ found: null, problems: [error.problem] })
  })

/** What is wrong with single GPUs. */
const faults = (cuda: CudaInfo | null): ReadonlyArray<Problem> =>
  (cuda?.devices ?? []).flatMap(({ fault, index, name }) => {
    if (fault === null) return []
    const detail = `cuda:${index} (${name}): ${fault}`
    return [new DetectionFailed({ detector: "cuda", reason: "device_lost", detail }).problem]
  })

/** Devices of all kinds, best first. */
const devicesOf = (
  cpu: CpuInfo,
  cuda: CudaInfo | null,
  rocm: RocmInfo | null,
  mps: MpsInfo | null
): ReadonlyArray<Device> => {
  const devices: Array<Device> = []
  for (const gpu of cuda?.devices ?? []) {
    if (gpu.fault !== null) continue
    // By UUID: CUDA counts GPUs by speed unless told otherwise, so that a number could mean another one.
    if (gpu.migEnabled) {
      for (const slice of gpu.migDevices) {
        if (slice.uuid === null) continue
        devices.push({
          id: `cuda:${gpu.index}:${slice.index}`,
          kind: "cuda",
          name: slice.profile === null ? `${gpu.name} MIG` : `${gpu.name} MIG ${slice.profile}`,
          memoryTotalBytes: slice.memoryTotalBytes,
          memoryFreeBytes: slice.memoryFreeBytes,
          environment: shown(slice.uuid)
        })
      }
    } else {
      devices.push({
        id: `cuda:${gpu.index}`,
        kind: "cuda",
        name: gpu.name,
        memoryTotalBytes: gpu.memoryTotalBytes,
        memoryFreeBytes: gpu.memoryFreeBytes,
        environment: shown(gpu.uuid?.startsWith("GPU-") === true && !gpu.unifiedMemory ? gpu.uuid : String(gpu.index))
      })
    }
  }
  for (const gpu of rocm?.devices ?? []) {
    devices.push({
      id: `rocm:${gpu.index}`,
      kind: "rocm",
      name: gpu.name,
      memoryTotalBytes: gpu.memoryTotalBytes,
      memoryFreeBytes: gpu.memoryFreeBytes,
      environment: { HIP_VISIBLE_DEVICES: String(gpu.hipIndex) }
    })
  }
  if (mps !== null) {
    devices.push({
      id: "mps",
      kind: "mps",
      name: mps.name,
      memoryTotalBytes: mps.memoryTotalBytes,
      // macOS does not say what a GPU has left; of shared memory it is what the CPU has left
      memoryFreeBytes: mps.unifiedMemory ? cpu.memoryAvailableBytes : null,
      environment: {}
    })
  }
  const hidden: Record<string, string> = {}
  if (cuda !== null) hidden["CUDA_VISIBLE_DEVICES"] = ""
  // HIP takes an empty list for none given
  if (rocm !== null) hidden["HIP_VISIBLE_DEVICES"] = "-1"
  devices.push({
    id: "cpu",
    kind: "cpu",
    name: cpu.model ?? cpu.architecture,
    memoryTotalBytes: cpu.memoryLimitBytes ?? cpu.memoryTotalBytes,
    memoryFreeBytes: cpu.memoryAvailableBytes,
    environment: hidden
  })
  return devices
}

const shown = (device: string): Readonly<Record<string, string>> => ({
  CUDA_VISIBLE_DEVICES: device,
  CUDA_DEVICE_ORDER: "PCI_BUS_ID"
})

function identityOf(found: HardwareInfo): Identity {
  const gpus = [
    ...(found.cuda?.devices ?? []).map(({ computeCapability, name }) => named(name, computeCapability)),
    ...(found.rocm?.devices ?? []).map(({ architecture, name }) => named(name, architecture)),
    ...(found.mps === null ? [] : [found.mps.name])
  ]
  return {
    platform: found.platform,
    accelerator: found.accelerator,
    cpuModel: found.cpu.model,
    cpuFeatures: found.cpu.features,
    gpuCount: gpus.length,
    gpus,
    driverVersion: found.cuda?.driverVersion ?? found.rocm?.driverVersion ?? null,
    cudaVersion: found.cuda?.driverCudaVersion ?? null,
    rocmVersion: found.rocm?.version ?? null
  }
}

const named = (name: string, version: string | null): string => (version === null ? name : `${name} (${version})`)
