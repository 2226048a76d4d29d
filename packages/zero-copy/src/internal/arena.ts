/**
 * The shared memory of one pool: segments cut into regions, counted, reused, and never more than the budget.
 *
 * The host alone makes segments and regions; a worker may write only where it was sent, or in a region that it was granted.
 * A region is held by whoever may still look at it: leases in TypeScript, requests under way, workers that keep an array,
 * and a worker that it is granted to. It is free again when the last of them lets go.
 *
 * Who waits for a region is served first come, first served, and nobody takes one meanwhile: neither does who wants little
 * overtake who wants much, nor do calls, which do without. So whoever waits is served once enough of what was held before
 * is given back.
 */
import { aligned, alignment } from "./freeList.ts"
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

/** How often workers are asked for what they do not use while somebody waits: they do not tell. */
const relieveMillis = 50

/** Somebody who waits. `resume` is called once, and may do anything, such as give the region back. */
interface Waiter {
  readonly size: number
  readonly resume: (answer: Region | Refusal) => void
}

export class Arena {
  readonly maxBytes: number
  readonly folders: ReadonlyArray<string>
  readonly prefix: string
  /** Bytes of all segments. */
  sharedBytes = 0
  /** Bytes of regions that somebody holds. */
  heldBytes = 0
  isOpen = true
  /** Called with the bytes of a region that is taken. */
  readonly onTaken = new Set<(bytes: number) => void>()
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
  private readonly waiting: Array<Waiter> = []
  private isServing = false
  private asking: ReturnType<typeof setInterval> | undefined
  private lastSegment = 0
  private lastRegion = 0
  private relieving: Promise<unknown> = Promise.resolve()
  private relievingNext: Promise<unknown> | undefined
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(options: ArenaOptions) {
    // in whole regions, so that what is no larger than the budget fits into it
    this.maxBytes = Math.ceil(options.maxBytes / alignment) * alignment
    this.folders = options.folders
    this.prefix = options.prefix
    this.memory = options.memory
  }

  /** Takes a region of at least `bytes`, held once, or answers why there is none. While somebody waits there is none. */
  allocate(bytes: number): Region | Refusal {
    const size = aligned(bytes)
    return this.waiting.length > 0 ? this.full(size) : this.take(size)
  }

  /** Whether there is a region of `bytes` when nobody holds anything. */
  canHold(bytes: number): boolean {
    return aligned(bytes) <= this.maxBytes
  }

  /**
   * Calls `resume` once, perhaps at once: with a region of at least `bytes` when it is this one's turn and there is room, or
   * with why there will be none, when the system gives no memory or the arena closes. Answers how to wait no longer.
   */
  wait(bytes: number, resume: Waiter["resume"]): () => void {
    const waiter: Waiter = { size: aligned(bytes), resume }
    this.waiting.push(waiter)
    this.serve()
    return () => {
      const at = this.waiting.indexOf(waiter)
      if (at < 0) return
      this.waiting.splice(at, 1)
      this.serve()
    }
  }

  /** Those who wait, in turn, as far as there is room. */
  private serve(): void {
    // who is served may give the region back, leave, or wait again before `resume` returns: the loop sees to it
    if (this.isServing) return
    this.isServing = true
    for (let first = this.waiting[0]; first !== undefined; first = this.waiting[0]) {
      const answer = this.take(first.size)
      if ("cause" in answer && answer.cause === "budget") break
      if (this.waiting[0] === first) {
        this.waiting.shift()
        first.resume(answer)
      } else if (answer instanceof Region) {
        answer.release() // it left when it heard that the region was taken
      }
    }
    this.isServing = false
    if (this.waiting.length === 0) {
      clearInterval(this.asking)
      this.asking = undefined
    } else if (this.asking === undefined) {
      this.asking = setInterval(() => void this.relieve(), relieveMillis)
      void this.relieve()
    }
  }

  /**
   * Asks the workers for what they were granted and do not use. When they are being asked already they are asked once more, for
   * all that call this meanwhile: something may be unused only now.
   */
  relieve(): Promise<unknown> {
    this.relievingNext ??= this.relieving.then(() => {
      this.relievingNext = undefined
      this.relieving = Promise.allSettled([...this.onPressure].map((ask) => ask()))
      return this.relieving
    })
    return this.relievingNext
  }

  /** A part of a region, with holds of its own, and one on the region. `onFree` is called when the last of its own is gone. */
  part(region: Region, offset: number, byteLength: number, onFree: () => void): Region {
    region.hold()
    return new Region(this, ++this.lastRegion, region.segment, offset, byteLength, () => {
      onFree()
      region.release()
    })
  }

  /** Nobody holds these bytes any more. */
  private give(segment: Segment, offset: number, bytes: number): void {
    segment.free.give(offset, bytes)
    this.heldBytes -= bytes
    for (const tell of this.onGiven) tell(bytes)
    if (segment.free.used === 0) this.empty(segment)
    if (this.waiting.length > 0) this.serve()
  }

  /**
   * Removes the names of all segments, and unmaps those that nobody holds a part of; the others go with the last lease in
   * them. Who waits is told.
   */
  close(): void {
    this.isOpen = false
    clearTimeout(this.timer)
    this.serve()
    for (const segment of this.segments) segment.unlink()
    this.drop(this.segments.filter((segment) => segment.free.used === 0))
  }

  private take(size: number): Region | Refusal {
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

  private region(segment: Segment, offset: number, size: number): Region {
    this.emptySince.delete(segment)
    this.heldBytes += size
    const region = new Region(this, ++this.lastRegion, segment, offset, size, (from, bytes) => {
      this.give(segment, from, bytes)
    })
    for (const tell of this.onTaken) tell(size)
    return region
  }

  private full(size: number): Refusal {
    let why = ""
    if (this.waiting.length > 0) why = ", others wait for it"
    // what is free in each segment may be too small
    else if (this.heldBytes + size <= this.maxBytes) why = ` in segments of ${mebibytes(this.sharedBytes)}`
    return {
      cause: "budget",
      reason:
        `${mebibytes(size)} of shared memory are wanted, ${mebibytes(this.heldBytes)} are in use${why}, ` +
        `and maxSharedMemory is ${mebibytes(this.maxBytes)}`
    }
  }

  private grow(size: number): Segment | Refusal {
    if (this.sharedBytes + size > this.maxBytes) this.drop([...this.emptySince.keys()])
    const left = this.maxBytes - this.sharedBytes
    if (size > left) return this.full(size)
    // the last one before the budget may end within a page
    const needed = Math.min(left, Math.ceil(size / page) * page)
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
  private length: number
  private holds = 1
  private readonly onFree: (offset: number, bytes: number) => void

  constructor(
    arena: Arena,
    id: number,
    segment: Segment,
    offset: number,
    byteLength: number,
    onFree: (offset: number, bytes: number) => void
  ) {
    this.arena = arena
    this.id = id
    this.segment = segment
    this.offset = offset
    this.length = byteLength
    this.onFree = onFree
  }

  get byteLength(): number {
    return this.length
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
    if (this.holds === 0) this.onFree(this.offset, this.length)
  }

  /** Gives back what is behind its first `byteLength` bytes, rounded up to whole regions, for all who hold it. */
  shrink(byteLength: number): void {
    const left = aligned(byteLength)
    const rest = this.length - left
    if (rest <= 0) return
    this.length = left
    this.onFree(this.offset + left, rest)
  }
}
