/**
 * The shared memory of the pools: {@link SharedMemory} is the service, {@link PoolMemory} what one pool has.
 *
 * Each pool has an arena of its own, which its workers see and those of other pools do not. `Tensor.make` takes from it,
 * and the codec puts large arguments there. Where memory cannot be shared, values are copied instead, and that is said.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { Arena, type Refusal, type Region } from "./internal/arena.ts"
import { load, type Memory } from "./internal/mapping.ts"
import { Lease } from "./Lease.ts"
import { SharedMemoryExhausted, ZeroCopyUnavailable } from "./ZeroCopyError.ts"

/** How a pool shares memory, as users write it. */
export interface ZeroCopyOptions {
  /** Whether memory is shared at all. Defaults to true. */
  readonly enabled?: boolean | undefined
  /** From how many bytes on an array goes through shared memory. Defaults to 32 KiB, from where on `bench payload` finds it faster in both directions. */
  readonly thresholdBytes?: number | undefined
  /** Most bytes of shared memory that the pool may take. Defaults to 4 GiB. */
  readonly maxSharedMemory?: number | undefined
  /**
   * What `Tensor.make` does when that much is in use: wait until it is its turn and enough was given back, or fail. Defaults to
   * `fail`. Those who wait are served first come, first served; while they do, arguments and results are copied as if all were in use.
   */
  readonly whenFull?: "wait" | "fail" | undefined
  /** Whether to fail where memory should be shared and cannot be, instead of copying. Defaults to false. */
  readonly strict?: boolean | undefined
}

/** The options, complete. */
export interface ResolvedOptions {
  readonly enabled: boolean
  readonly thresholdBytes: number
  readonly maxSharedMemory: number
  readonly whenFull: "wait" | "fail"
  readonly strict: boolean
}

export const defaults: ResolvedOptions = {
  enabled: true,
  thresholdBytes: 32_768,
  maxSharedMemory: 4 * 1024 ** 3,
  whenFull: "fail",
  strict: false
}

/**
 * What happens to shared memory. `copied` says that the bytes were copied into it, or out of it; a fallback, that they went inside a
 * message instead. Regions of memory are allocated and released, not the values in them: a worker writes many results in one.
 */
export type ZeroCopyEvent =
  | { readonly name: "zero_copy.export"; readonly pool: string; readonly bytes: number; readonly copied: boolean }
  | { readonly name: "zero_copy.import"; readonly pool: string; readonly bytes: number; readonly copied: boolean }
  | {
      readonly name: "zero_copy.fallback"
      readonly pool: string
      readonly bytes: number
      readonly cause: string
      readonly reason: string
    }
  | { readonly name: "memory.allocate" | "memory.release"; readonly pool: string; readonly bytes: number }

/** The shared memory of one pool. */
export class PoolMemory {
  readonly pool: string
  readonly options: ResolvedOptions
  /** What there is to share, or why there is nothing. */
  readonly arena: Arena | string
  /** Hears of everything; what it throws is nobody's business. */
  readonly listeners = new Set<(event: ZeroCopyEvent) => void>()
  private readonly warn: (message: string) => void
  private readonly warned = new Set<string>()

  /** `warn` logs a warning. `arena` is a reason when memory cannot be shared. */
  constructor(pool: string, options: ResolvedOptions, arena: Arena | string, warn: (message: string) => void) {
    this.pool = pool
    this.options = options
    this.arena = arena
    this.warn = warn
    if (typeof arena !== "string") {
      arena.onTaken.add((bytes) => this.emit({ name: "memory.allocate", pool, bytes }))
      arena.onGiven.add((bytes) => this.emit({ name: "memory.release", pool, bytes }))
    }
  }

  /** Tells the listeners. */
  emit(event: ZeroCopyEvent): void {
    for (const listener of this.listeners) {
      try {
        listener(event)
      } catch {
        // one that throws must not end the call that it watches
      }
    }
  }

  /** A region, or why there is none. */
  allocate(bytes: number): Region | Refusal {
    if (typeof this.arena === "string") return { cause: "system", reason: this.arena }
    const region = this.arena.allocate(bytes)
    // so that the next one finds room: what workers were granted and do not use is in use for the budget
    if ("cause" in region && region.cause === "budget") void this.arena.relieve()
    return region
  }

  /** Notes that `bytes` are copied, although they should have been shared: an event, and a warning once per cause. */
  fellBack(bytes: number, cause: string, reason: string): void {
    this.emit({ name: "zero_copy.fallback", pool: this.pool, bytes, cause, reason })
    if (this.warned.has(cause)) return
    this.warned.add(cause)
    this.warn(`zero_copy_unavailable: values of pool "${this.pool}" are copied: ${reason}`)
  }

