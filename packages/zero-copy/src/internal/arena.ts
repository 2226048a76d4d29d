/**
 * The shared memory of one pool: segments cut into regions, counted, reused, and never more than the budget.
 *
 * The host alone makes segments and regions; a worker may write only where it was sent, or in a region that it was granted.
 * A region is held by whoever may still look at it: leases in TypeScript, requests under way, workers that keep an array,
 * and a worker that it is granted to. It is free again when the last of them lets go.
 */
import { aligned } from "./freeList.ts"
import type { Memory } from "./mapping.ts"
import { mebibytes, Segment } from "./segments.ts"

/** Why there is no region. */
export interface Refusal {
  /** `budget`: there will be one when others are given back. `system`: the system gives no memory. */
  readonly cause: "budget" | "system"
  readonly reason: string
}

export interface ArenaOptions {
  /** What every segment's name begins with. */
  readonly prefix: string
  readonly folders: ReadonlyArray<string>
  /** Budget in bytes, over all segments. */
  readonly maxBytes: number
  readonly memory: Memory
}

/** First segment; each further one is as large as all before, up to the largest. A larger region has one of its own. */
const smallestSegment = 16 * 1024 * 1024
const largestSegment = 256 * 1024 * 1024
const page = 4096

/** How long an empty segment is kept for the next region. */
const idleMillis = 5_000

