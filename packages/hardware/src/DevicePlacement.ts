/**
 * Which device each worker of a pool is placed on. One placement serves all pools of a program, so that they do not crowd one
 * device while another is idle.
 *
 * A device is held as long as the scope that it was acquired in. It is chosen by the rule of `Selection.ts`: fewest workers, then
 * most free memory. Workers take their memory some time after they were placed, so `minFreeMemory` is counted as taken for each
 * that was placed since the machine was last looked at.
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
  readonly at: number
  readonly bytes: number
}

export const layer: Layer.Layer<DevicePlacement, never, Hardware> = Layer.effect(
  DevicePlacement,
  Effect.gen(function* () {
    const hardware = yield* Hardware
    const held = new Set<Held>()
    const tainted = new Map<string, number>()
    // one at a time, so that workers which start together see each other
    const turn = yield* Semaphore.make(1)

    const place = ({
      devices,
      fallback,
      minFreeMemory
    }: Request): Effect.Effect<readonly [Device, Held], DeviceUnavailable> =>
      Effect.gen(function* () {
        const found = yield* hardware.info
        const now = yield* Clock.currentTimeMillis
        const standing = (device: Device): Standing => {
          const until = tainted.get(device.id) ?? 0
          const placed = [...held].filter((worker) => worker.device === device.id)
          return {
            workers: placed.length,
            reservedBytes: placed.reduce((sum, { at, bytes }) => (at >= found.detectedAt ? sum + bytes : sum), 0),
            refused: until > now ? `it is tainted by a fatal error for ${until - now} ms more` : undefined
          }
        }
        const wanted = choose(found, [devices], { minFreeMemory }, standing)
        if (wanted instanceof DeviceUnavailable) {
          yield* emit("hardware.device_unavailable", { wanted: devices.join(", "), reason: wanted.message }, "Warn")
        }
        const chosen =
          wanted instanceof DeviceUnavailable
            ? choose(found, [devices, ...fallback], { minFreeMemory }, standing)
            : wanted
        if (chosen instanceof DeviceUnavailable) return yield* chosen
        yield* emit("hardware.device_selected", { device: chosen.id, name: chosen.name, wanted: devices.join(", ") })
        const worker: Held = { device: chosen.id, at: now, bytes: minFreeMemory ?? 0 }
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