  /** A lease of `bytes` bytes, which ends with the scope. Python may write to it if `isWritable`. */
  lease(
    bytes: number,
    isWritable: boolean
  ): Effect.Effect<Lease, SharedMemoryExhausted | ZeroCopyUnavailable, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.acquireRelease(
        Effect.map(this.take(bytes, restore), (region) => new Lease(region, region.offset, bytes, isWritable)),
        (lease) => Effect.sync(() => lease.end())
      )
    )
  }

  /** {@link lease}, or none where memory cannot be shared, which is noted; with `strict` that is a failure, and in a closed pool. */
  leaseIfPossible(
    bytes: number,
    isWritable: boolean
  ): Effect.Effect<Lease | undefined, SharedMemoryExhausted | ZeroCopyUnavailable, Scope.Scope> {
    return Effect.catchTag(this.lease(bytes, isWritable), "ZeroCopyUnavailable", (error) => {
      const isClosed = typeof this.arena !== "string" && !this.arena.isOpen
      if (this.options.strict || isClosed) return Effect.fail(error)
      if (this.options.enabled) this.fellBack(bytes, "system", error.reason)
      return Effect.succeed(undefined)
    })
  }

  /** What waits is interruptible by `restore`. */
  private take(
    bytes: number,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ): Effect.Effect<Region, SharedMemoryExhausted | ZeroCopyUnavailable> {
    return Effect.gen({ self: this }, function* () {
      const { arena, pool } = this
      if (typeof arena === "string") return yield* this.unavailable(arena)
      let taken: Region | Refusal = arena.allocate(bytes)
      if ("cause" in taken && taken.cause === "budget" && arena.canHold(bytes)) {
        if (this.options.whenFull === "wait") return yield* this.wait(arena, bytes, restore)
        yield* restore(Effect.promise(() => arena.relieve()))
        taken = arena.allocate(bytes)
      }
      if (!("cause" in taken)) return taken
      const { cause, reason } = taken
      if (cause === "system") return yield* this.unavailable(reason)
      const { heldBytes, maxBytes } = arena
      return yield* Effect.fail(new SharedMemoryExhausted({ pool, wantedBytes: bytes, heldBytes, maxBytes, reason }))
    })
  }

  private unavailable(reason: string): Effect.Effect<never, ZeroCopyUnavailable> {
    return Effect.fail(new ZeroCopyUnavailable({ pool: this.pool, reason }))
  }

  /** Waits for a region. One that was given to a fiber that is interrupted before it goes on with it is given back. */
  private wait(
    arena: Arena,
    bytes: number,
    restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  ): Effect.Effect<Region, ZeroCopyUnavailable> {
    return Effect.suspend(() => {
      let given: Region | undefined
      const waiting = Effect.callback<Region, ZeroCopyUnavailable>((resume) => {
        const leave = arena.wait(bytes, (answer) => {
          if ("cause" in answer) return resume(this.unavailable(answer.reason))
          given = answer
          resume(Effect.succeed(answer))
        })
        return Effect.sync(leave)
      })
      return Effect.onInterrupt(restore(waiting), () => Effect.sync(() => given?.release()))
    })
  }
}

/** The shared memory of the pools of a program. */
export class SharedMemory extends Context.Service<
  SharedMemory,
  {
    /** That of a pool; `default` when none is named. Fails for a pool that there is not, or that shares no memory. */
    readonly pool: (name?: string) => Effect.Effect<PoolMemory, ZeroCopyUnavailable>
  }
>()("@snakepit/zero-copy/SharedMemory") {}

/** What an arena is made of, as far as its maker decides it. */
export interface ArenaPlace {
  /** What every segment's name begins with, inside the folders. */
  readonly prefix: string
  /** Folders in order of preference. */
  readonly folders: ReadonlyArray<string>
}

