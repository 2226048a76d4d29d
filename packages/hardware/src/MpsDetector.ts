/** A Mac's GPU, as PyTorch's `mps` device uses it: Metal, on macOS 12.3 or newer. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { DetectionFailed } from "./HardwareError.ts"
import type { MpsInfo } from "./HardwareInfo.ts"
import { parseDisplays } from "./internal/metal.ts"
import { Machine } from "./Machine.ts"

/** Finds a Mac's GPU: `null` when there is none that will do. */
export class MpsDetector extends Context.Service<
  MpsDetector,
  { readonly detect: Effect.Effect<MpsInfo | null, DetectionFailed> }
>()("@snakepit/hardware/MpsDetector") {}

/** Asks `system_profiler`. */
export const layer: Layer.Layer<MpsDetector, never, Machine> = Layer.effect(
  MpsDetector,
  Effect.map(Machine, (machine) => ({ detect: detect(machine) }))
)

/** Answers what it is given. */
export const layerTest = (info: MpsInfo | null): Layer.Layer<MpsDetector> =>
  Layer.succeed(MpsDetector, { detect: Effect.succeed(info) })

const detect = (machine: Machine["Service"]): Effect.Effect<MpsInfo | null, DetectionFailed> =>
  Effect.gen(function* () {
    if (machine.platform !== "darwin") return null
    const [displays, version] = yield* Effect.all(
      [machine.run("system_profiler", ["SPDisplaysDataType", "-json"]), machine.run("sw_vers", ["-productVersion"])],
      { concurrency: "unbounded" }
    )
    const macosVersion = version._tag === "Ended" ? (/^\d+(?:\.\d+)*/.exec(version.stdout)?.[0] ?? null) : null
    if (macosVersion !== null && isOlder(macosVersion)) return null
    if (displays._tag === "TimedOut") {
      const detail = "system_profiler did not end in time"
      return yield* new DetectionFailed({ detector: "mps", reason: "timed_out", detail })
    }
    const found = displays._tag === "Ended" ? parseDisplays(displays.stdout) : undefined
    if (found === undefined) return null
    return {
      ...found,
      memoryTotalBytes: found.unifiedMemory ? machine.memoryBytes : found.memoryTotalBytes,
      macosVersion
    }
  })

/** Before macOS 12.3 there is no MPS graph, which PyTorch needs. */
const isOlder = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  return major < 12 || (major === 12 && minor < 3)
}
