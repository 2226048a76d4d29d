/**
 * One worker's share of its pool's memory, as the host keeps count of it.
 *
 * - Regions that a request names are held until its reply has come. Those that Python still looks at then are named in the
 *   reply (`kept`), and held until Python says that it does not (`snakepit.released`), or its process has ended. Those that
 *   an answer to a callback names are held likewise until Python says what it took of it (`snakepit.taken`).
 * - Regions that the worker was granted to write results in are held until it gives them back or has ended, and by each
 *   lease of a result in them. When such a lease ends, the worker is told that the place is free.
 */
import { CurrentLeases, Lease, type Region, type SharedMemory, type Storage } from "@snakepit/zero-copy"
import * as Context from "effect/Context"

/** How the worker is told. */
export interface Line {
  /** Places of results that are free again: sent before the next request. */
  readonly free: (places: ReadonlyArray<readonly [number, number]>) => void
  /**
   * Places that are free again, and asks for room that is not used: {@link WorkerMemory.returned} gets it. Resolves then, or when
   * it takes too long.
   */
  readonly trim: (places: ReadonlyArray<readonly [number, number]>) => Promise<void>
  /** Segments are gone. */
  readonly forget: (segments: ReadonlyArray<number>) => void
}

/** Places are reported free when there are so many, or so many bytes, or after so long: a report costs about 8 us. */
const freeCount = 16
const freeBytes = 256 * 1024
const freeMillis = 10

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0

interface Kept {
  readonly region: Region
  count: number
}

export class WorkerMemory implements Storage.Outgoing {
  readonly thresholdBytes: number
  private readonly memory: SharedMemory.PoolMemory
  private readonly line: Line
  private readonly pins = new Map<number, Array<Region>>()
  private readonly kept = new Map<number, Kept>()
  private readonly grants: Array<Region> = []
  private readonly freed: Array<readonly [number, number]> = []
  private freedBytes = 0
  private timer: ReturnType<typeof setTimeout> | undefined
  private pinning = 0
  private isOpen = true