/** Makes the shared memory of a pool. Its names are gone when the scope closes. */
export const make = (
  pool: string,
  options: ResolvedOptions,
  place: ArenaPlace
): Effect.Effect<PoolMemory, never, Scope.Scope> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<never>()
    const log = Effect.runForkWith(context)
    const memory: Memory | string = options.enabled ? load() : "zeroCopy.enabled is false"
    const arena =
      typeof memory === "string"
        ? memory
        : yield* Effect.acquireRelease(
            Effect.sync(() => new Arena({ ...place, maxBytes: options.maxSharedMemory, memory })),
            (made) => Effect.sync(() => made.close())
          )
    const made = new PoolMemory(pool, options, arena, (message) => {
      log(Effect.annotateLogs(Effect.logWarning(message), { pool, code: "zero_copy_unavailable" }))
    })
    const crossed = (direction: "export" | "import", copied: boolean) =>
      Metric.withAttributes(crossedBytes, { pool, direction, copied: String(copied) })
    const counters = {
      export: { shared: crossed("export", false), copied: crossed("export", true) },
      import: { shared: crossed("import", false), copied: crossed("import", true) }
    }
    made.listeners.add((event) => {
      if (event.name !== "zero_copy.export" && event.name !== "zero_copy.import") return
      const counter = event.name === "zero_copy.export" ? counters.export : counters.import
      counter[event.copied ? "copied" : "shared"].updateUnsafe(event.bytes, context)
    })
    if (typeof arena !== "string") {
      const gauge = Metric.withAttributes(sharedBytes, { pool })
      arena.onResized.add(() => gauge.updateUnsafe(arena.sharedBytes, context))
    }
    return made
  })

/** Bytes that crossed through shared memory, by pool, by direction, and by whether they were copied into it or out of it. */
const crossedBytes = Metric.counter("snakepit.zero_copy.bytes", {
  description: "Bytes that crossed through shared memory",
  incremental: true
})

/** Bytes of all segments of a pool. */
const sharedBytes = Metric.gauge("snakepit.memory.shared_bytes", {
  description: "Bytes of shared memory that a pool has taken"
})

/** The service over the memory of pools that are looked up when asked for. */
export const fromPools = (pools: ReadonlyMap<string, PoolMemory>): SharedMemory["Service"] => ({
  pool: (name = "default") => {
    const memory = pools.get(name)
    if (memory === undefined) {
      const known = [...pools.keys()].join(", ")
      return Effect.fail(new ZeroCopyUnavailable({ pool: name, reason: `there is no such pool (known: ${known})` }))
    }
    return Effect.succeed(memory)
  }
})

/** For tests without Python: every pool has memory of its own that nobody else sees, in `folder`. */
export const layerTest = (folder: string, options: ZeroCopyOptions = {}): Layer.Layer<SharedMemory> =>
  Layer.effect(
    SharedMemory,
    Effect.gen(function* () {
      const pools = new Map<string, PoolMemory>()
      const scope = yield* Effect.scope
      return {
        pool: (name = "default") =>
          Effect.gen(function* () {
            const known = pools.get(name)
            if (known !== undefined) return known
            const made = yield* make(name, resolve(options), { prefix: `${pools.size}-`, folders: [folder] })
            pools.set(name, made)
            return made
          }).pipe(Scope.provide(scope))
      }
    })
  )

/** The options with their defaults. */
export const resolve = (options: ZeroCopyOptions): ResolvedOptions => ({
  enabled: options.enabled ?? defaults.enabled,
  thresholdBytes: options.thresholdBytes ?? defaults.thresholdBytes,
  maxSharedMemory: options.maxSharedMemory ?? defaults.maxSharedMemory,
  whenFull: options.whenFull ?? defaults.whenFull,
  strict: options.strict ?? defaults.strict
})

/** What is wrong with a value that claims to be {@link ZeroCopyOptions}, if anything is. */
export const invalid = (
  value: unknown
): { readonly key: string; readonly value: unknown; readonly expected: string } | undefined => {
  const found = (key: string, wrong: unknown, expected: string) => ({ key, value: wrong, expected })
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return found("", value, "an object of options")
  for (const [key, given] of Object.entries(value)) {
    if (!Object.hasOwn(checks, key)) return found(`.${key}`, given, `a known key: ${Object.keys(checks).join(", ")}`)
    const check = checks[key as keyof typeof checks] // it has the key
    if (given !== undefined && !check.holds(given)) return found(`.${key}`, given, check.expected)
  }
  return undefined
}

const isBoolean = (value: unknown): boolean => typeof value === "boolean"
const isBytes = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0

const checks = {
  enabled: { holds: isBoolean, expected: "a boolean" },
  thresholdBytes: { holds: isBytes, expected: "a number of bytes" },
  maxSharedMemory: { holds: isBytes, expected: "a number of bytes" },
  whenFull: { holds: (value: unknown) => value === "wait" || value === "fail", expected: '"wait" or "fail"' },
  strict: { holds: isBoolean, expected: "a boolean" }
} as const
