/**
 * NVIDIA GPUs, as `nvidia-smi` tells, and Jetson modules, whose `nvidia-smi` tells little or is missing. `RocmDetector.ts`,
 * `MpsDetector.ts` and `CpuDetector.ts` stand beside it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DetectionFailed } from "./HardwareError.ts"
import type { CudaDevice, CudaInfo } from "./HardwareInfo.ts"
import * as MemInfo from "./internal/memInfo.ts"
import * as NvidiaSmi from "./internal/nvidiaSmi.ts"
import { entries, visible } from "./internal/visibleDevices.ts"
import { type CommandOutcome, Machine } from "./Machine.ts"

/** Finds NVIDIA GPUs: `null` when there is no sign of any. */
export class CudaDetector extends Context.Service<
  CudaDetector,
  { readonly detect: Effect.Effect<CudaInfo | null, DetectionFailed> }
>()("@snakepit/hardware/CudaDetector") {}

/** Asks `nvidia-smi`. */
export const layer: Layer.Layer<CudaDetector, never, Machine> = Layer.effect(
  CudaDetector,
  Effect.map(Machine, (machine) => ({ detect: detect(machine) }))
)

/** Answers what it is given. */
export const layerTest = (info: CudaInfo | null): Layer.Layer<CudaDetector> =>
  Layer.succeed(CudaDetector, { detect: Effect.succeed(info) })

type MachineService = Machine["Service"]

const detect = (machine: MachineService): Effect.Effect<CudaInfo | null, DetectionFailed> =>
  Effect.gen(function* () {
    if (machine.platform !== "linux") return null
    const [smi, jetson] = yield* Effect.all([findSmi(machine), findJetson(machine)], { concurrency: "unbounded" })
    const report = smi === undefined ? undefined : yield* readReport(machine, smi, jetson !== undefined)
    const found = jetson === undefined ? report?.devices : [joined(jetson, report?.devices[0])]
    if (found === undefined) return null
    const [capabilities, slices, memory, toolkitVersion, cudnnVersion] = yield* Effect.all(
      [
        smi === undefined
          ? Effect.succeed("")
          : output(machine, smi, ["--query-gpu=index,compute_cap", "--format=csv,noheader"]),
        smi !== undefined && found.some((device) => device.migEnabled)
          ? output(machine, smi, ["-L"])
          : Effect.succeed(""),
        Effect.map(machine.read("/proc/meminfo"), (text) => MemInfo.parseMemory(text ?? "")),
        findToolkit(machine),
        findCudnn(machine)
      ],
      { concurrency: "unbounded" }
    )
    const byIndex = NvidiaSmi.parseCapabilities(capabilities)
    const listed = NvidiaSmi.parseSlices(slices)
    const devices = found.map((device): CudaDevice => {
      const unified = device.memoryTotalBytes === null && (jetson !== undefined || sharesMemory.test(device.name))
      return {
        ...device,
        computeCapability: device.computeCapability ?? byIndex.get(device.index) ?? null,
        unifiedMemory: unified,
        memoryTotalBytes: unified ? memory.totalBytes : device.memoryTotalBytes,
        memoryFreeBytes: unified ? memory.availableBytes : device.memoryFreeBytes,
        migDevices: device.migDevices.map((slice) => {
          const named = listed.find(({ gpu, index }) => gpu === device.index && index === slice.index)
          return named === undefined ? slice : { ...slice, uuid: named.uuid, profile: named.profile }
        })
      }
    })
    const left = withVisibleSlices(devices, machine.environment["CUDA_VISIBLE_DEVICES"])
    return {
      driverVersion: report?.driverVersion ?? null,
      driverCudaVersion: report?.cudaVersion ?? null,
      toolkitVersion,
      cudnnVersion,
      devices: left,
      hiddenDevices: devices.length - left.length
    }
  })

/** GPUs whose driver reports no memory of their own because they have none: DGX Spark and its like. */
const sharesMemory = /\bGB10\b|\bGB20B\b|\bThor\b|\bnvgpu\b/

/** Where it is when it is not on the path: WSL keeps that of Windows apart. */
const smiPaths = ["nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi"]

interface Smi {
  readonly command: string
  readonly report: CommandOutcome
}

const findSmi = (machine: MachineService): Effect.Effect<Smi | undefined> =>
  Effect.gen(function* () {
    for (const command of smiPaths) {
      const report = yield* machine.run(command, ["-q", "-x"])
      if (report._tag !== "NotFound") return { command, report }
    }
    return undefined
  })