  constructor(memory: SharedMemory.PoolMemory, line: Line) {
    this.memory = memory
    this.line = line
    this.thresholdBytes = memory.options.enabled ? memory.options.thresholdBytes : Infinity
    if (typeof memory.arena === "string") return
    memory.arena.onDropped.add(this.onDropped)
    memory.arena.onPressure.add(this.onPressure)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // To the worker
  // -------------------------------------------------------------------------------------------------------------------

  /** What is encoded from here on belongs to this request. */
  pinTo(request: number): void {
    this.pinning = request
  }

  store(byteLength: number, write: (room: Uint8Array) => void): Storage.Place | undefined {
    const { memory } = this
    const region = memory.allocate(byteLength)
    if ("cause" in region) {
      if (memory.options.strict) throw new Error(`zero_copy_unavailable: ${region.reason}, and \`strict\` is set`)
      if (memory.options.enabled) memory.fellBack(byteLength, region.cause, region.reason)
      return undefined
    }
    this.pin(region)
    write(region.bytes.subarray(0, byteLength))
    memory.emit({ name: "zero_copy.export", pool: memory.pool, bytes: byteLength, copied: true })
    return [region.segment.id, region.offset, byteLength, region.id, false]
  }

  place({ byteLength, lease, offset }: Storage.Part): Storage.Place | undefined {
    const { memory } = this
    const { region } = lease
    if (region.arena !== memory.arena) {
      if (memory.options.strict) {
        throw new Error(`it is in the shared memory of another pool than "${memory.pool}", and \`strict\` is set`)
      }
      if (lease.isWritable) {
        throw new Error(
          `it is writable, in the shared memory of another pool than "${memory.pool}": what Python writes there would be lost; ` +
            "export it to that pool"
        )
      }
      memory.fellBack(byteLength, "other-pool", "a value was made in the shared memory of another pool")
      return undefined
    }
    region.hold()
    this.pin(region)
    memory.emit({ name: "zero_copy.export", pool: memory.pool, bytes: byteLength, copied: false })
    return [region.segment.id, lease.position + offset, byteLength, region.id, lease.isWritable]
  }

  private pin(region: Region): void {
    const pinned = this.pins.get(this.pinning)
    if (pinned === undefined) this.pins.set(this.pinning, [region])
    else pinned.push(region)
  }

  /** The request has been answered, or will never be. `kept`: regions that Python still looks at. */
  settle(request: number, kept?: unknown): void {
    if (this.pins.size === 0) return
    const pinned = this.pins.get(request)
    if (pinned === undefined) return
    this.pins.delete(request)
    if (Array.isArray(kept)) {
      for (const id of kept) {
        const region = pinned.find((held) => held.id === id)
        if (region !== undefined) this.keep(region)
      }
    }
    for (const region of pinned) region.release()
  }

  private keep(region: Region): void {
    region.hold()
    const known = this.kept.get(region.id)
    if (known === undefined) this.kept.set(region.id, { region, count: 1 })
    else known.count++
  }

  /** Python has let go of regions that it had kept. */
  released(regions: unknown): void {
    if (!Array.isArray(regions)) return
    for (const id of regions) {
      const known = this.kept.get(id)
      if (known === undefined) continue
      known.region.release()
      if (--known.count === 0) this.kept.delete(id)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // From the worker
  // -------------------------------------------------------------------------------------------------------------------

  /** Room to write results in: `most` bytes, or at least `bytes`, as [segment, offset, length]; null when there is none. */
  grant(bytes: unknown, most: unknown): readonly [number, number, number] | null {
    if (!isSize(bytes) || !isSize(most) || !this.isOpen) return null
    const { memory } = this
    const generous = memory.allocate(most)
    const region = "cause" in generous && bytes < most ? memory.allocate(bytes) : generous
    if ("cause" in region) {
      // when strict, the worker refuses the result
      if (!memory.options.strict) memory.fellBack(bytes, region.cause, region.reason)
      return null
    }
    this.grants.push(region)
    return [region.segment.id, region.offset, region.byteLength]
  }

  /**
   * Bytes in shared memory that a message of the worker's names. Inside `ZeroCopy.scoped` they are leased to its scope;
   * otherwise they are copied, and the place is free again. Throws for a place that the worker has no business with.
   */
  open(context: Context.Context<never> | undefined, place: ReadonlyArray<unknown>): Storage.Bytes {
    const [segment, start, offset, length, id] = place
    if (![segment, start, offset, length].every((part) => Number.isSafeInteger(part) && Number(part) >= 0)) {
      throw new TypeError("expected a place in shared memory as [segment, start, offset, length, region]")
    }
    const from = Number(start) + Number(offset)
    const bytes = Number(length)
    const own = id === null
    const region = own ? this.granted(Number(segment), Number(start)) : this.lent(id)
    if (
      region === undefined ||
      region.segment.id !== segment ||
      from < region.offset ||
      from + bytes > region.offset + region.byteLength
    ) {
      throw new TypeError("expected a place in shared memory that the worker was given")
    }
    const { memory } = this
    const leases = context === undefined ? undefined : Context.get(context, CurrentLeases)
    const isLeased = leases?.accepts === true
    memory.emit({ name: "zero_copy.import", pool: memory.pool, bytes, copied: !isLeased })
    const free = () => {
      if (own) this.free([Number(segment), Number(start)], bytes)
    }
    if (!isLeased) {
      // filling it with zeros first would cost as much as the copy
      const copy = new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer)
      copy.set(region.segment.bytes.subarray(from, from + bytes))
      free()
      return copy
    }
    // held by itself, so that the worker does not use its place again while a call, of whichever worker, looks at it
    const part = own ? region.arena.part(region, from, bytes, free) : region
    if (!own) region.hold()
    const lease: Lease = new Lease(part, from, bytes, false, () => leases.remove(lease))
    leases.add(lease)
    return lease
  }

  /** A place that a message names which nobody can read: nobody will look there, so it is free again. */
  discard(place: unknown): void {
    const [segment, start, , length, id] = Array.isArray(place) ? place : []
    if (id !== null || ![segment, start, length].every(Number.isSafeInteger)) return
    if (this.granted(segment, start) !== undefined) this.free([segment, start], length)
  }

  private granted(segment: number, start: number): Region | undefined {
    return this.grants.find(
      (grant) => grant.segment.id === segment && start >= grant.offset && start < grant.offset + grant.byteLength
    )
  }

  /** A region that Python was sent, and sends back. */
  private lent(id: unknown): Region | undefined {
    if (typeof id !== "number") return undefined
    const known = this.kept.get(id)
    if (known !== undefined) return known.region
    for (const pinned of this.pins.values()) {
      const region = pinned.find((held) => held.id === id)
      if (region !== undefined) return region
    }
    return undefined
  }

  private free(place: readonly [number, number], bytes: number): void {
    if (!this.isOpen) return
    this.freed.push(place)
    this.freedBytes += bytes
    this.timer ??= setTimeout(this.flush, freeMillis).unref()
  }

  /** Before a request is written: tells the worker which places are free, once they are worth a message. */
  flushIfMany(): void {
    if (this.freed.length >= freeCount || this.freedBytes >= freeBytes) this.flush()
  }

  /** Tells the worker which places are free. */
  readonly flush = (): void => {
    const places = this.takeFreed()
    if (places.length > 0 && this.isOpen) this.line.free(places)
  }

  private takeFreed(): ReadonlyArray<readonly [number, number]> {
    clearTimeout(this.timer)
    this.timer = undefined
    this.freedBytes = 0
    return this.freed.splice(0)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Ends
  // -------------------------------------------------------------------------------------------------------------------

  private readonly onDropped = (segments: ReadonlyArray<number>): void => this.line.forget(segments)

  private readonly onPressure = async (): Promise<void> => {
    if (this.grants.length === 0 && this.kept.size === 0) return
    // with the question, since what goes by the other channel may come later
    await this.line.trim(this.takeFreed())
  }

  /** The worker has given back the ends of grants, or all of them: [segment, offset, how much is left]. */
  returned(places: unknown): void {
    if (!Array.isArray(places)) return
    for (const place of places) {
      const [segment, offset, left] = Array.isArray(place) ? place : []
      const at = this.grants.findIndex((grant) => grant.segment.id === segment && grant.offset === offset)
      const grant = this.grants[at]
      if (grant === undefined) continue
      if (isSize(left)) {
        grant.shrink(left)
      } else if (left === 0) {
        this.grants.splice(at, 1)
        grant.release()
      }
    }
  }

  /** The process has ended: nothing of it looks at anything any more. Leases of its results stay until their scopes end. */
  end(): void {
    if (!this.isOpen) return
    this.isOpen = false
    clearTimeout(this.timer)
    const { arena } = this.memory
    if (typeof arena !== "string") {
      arena.onDropped.delete(this.onDropped)
      arena.onPressure.delete(this.onPressure)
    }
    for (const pinned of this.pins.values()) for (const region of pinned) region.release()
    this.pins.clear()
    for (const { count, region } of this.kept.values()) for (let i = 0; i < count; i++) region.release()
    this.kept.clear()
    for (const grant of this.grants.splice(0)) grant.release()
  }
}