export class Arena {
  readonly maxBytes: number
  readonly folders: ReadonlyArray<string>
  readonly prefix: string
  /** Bytes of all segments. */
  sharedBytes = 0
  /** Bytes of regions that somebody holds. */
  heldBytes = 0
  isOpen = true
  /** Called with the bytes of a region that nobody holds any more. */
  readonly onGiven = new Set<(bytes: number) => void>()
  /** Called when {@link sharedBytes} has changed. */
  readonly onResized = new Set<() => void>()
  /** Called with the numbers of segments that are gone: workers let go of them too. */
  readonly onDropped = new Set<(segments: ReadonlyArray<number>) => void>()
  /** Asked to give back what workers were granted and do not use. */
  readonly onPressure = new Set<() => Promise<void>>()
  private readonly memory: Memory
  private readonly segments: Array<Segment> = []
  private readonly emptySince = new Map<Segment, number>()
  private readonly waiting: Array<() => boolean> = []
  private lastSegment = 0
  private lastRegion = 0
  private relieving: Promise<void> | undefined
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: ArenaOptions) {
    this.maxBytes = options.maxBytes
    this.folders = options.folders
    this.prefix = options.prefix
    this.memory = options.memory
  }

  /** Takes a region of at least `bytes`, held once, or answers why there is none. */
  allocate(bytes: number): Region | Refusal {
    const size = aligned(bytes)
    if (!this.isOpen) return { cause: "system", reason: "the pool is closed" }
    for (const segment of this.segments) {
      const offset = segment.free.take(size)
      if (offset !== undefined) return this.region(segment, offset, size)
    }
    const made = this.grow(size)
    if (!(made instanceof Segment)) return made
    const offset = made.free.take(size)
    if (offset === undefined) throw new Error(`a new segment of ${made.size} bytes has no room for ${size}`)
    return this.region(made, offset, size)
  }

  /** Calls `attempt` each time memory was given back, and when the arena closes, until it answers true. Answers how to stop that. */
  wait(attempt: () => boolean): () => void {
    this.waiting.push(attempt)
    return () => {
      const at = this.waiting.indexOf(attempt)
      if (at >= 0) this.waiting.splice(at, 1)
    }
  }

  /** Asks the workers for what they were granted and do not use, unless they are being asked. */
  relieve(): Promise<void> {
    this.relieving ??= Promise.allSettled([...this.onPressure].map((ask) => ask())).then(() => {
      this.relieving = undefined
    })
    return this.relieving
  }

  /** A part of a region, with holds of its own, and one on the region. `onFree` is called when the last of its own is gone. */
  part(region: Region, offset: number, byteLength: number, onFree: () => void): Region {
    region.hold()
    return new Region(this, ++this.lastRegion, region.segment, offset, byteLength, () => {
      onFree()
      region.release()
    })
  }

  /** The last hold of a region is gone. */
  private give(region: Region): void {
    const { byteLength, offset, segment } = region
    segment.free.give(offset, byteLength)
    this.heldBytes -= byteLength
    for (const tell of this.onGiven) tell(byteLength)
    if (segment.free.used === 0) this.empty(segment)
    this.wake()
  }

  /** First come, first served: who wants little does not overtake who has waited for much. */
  private wake(): void {
    for (let attempt = this.waiting.shift(); attempt !== undefined; attempt = this.waiting.shift()) {
      // out of the list by now: what it takes may be given back, and wake others, before it answers
      if (attempt()) continue
      this.waiting.unshift(attempt)
      return
    }
  }

  /**
   * Removes the names of all segments, and unmaps those that nobody holds a part of; the others go with the last lease in
   * them. Who waits is told.
   */
  close(): void {
    this.isOpen = false
    clearTimeout(this.timer)
    this.wake()
    for (const segment of this.segments) segment.unlink()
    this.drop(this.segments.filter((segment) => segment.free.used === 0))
  }

  private region(segment: Segment, offset: number, size: number): Region {
    this.emptySince.delete(segment)
    this.heldBytes += size
    return new Region(this, ++this.lastRegion, segment, offset, size, (unheld) => this.give(unheld))
  }

  private grow(size: number): Segment | Refusal {
    const needed = Math.ceil(size / page) * page
    if (this.sharedBytes + needed > this.maxBytes) this.drop([...this.emptySince.keys()])
    const left = this.maxBytes - this.sharedBytes
    if (needed > left) {
      return {
        cause: "budget",
        reason:
          `${mebibytes(size)} of shared memory are wanted, ${mebibytes(this.heldBytes)} are in use, ` +
          `and maxSharedMemory is ${mebibytes(this.maxBytes)}`
      }
    }
    const usual = Math.min(largestSegment, Math.max(smallestSegment, this.sharedBytes))
    let made = Segment.make(
      ++this.lastSegment,
      Math.min(left, Math.max(needed, usual)),
      this.prefix,
      this.folders,
      this.memory
    )
    if (typeof made === "string" && usual > needed) {
      made = Segment.make(++this.lastSegment, needed, this.prefix, this.folders, this.memory)
    }
    if (typeof made === "string") return { cause: "system", reason: made }
    this.segments.push(made)
    this.sharedBytes += made.size
    for (const tell of this.onResized) tell()
    return made
  }

  private empty(segment: Segment): void {
    if (!this.isOpen) return this.drop([segment])
    this.emptySince.set(segment, Date.now())
    this.timer ??= setTimeout(() => this.dropIdle(), idleMillis).unref()
  }

  private dropIdle(): void {
    this.timer = undefined
    const limit = Date.now() - idleMillis
    this.drop([...this.emptySince].filter(([, since]) => since <= limit).map(([segment]) => segment))
    if (this.emptySince.size > 0) this.timer = setTimeout(() => this.dropIdle(), idleMillis).unref()
  }

  private drop(segments: ReadonlyArray<Segment>): void {
    if (segments.length === 0) return
    for (const segment of segments) {
      this.emptySince.delete(segment)
      this.segments.splice(this.segments.indexOf(segment), 1)
      this.sharedBytes -= segment.size
      segment.unlink()
      segment.unmap()
    }
    const ids = segments.map((segment) => segment.id)
    for (const tell of this.onDropped) tell(ids)
    for (const tell of this.onResized) tell()
  }
}

/** A part of a segment. */
export class Region {
  readonly arena: Arena
  /** Never used twice in an arena. */
  readonly id: number
  readonly segment: Segment
  readonly offset: number
  readonly byteLength: number
  private holds = 1
  private readonly onFree: (region: Region) => void

  constructor(
    arena: Arena,
    id: number,
    segment: Segment,
    offset: number,
    byteLength: number,
    onFree: (region: Region) => void
  ) {
    this.arena = arena
    this.id = id
    this.segment = segment
    this.offset = offset
    this.byteLength = byteLength
    this.onFree = onFree
  }

  /** Bytes of the region, for the host's own copying; not to be handed out. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.segment.bytes.subarray(this.offset, this.offset + this.byteLength)
  }

  hold(): void {
    this.holds++
  }

  release(): void {
    this.holds--
    if (this.holds === 0) this.onFree(this)
  }
}
