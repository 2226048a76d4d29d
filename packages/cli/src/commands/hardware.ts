/** `snakepit hardware`: what the machine has, with the limits that hold here. */
import { Hardware, type HardwareInfo } from "@snakepit/hardware"
import * as Effect from "effect/Effect"
import { print, table } from "../output.ts"

/** Looks, and prints. */
export const run = Effect.flatMap(Hardware.detect, (info) => print(info, () => describe(info))).pipe(
  Effect.provide(Hardware.layer)
)

const describe = ({ cpu, cuda, devices, platform, problems, rocm }: HardwareInfo.HardwareInfo): string => {
  const rows: Array<ReadonlyArray<string>> = [
    ["platform", platform],
    ["processor", cpu.model ?? cpu.architecture],
    [
      "cores",
      `${cpu.availableCores} of ${cpu.logicalCores}${cpu.quotaCores === null ? "" : `, quota ${cpu.quotaCores}`}`
    ],
    ["extensions", cpu.features.join(" ") || "none that matter"],
    ["memory", `${bytes(cpu.memoryAvailableBytes)} available of ${bytes(cpu.memoryLimitBytes ?? cpu.memoryTotalBytes)}`]
  ]
  if (cpu.container !== null) rows.push(["container", cpu.container])
  if (cuda !== null) rows.push(["CUDA", `driver ${cuda.driverVersion}, CUDA ${cuda.driverCudaVersion}`])
  if (rocm !== null) rows.push(["ROCm", rocm.version ?? "unknown"])
  const found = devices.map(({ id, memoryFreeBytes, memoryTotalBytes, name }) => [
    id,
    name,
    memoryTotalBytes === null ? "" : `${bytes(memoryFreeBytes)} free of ${bytes(memoryTotalBytes)}`
  ])
  const troubles = problems.map(({ detail, detector, remedy }) => `${detector}: ${detail}\n  ${remedy}`)
  return [table(rows), table([["device", "name", "memory"], ...found]), ...troubles].join("\n\n")
}

const bytes = (count: number | null): string => (count === null ? "unknown" : `${(count / 2 ** 30).toFixed(1)} GiB`)
