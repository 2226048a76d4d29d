/** The processor and memory, with the limits of affinity and control groups. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { CpuInfo } from "./HardwareInfo.ts"
import * as Cgroup from "./internal/cgroup.ts"
import * as CpuInfos from "./internal/cpuInfo.ts"
import { parseAffinity } from "./internal/cpuList.ts"
import * as MemInfo from "./internal/memInfo.ts"
import { Machine } from "./Machine.ts"

/** Looks at the processor. What cannot be learned is `null`; it never fails. */
export class CpuDetector extends Context.Service<CpuDetector, { readonly detect: Effect.Effect<CpuInfo> }>()(
  "@snakepit/hardware/CpuDetector"
) {}

/** Reads `/proc` and `/sys` on Linux, asks `sysctl` on macOS. */
export const layer: Layer.Layer<CpuDetector, never, Machine> = Layer.effect(
  CpuDetector,
  Effect.map(Machine, (machine) => ({
    detect: machine.platform === "darwin" ? detectMac(machine) : detectLinux(machine)
  }))
)

/** Answers what it is given. */
export const layerTest = (info: CpuInfo): Layer.Layer<CpuDetector> =>
  Layer.succeed(CpuDetector, { detect: Effect.succeed(info) })

type MachineService = Machine["Service"]

const detectLinux = (machine: MachineService): Effect.Effect<CpuInfo> =>
  Effect.gen(function* () {
    const read = (path: string) => Effect.map(machine.read(path), (text) => text ?? "")
    const [cpuInfo, memInfo, status, cgroup, mountInfo, release] = yield* Effect.all(
      [
        read("/proc/cpuinfo"),
        read("/proc/meminfo"),
        read("/proc/self/status"),
        read("/proc/self/cgroup"),
        read("/proc/self/mountinfo"),
        read("/proc/sys/kernel/osrelease")
      ],
      { concurrency: "unbounded" }
    )
    const processor = CpuInfos.parseProcessors(cpuInfo)
    const memory = MemInfo.parseMemory(memInfo)
    const quotaCores = yield* cpuQuota(machine, cgroup, mountInfo)
    const totalBytes = memory.totalBytes ?? machine.memoryBytes
    const limit = yield* memoryLimit(machine, cgroup, mountInfo)
    const isLimited = limit !== undefined && limit.bytes < totalBytes
    const logicalCores = processor.logicalCores ?? machine.logicalCores
    const allowed = Math.min(parseAffinity(status) ?? logicalCores, logicalCores)
    return {
      model: processor.model,
      architecture: machine.architecture,
      physicalCores: processor.physicalCores,
      logicalCores,
      // a fraction of a core serves no further thread
      availableCores: Math.max(1, Math.min(allowed, Math.floor(quotaCores ?? Infinity))),
      quotaCores,
      features: processor.features,
      memoryTotalBytes: totalBytes,
      memoryLimitBytes: isLimited ? limit.bytes : null,
      memoryAvailableBytes: isLimited
        ? Math.min(memory.availableBytes ?? Infinity, Math.max(0, limit.bytes - limit.usedBytes))
        : memory.availableBytes,
      container: yield* container(machine, cgroup),
      wsl: /microsoft/i.test(release)
    }
  })

/** The smallest quota of the group and those around it. */
const cpuQuota = (machine: MachineService, cgroup: string, mountInfo: string): Effect.Effect<number | null> =>
  Effect.gen(function* () {
    let smallest: number | null = null
    for (const { folder, version } of Cgroup.levels("cpu", cgroup, mountInfo)) {
      const quota =
        version === 2
          ? Cgroup.parseCpuMax((yield* machine.read(`${folder}/cpu.max`)) ?? "")
          : Cgroup.parseCfs(
              (yield* machine.read(`${folder}/cpu.cfs_quota_us`)) ?? "",
              (yield* machine.read(`${folder}/cpu.cfs_period_us`)) ?? ""
            )
      if (quota !== null) smallest = Math.min(smallest ?? quota, quota)
    }
    return smallest
  })

interface MemoryLimit {
  readonly bytes: number
  /** What the group uses, page cache that can be given back left out. */
  readonly usedBytes: number
}

/** The smallest limit of the group and those around it. */
const memoryLimit = (
  machine: MachineService,
  cgroup: string,
  mountInfo: string
): Effect.Effect<MemoryLimit | undefined> =>
  Effect.gen(function* () {
    let smallest: MemoryLimit | undefined
    for (const { folder, version } of Cgroup.levels("memory", cgroup, mountInfo)) {
      const [limitFile, usageFile] =
        version === 2 ? ["memory.max", "memory.current"] : ["memory.limit_in_bytes", "memory.usage_in_bytes"]
      const bytes = Cgroup.parseMemoryLimit((yield* machine.read(`${folder}/${limitFile}`)) ?? "")
      if (bytes === null || (smallest !== undefined && smallest.bytes <= bytes)) continue
      const used = Cgroup.parseMemoryLimit((yield* machine.read(`${folder}/${usageFile}`)) ?? "") ?? 0
      const reclaimable = Cgroup.parseReclaimable((yield* machine.read(`${folder}/memory.stat`)) ?? "")
      smallest = { bytes, usedBytes: Math.max(0, used - reclaimable) }
    }
    return smallest
  })

const container = (machine: MachineService, cgroup: string): Effect.Effect<CpuInfo["container"]> =>
  Effect.gen(function* () {
    if (machine.environment["KUBERNETES_SERVICE_HOST"] !== undefined || cgroup.includes("kubepods")) return "kubernetes"
    if ((yield* machine.read("/run/.containerenv")) !== undefined) return "podman"
    if ((yield* machine.read("/.dockerenv")) !== undefined || /\/docker[/-]/.test(cgroup)) return "docker"
    const said = machine.environment["container"]
    if (said === "podman" || said === "lxc") return said
    if (cgroup.includes("/lxc")) return "lxc"
    return said === undefined || said === "" ? null : "other"
  })

const detectMac = (machine: MachineService): Effect.Effect<CpuInfo> =>
  Effect.map(machine.run("sysctl", ["hw", "machdep.cpu"]), (end): CpuInfo => {
    const mac = CpuInfos.parseSysctl(end._tag === "Ended" ? end.stdout : "")
    const logicalCores = mac.logicalCores ?? machine.logicalCores
    return {
      model: mac.model,
      architecture: machine.architecture,
      physicalCores: mac.physicalCores,
      logicalCores,
      availableCores: logicalCores,
      quotaCores: null,
      features: mac.features,
      memoryTotalBytes: mac.memoryBytes ?? machine.memoryBytes,
      memoryLimitBytes: null,
      memoryAvailableBytes: null,
      container: null,
      wsl: false
    }
  })
