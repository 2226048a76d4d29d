/**
 * The devices that a pool's workers run on, and what is held against each: a taint after a fatal GPU error, a circuit after
 * too many failures in a row. A worker's `device` is the only thing known of a device here; whoever spawns the worker says it.
 *
 * A tainted device is avoided for `taintDuration`: calls go to workers on other devices while there are any. A device whose circuit is open
 * gets no calls but probes. Devices have circuits when the pool has one, with the same options.
 */
import { type CircuitBreakerOptions, outcomeOfTag, type State } from "../CircuitBreaker.ts"
import { CircuitOpen } from "../SnakepitError.ts"
import { ProbingStore } from "./probingStore.ts"

/** One call that was let through to a device; it has to be settled. */
export interface Admission {
  readonly device: string
  readonly generation: number
}

interface Device {
  /** Workers on it that take calls. */
  workers: number
  taintedUntil: number
  readonly circuit: ProbingStore | undefined
}

export class Devices {
  private readonly pool: string
  private readonly options: CircuitBreakerOptions | undefined
  private readonly now: () => number
  private readonly known = new Map<string, Device>()
  /** Workers on no device in particular. */
  private elsewhere = 0
  /** No device is tainted, and all circuits are closed: nothing has to be asked. */
  private isQuiet = true

  /** `now` answers Unix time in milliseconds. */
  constructor(pool: string, options: CircuitBreakerOptions | undefined, now: () => number) {
    this.pool = pool
    this.options = options
    this.now = now
  }

  /** A worker came up. */
  add(device: string | undefined): void {
    if (device === undefined) this.elsewhere++
    else this.get(device).workers++
  }

  /** A worker is gone. */
  remove(device: string | undefined): void {
    if (device === undefined) this.elsewhere--
    else this.get(device).workers--
  }

  taint(device: string, until: number): void {
    this.get(device).taintedUntil = until
    this.isQuiet = false
  }

  /** Those that new workers had better not be started on. */
  get suspects(): ReadonlyArray<string> {
    if (this.isQuiet) return []
    const now = this.now()
    return [...this.known].flatMap(([name, device]) => (isTainted(device, now) || isOpen(device, now) ? [name] : []))
  }

  /** The devices that workers were placed on, also those whose worker is being replaced. */
  get names(): ReadonlyArray<string> {
    return [...this.known.keys()]
  }

  /** Whether a call had better not go to this device now. `wanted` is the device, or the kind of device, that the call asks for. */
  refuses(name: string | undefined, wanted: string | undefined): boolean {
    if (this.isQuiet || name === undefined) return false
    const now = this.now()
    const device = this.get(name)
    if (!admits(device, now)) return true
    return isTainted(device, now) && this.hasOther(now, wanted)
  }

  /** Why no call, or none that wants a device, can be served: every device with workers for it has an open circuit. */
  outage(wanted: string | undefined): CircuitOpen | undefined {
    if (this.isQuiet || (wanted === undefined && this.elsewhere > 0)) return undefined
    const now = this.now()
    let found: CircuitOpen | undefined
    for (const [name, device] of this.known) {
      if (device.workers === 0 || !isWithin(name, wanted)) continue
      if (admits(device, now)) return undefined
      const left = device.circuit?.remaining(now) ?? 0
      if (found === undefined || left < found.retryAfterMillis) found = this.error(name, left)
    }
    return found
  }

  /** Why a call that can be served on this device alone cannot be now. */
  circuitOf(name: string | undefined): CircuitOpen | undefined {
    if (this.isQuiet || name === undefined) return undefined
    const now = this.now()
    const device = this.get(name)
    return admits(device, now) ? undefined : this.error(name, device.circuit?.remaining(now) ?? 0)
  }

  /** A call goes to a worker on this device. */
  admit(name: string | undefined): Admission | undefined {
    if (this.options === undefined || name === undefined) return undefined
    const admitted = this.get(name).circuit?.begin(this.now())
    return typeof admitted === "object" ? { device: name, generation: admitted.generation } : undefined
  }

  /**
   * How the call ended: with an error of this tag, with success (`undefined`), or in a way that says nothing (`ignored`). Answers
   * whether that opened the circuit.
   */
  settle(admission: Admission, tag: string | undefined, ignored: boolean): boolean {
    const { circuit } = this.get(admission.device)
    if (this.options === undefined || circuit === undefined) return false
    const outcome = ignored ? "Ignored" : outcomeOfTag(this.options, tag)
    const { failures, openDuration } = this.options
    const change = circuit.end(admission.generation, outcome, this.now(), failures, openDuration)
    if (change?.to === "Open") this.isQuiet = false
    return change?.to === "Open"
  }

  /** What is known of each device that has workers, or something held against it. */
  get standing(): ReadonlyArray<DeviceStanding> {
    const now = this.now()
    const all = [...this.known].map(([device, { circuit, taintedUntil, workers }]) => ({
      device,
      workers,
      taintedUntil: taintedUntil > now ? taintedUntil : undefined,
      circuit: circuit?.standing(now)
    }))
    const isSuspect = (one: DeviceStanding) =>
      one.taintedUntil !== undefined || (one.circuit !== undefined && one.circuit !== "closed")
    this.isQuiet = !all.some(isSuspect)
    return all.filter((one) => one.workers > 0 || isSuspect(one))
  }

  private hasOther(now: number, wanted: string | undefined): boolean {
    if (this.elsewhere > 0 && wanted === undefined) return true
    for (const [name, device] of this.known) {
      if (device.workers > 0 && isWithin(name, wanted) && !isTainted(device, now) && admits(device, now)) return true
    }
    return false
  }

  private error(device: string, retryAfterMillis: number): CircuitOpen {
    return new CircuitOpen({ pool: this.pool, device, retryAfterMillis })
  }

  private get(name: string): Device {
    let device = this.known.get(name)
    if (device === undefined) {
      const options = this.options
      device = {
        workers: 0,
        taintedUntil: 0,
        circuit: options === undefined ? undefined : new ProbingStore(options.probes, options.successes)
      }
      this.known.set(name, device)
    }
    return device
  }
}

/** Whether a device is the wanted one, or one of the wanted kind, or a part of it; any is when none is wanted. */
export const isWithin = (device: string | undefined, wanted: string | undefined): boolean =>
  wanted === undefined || (device !== undefined && (device === wanted || device.startsWith(`${wanted}:`)))

/** What is held against one device. */
export interface DeviceStanding {
  readonly device: string
  readonly workers: number
  /** Unix time in milliseconds. */
  readonly taintedUntil: number | undefined
  /** Absent when the pool has no circuit breaker. */
  readonly circuit: State | undefined
}

const isTainted = (device: Device, now: number): boolean => device.taintedUntil > now

const isOpen = ({ circuit }: Device, now: number): boolean => circuit?.standing(now) === "open"

const admits = ({ circuit }: Device, now: number): boolean => circuit?.admits(now) ?? true