/** On a Jetson whatever the tool cannot tell is known from the module, so its failures are no news. */
const readReport = (
  machine: MachineService,
  { command, report }: Smi,
  isJetson: boolean
): Effect.Effect<NvidiaSmi.Report | undefined, DetectionFailed> =>
  Effect.gen(function* () {
    const parsed = report._tag === "Ended" ? NvidiaSmi.parseReport(report.stdout) : undefined
    if (parsed !== undefined && parsed.devices.length > 0) return parsed
    if (report._tag === "TimedOut") {
      if (isJetson) return undefined
      return yield* failed("timed_out", `${command} did not end in time`)
    }
    const said = report._tag === "Ended" ? `${report.stdout}\n${report.stderr}` : ""
    const reason = NvidiaSmi.diagnose(said)
    // a lost GPU spoils the report for all of them, and a query still answers for the others before it
    if (reason === undefined || reason === "device_lost") {
      const queried = NvidiaSmi.parseQuery(
        yield* output(machine, { command }, [
          `--query-gpu=${NvidiaSmi.columns.join(",")}`,
          "--format=csv,noheader,nounits"
        ])
      )
      if (queried.devices.length > 0) return queried
    }
    if (isJetson) return parsed
    if (reason !== undefined) return yield* failed(reason, firstLine(said))
    if (parsed !== undefined) return yield* failed("no_devices", `${command} lists no GPU`)
    return yield* report._tag === "Ended" && report.exitCode !== 0
      ? failed("command_failed", `${command} ended with exit code ${report.exitCode}: ${firstLine(said)}`)
      : failed("unreadable_output", `${command} -q -x printed: ${firstLine(said)}`)
  })

const failed = (reason: DetectionFailed["reason"], detail: string): Effect.Effect<never, DetectionFailed> =>
  Effect.fail(new DetectionFailed({ detector: "cuda", reason, detail }))

const firstLine = (text: string): string =>
  text
    .split("\n")
    .find((line) => line.trim() !== "")
    ?.trim()
    .slice(0, 300) ?? "nothing"

/** What a command prints when it succeeds, else nothing. */
const output = (
  machine: MachineService,
  { command }: Pick<Smi, "command">,
  args: ReadonlyArray<string>
): Effect.Effect<string> =>
  Effect.map(machine.run(command, args), (end) => (end._tag === "Ended" && end.exitCode === 0 ? end.stdout : ""))

/** A Jetson module, by the model that its device tree names. */
const findJetson = (
  machine: MachineService
): Effect.Effect<Pick<CudaDevice, "name" | "computeCapability"> | undefined> =>
  Effect.gen(function* () {
    if (machine.architecture !== "arm64") return undefined
    const model = (yield* machine.read("/proc/device-tree/model"))?.replaceAll("\0", "").trim()
    const found = jetsons.find(([pattern]) => model !== undefined && pattern.test(model))
    return model === undefined || found === undefined ? undefined : { name: model, computeCapability: found[1] }
  })

/** Modules and their compute capabilities, from NVIDIA's page "CUDA GPUs" (developer.nvidia.com/cuda-gpus), newest first. */
const jetsons: ReadonlyArray<readonly [RegExp, string]> = [
  [/Thor/, "11.0"],
  [/Orin/, "8.7"],
  [/Xavier/, "7.2"],
  [/TX2/, "6.2"],
  [/Jetson.*(?:Nano|TX1)/, "5.3"],
  [/TK1/, "3.2"]
]

const joined = (
  jetson: Pick<CudaDevice, "name" | "computeCapability">,
  reported: CudaDevice | undefined
): CudaDevice => ({
  index: 0,
  uuid: reported?.uuid ?? null,
  name: jetson.name,
  memoryTotalBytes: null,
  memoryFreeBytes: null,
  unifiedMemory: true,
  computeCapability: reported?.computeCapability ?? jetson.computeCapability,
  temperatureCelsius: reported?.temperatureCelsius ?? null,
  utilizationPercent: reported?.utilizationPercent ?? null,
  fault: reported?.fault ?? null,
  migEnabled: false,
  migDevices: []
})

/** The GPUs that are left, and of those in MIG mode the slices, when slices are named. */
const withVisibleSlices = (
  devices: ReadonlyArray<CudaDevice>,
  value: string | undefined
): ReadonlyArray<CudaDevice> => {
  const left = visible(devices, value, ({ migDevices, uuid }) => [uuid, ...migDevices.map((slice) => slice.uuid)])
  const slices = entries(value ?? "").filter((entry) => entry.startsWith("MIG-"))
  if (slices.length === 0) return left
  return left.map((device) => ({
    ...device,
    migDevices: device.migDevices.filter(({ uuid }) => slices.some((entry) => uuid?.startsWith(entry) === true))
  }))
}

const findToolkit = (machine: MachineService): Effect.Effect<string | null> =>
  Effect.gen(function* () {
    const home = machine.environment["CUDA_HOME"] ?? machine.environment["CUDA_PATH"] ?? "/usr/local/cuda"
    for (const command of ["nvcc", `${home}/bin/nvcc`]) {
      const version = NvidiaSmi.parseToolkit(yield* output(machine, { command }, ["--version"]))
      if (version !== null) return version
    }
    return null
  })

const cudnnHeaders = [
  "/usr/include/cudnn_version.h",
  "/usr/include/x86_64-linux-gnu/cudnn_version.h",
  "/usr/include/aarch64-linux-gnu/cudnn_version.h",
  "/usr/local/cuda/include/cudnn_version.h"
]

const findCudnn = (machine: MachineService): Effect.Effect<string | null> =>
  Effect.gen(function* () {
    for (const path of cudnnHeaders) {
      const version = NvidiaSmi.parseCudnn((yield* machine.read(path)) ?? "")
      if (version !== null) return version
    }
    return null
  })
