/** AMD GPUs, as `amd-smi` tells, or `rocm-smi` where that is missing or fails. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DetectionFailed } from "./HardwareError.ts"
import type { RocmInfo } from "./HardwareInfo.ts"
import * as AmdSmi from "./internal/amdSmi.ts"
import { visible } from "./internal/visibleDevices.ts"
import { type CommandOutcome, Machine } from "./Machine.ts"

/** Finds AMD GPUs: `null` when there is no sign of any. */
export class RocmDetector extends Context.Service<
  RocmDetector,
  { readonly detect: Effect.Effect<RocmInfo | null, DetectionFailed> }
>()("@snakepit/hardware/RocmDetector") {}

/** Asks AMD's tools. */
export const layer: Layer.Layer<RocmDetector, never, Machine> = Layer.effect(
  RocmDetector,
  Effect.map(Machine, (machine) => ({ detect: detect(machine) }))
)

/** Answers what it is given. */
export const layerTest = (info: RocmInfo | null): Layer.Layer<RocmDetector> =>
  Layer.succeed(RocmDetector, { detect: Effect.succeed(info) })

type MachineService = Machine["Service"]

const detect = (machine: MachineService): Effect.Effect<RocmInfo | null, DetectionFailed> =>
  Effect.gen(function* () {
    if (machine.platform !== "linux") return null
    const failures: Array<DetectionFailed> = []
    for (const ask of [askAmdSmi, askRocmSmi]) {
      const answer = yield* ask(machine)
      if (answer instanceof DetectionFailed) failures.push(answer)
      else if (answer !== undefined && answer.devices.length > 0) return yield* assemble(machine, answer)
    }
    const [failure] = failures
    return failure === undefined ? null : yield* failure
  })

const assemble = (machine: MachineService, report: AmdSmi.Report): Effect.Effect<RocmInfo> =>
  Effect.map(machine.read("/opt/rocm/.info/version"), (version): RocmInfo => {
    const { environment } = machine
    const present = visible(report.devices, environment["ROCR_VISIBLE_DEVICES"], namesOf).map((device, hipIndex) => ({
      ...device,
      hipIndex
    }))
    // HIP reads CUDA's variable as well, for programs that were ported from there
    const hip = environment["HIP_VISIBLE_DEVICES"] ?? environment["CUDA_VISIBLE_DEVICES"]
    const devices = visible(present, hip, namesOf)
    return {
      version: /^\s*(\d+(?:\.\d+)+)/.exec(version ?? "")?.[1] ?? null,
      driverVersion: report.driverVersion,
      devices,
      hiddenDevices: report.devices.length - devices.length
    }
  })

/** `ROCR_VISIBLE_DEVICES` names a GPU by its unique id, as `GPU-` and hexadecimal digits. */
const namesOf = ({ uuid }: AmdSmi.Card): ReadonlyArray<string | null> => [
  uuid === null ? null : `GPU-${uuid.replace(/^0x/i, "").toLowerCase()}`
]

type Answer = AmdSmi.Report | DetectionFailed | undefined

const askAmdSmi = (machine: MachineService): Effect.Effect<Answer> =>
  Effect.gen(function* () {
    for (const command of ["amd-smi", "/opt/rocm/bin/amd-smi"]) {
      const fixed = yield* machine.run(command, AmdSmi.amdStatic)
      if (fixed._tag === "NotFound") continue
      const measured = fixed._tag === "Ended" ? yield* machine.run(command, AmdSmi.amdMetric) : fixed
      const report = AmdSmi.parseAmdSmi(printed(fixed), printed(measured))
      return report ?? explain(command, fixed)
    }
    return undefined
  })

const askRocmSmi = (machine: MachineService): Effect.Effect<Answer> =>
  Effect.gen(function* () {
    for (const command of ["rocm-smi", "/opt/rocm/bin/rocm-smi"]) {
      const end = yield* machine.run(command, AmdSmi.rocm)
      if (end._tag === "NotFound") continue
      const report = AmdSmi.parseRocmSmi(printed(end))
      return report !== undefined && report.devices.length > 0 ? report : explain(command, end)
    }
    return undefined
  })

const printed = (end: CommandOutcome): string => (end._tag === "Ended" ? end.stdout : "")

const explain = (command: string, end: CommandOutcome): DetectionFailed => {
  const failed = (reason: DetectionFailed["reason"], detail: string) =>
    new DetectionFailed({ detector: "rocm", reason, detail })
  if (end._tag !== "Ended") return failed("timed_out", `${command} did not end in time`)
  const said = `${end.stderr}\n${end.stdout}`
  const line =
    said
      .split("\n")
      .find((text) => text.trim() !== "")
      ?.trim()
      .slice(0, 300) ?? "nothing"
  const reason = AmdSmi.diagnose(said)
  if (reason !== undefined) return failed(reason, line)
  return end.exitCode === 0
    ? failed("unreadable_output", `${command} printed: ${line}`)
    : failed("command_failed", `${command} ended with exit code ${end.exitCode}: ${line}`)
}
