/**
 * Which device each worker of a pool is placed on. One placement serves all pools of a program, so that they do not crowd one
 * device while another is idle.
 *
 * A device is held as long as the scope that it was acquired in. It is chosen by the rule of `Selection.ts`: fewest workers, then
 * most free memory. Workers take their memory some time after they were placed, or never all of it, so `minFreeMemory` is kept for
 * each: of the most that was free since the first of them came, and of what is free now, whichever leaves less.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { Hardware } from "./Hardware.ts"
import { DeviceUnavailable } from "./HardwareError.ts"
import type { Device } from "./HardwareInfo.ts"
import { emit } from "./internal/events.ts"
import { choose, type Preference, type Requirements, type Standing } from "./Selection.ts"

/** What one worker needs. */
export interface Request extends Requirements {
  /** Acceptable devices, alike: workers are spread over all that match. */
  readonly devices: ReadonlyArray<Preference>
  /** What to try, in order, when none of those can be had. */
  readonly fallback: ReadonlyArray<Preference>
  /** Devices that the pool holds something against, like an open circuit. */
  readonly avoid?: ReadonlyArray<string> | undefined
}

/** Places workers on devices. */
export class DevicePlacement extends Context.Service<
  DevicePlacement,
  {
    /** A device, held until the scope closes. */
    readonly acquire: (request: Request) => Effect.Effect<Device, DeviceUnavailable, Scope.Scope>
    /** Keeps a device from being chosen for so many milliseconds: a fatal error was seen on it. */
    readonly taint: (device: string, millis: number) => Effect.Effect<void>
  }
>()("@snakepit/hardware/DevicePlacement") {}

interface Held {
  readonly device: string
  readonly bytes: number
}

/** How old a look at the machine may be when it is a reason to refuse a device. */
const staleMillis = 5_000

export const layer: Layer.Layer<DevicePlacement, never, Hardware> = Layer.effect(
  DevicePlacement,
  Effect.gen(function* () {
    const hardware = yield* Hardware
    const held = new Set<Held>()
    const tainted = new Map<string, number>()
    /** The most that was free of each device that has workers. */
    const peaks = new Map<string, number>()
    const reported = new Set<string>()
    // one at a time, so that workers which start together see each other
    const turn = yield* Semaphore.make(1)

    const place = ({
      avoid = [],
      devices,
      fallback,
      minFreeMemory
    }: Request): Effect.Effect<readonly [Device, Held], DeviceUnavailable> =>
      Effect.gen(function* () {
        let found = yield* hardware.info
        const now = yield* Clock.currentTimeMillis
        const standing =
          (avoided: ReadonlyArray<string>) =>
          (device: Device): Standing => {
            const until = tainted.get(device.id) ?? 0
            const placed = [...held].filter((worker) => worker.device === device.id)
            const free = device.memoryFreeBytes ?? 0
            const peak = placed.length === 0 ? free : Math.max(free, peaks.get(device.id) ?? 0)
            peaks.set(device.id, peak)
            const unreserved = placed.reduce((left, { bytes }) => left - bytes, peak)
            return {
              workers: placed.length,
              reservedBytes: Math.max(0, free - unreserved),
              refused:
                until > now
                  ? `it is tainted by a fatal error for ${until - now} ms more`
                  : avoided.includes(device.id)
                    ? "calls on it have failed"
                    : undefined
            }
          }
        let wanted = choose(found, [devices], { minFreeMemory }, standing(avoid))
        // calls have failed on every device: one of those has to do
        if (wanted instanceof DeviceUnavailable && avoid.length > 0) {
          wanted = choose(found, [devices], { minFreeMemory }, standing([]))
        }
        if (wanted instanceof DeviceUnavailable && now - found.detectedAt >= staleMillis) {
          // memory may have become free since
          found = yield* hardware.detect
          wanted = choose(found, [devices], { minFreeMemory }, standing([]))
        }
        if (wanted instanceof DeviceUnavailable) {
          // once is news, and a worker that falls back may be far slower than it was meant to be; again it is none
          const key = devices.join(", ")
          yield* emit(
            "hardware.device_unavailable",
            { wanted: key, reason: wanted.message },
            reported.has(key) ? "Debug" : "Warn"
          )
          reported.add(key)
        }
        const chosen =
          wanted instanceof DeviceUnavailable
            ? choose(found, [devices, ...fallback], { minFreeMemory }, standing([]))
            : wanted
        if (chosen instanceof DeviceUnavailable) return yield* chosen
        yield* emit("hardware.device_selected", { device: chosen.id, name: chosen.name, wanted: devices.join(", ") })
        const worker: Held = { device: chosen.id, bytes: minFreeMemory ?? 0 }
        held.add(worker)
        return [chosen, worker]
      })

    return {
      acquire: (request) =>
        Effect.map(
          Effect.acquireRelease(turn.withPermit(place(request)), ([, worker]) =>
            Effect.sync(() => held.delete(worker))
          ),
          ([device]) => device
        ),
      taint: (device, millis) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          tainted.set(device, Math.max(tainted.get(device) ?? 0, now + millis))
        })
    }
  })
)
