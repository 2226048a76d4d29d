import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { Random } from "../../../test/chaos/random.ts"
import { SharedMemory, Tensor } from "../src/index.ts"

const MIB = 1024 * 1024

const folder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "snakepit-memory-"))),
  (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
)

/** Shared memory of its own that closes with the scope. */
const memoryOf = (options: SharedMemory.ZeroCopyOptions, pool: string) =>
  Effect.gen(function* () {
    const services = yield* Layer.build(SharedMemory.layerTest(yield* folder, options))
    const memory = yield* Effect.provide(
      Effect.flatMap(SharedMemory.SharedMemory, (service) => service.pool(pool)),
      services
    )
    return { memory, services }
  })

const waiting = { maxSharedMemory: 32 * MIB, whenFull: "wait" } as const

const arenaOf = ({ arena }: SharedMemory.PoolMemory) => (typeof arena === "string" ? assert.fail(arena) : arena)

const heldBytes = (memory: SharedMemory.PoolMemory) => arenaOf(memory).heldBytes

/** A fiber that waits for more than there is, and what holds it. */
const waiter = Effect.gen(function* () {
  const { memory, services } = yield* memoryOf(waiting, "waited")
  const held = yield* Scope.make()
  yield* Scope.provide(memory.lease(20 * MIB, false), held)
  const taken = yield* Scope.make()
  const fiber = yield* Effect.forkChild(Scope.provide(memory.lease(20 * MIB, false), taken), { startImmediately: true })
  yield* Effect.promise(() => arenaOf(memory).relieve())
  assert.isUndefined(fiber.pollUnsafe())
  return { memory, services, held, taken, fiber }
})

describe("SharedMemory", () => {
  it.live("tells of every region that is allocated and released, and measures what the pool has taken", () =>
    Effect.gen(function* () {
      const shared = (snapshot: ReadonlyArray<Metric.Metric.Snapshot>) =>
        snapshot.find(
          ({ attributes, id }) => id === "snakepit.memory.shared_bytes" && attributes?.["pool"] === "measured"
        )?.state
      const scope = yield* Scope.make()
      const { memory } = yield* Scope.provide(memoryOf({}, "measured"), scope)
      const heard: Array<SharedMemory.ZeroCopyEvent> = []
      memory.listeners.add((event) => heard.push(event))
      const lease = yield* Scope.make()
      yield* Scope.provide(memory.lease(1000, false), lease)
      assert.deepStrictEqual(heard, [{ name: "memory.allocate", pool: "measured", bytes: 1024 }])
      assert.deepInclude(shared(yield* Metric.snapshot), { value: 16 * MIB })
      yield* Scope.close(lease, Exit.void)
      assert.deepStrictEqual(heard.slice(1), [{ name: "memory.release", pool: "measured", bytes: 1024 }])
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(shared(yield* Metric.snapshot), { value: 0 })
    }).pipe(Effect.scoped)
  )

  it.live("lets a caller that waits go when it is interrupted, and takes nothing for it", () =>
    Effect.gen(function* () {
      const { fiber, held, memory } = yield* waiter
      yield* Fiber.interrupt(fiber).pipe(Effect.timeout(5_000))
      yield* Scope.close(held, Exit.void)
      assert.strictEqual(heldBytes(memory), 0)
    }).pipe(Effect.scoped)
  )

  it.live("gives a caller that waits its memory as soon as there is room", () =>
    Effect.gen(function* () {
      const { fiber, held, memory, taken } = yield* waiter
      yield* Scope.close(held, Exit.void)
      assert.strictEqual((yield* Fiber.join(fiber).pipe(Effect.timeout(5_000))).byteLength, 20 * MIB)
      assert.strictEqual(heldBytes(memory), 20 * MIB)
      yield* Scope.close(taken, Exit.void)
      assert.strictEqual(heldBytes(memory), 0)
    }).pipe(Effect.scoped)
  )

  it.live("takes memory once for each caller that waited, however quickly they give it back", () =>
    Effect.gen(function* () {
      const { memory } = yield* memoryOf(waiting, "hasty")
      const held = yield* Scope.make()
      yield* Scope.provide(memory.lease(20 * MIB, false), held)
      const hasty = Effect.forkChild(Effect.scoped(memory.lease(20 * MIB, false)), { startImmediately: true })
      const fibers = [yield* hasty, yield* hasty, yield* hasty]
      yield* Effect.promise(() => arenaOf(memory).relieve())
      yield* Scope.close(held, Exit.void)
      for (const fiber of fibers) yield* Fiber.join(fiber).pipe(Effect.timeout(5_000))
      assert.strictEqual(heldBytes(memory), 0)
    }).pipe(Effect.scoped)
  )

  it.live("asks workers again and again for what they do not use, while somebody waits", () =>
    Effect.gen(function* () {
      const { fiber, held, memory } = yield* waiter
      const arena = arenaOf(memory)
      let asked = 0
      // a worker that needs its grant at first, and answers with it later
      arena.onPressure.add(async () => {
        if (++asked === 3) await Effect.runPromise(Scope.close(held, Exit.void))
      })
      assert.strictEqual((yield* Fiber.join(fiber).pipe(Effect.timeout(5_000))).byteLength, 20 * MIB)
      assert.isAtLeast(asked, 3)
    }).pipe(Effect.scoped)
  )

  it.live("fails callers that wait when the pool closes, and those who come later", () =>
    Effect.gen(function* () {
      const { fiber, memory, services } = yield* waiter
      const make = Tensor.make(Uint8Array, [20 * MIB], { pool: "waited" }).pipe(Effect.provide(services))
      const tensor = yield* Effect.forkChild(make, { startImmediately: true })
      arenaOf(memory).close()
      const error = yield* Effect.flip(Fiber.join(fiber)).pipe(Effect.timeout(5_000))
      assert.include(String(error), "the pool is closed")
      for (const late of [Fiber.join(tensor), make]) {
        const refused = yield* Effect.flip(late).pipe(Effect.timeout(5_000))
        assert.strictEqual(refused._tag, "ZeroCopyUnavailable")
        assert.include(refused.message, "the pool is closed")
      }
    }).pipe(Effect.scoped)
  )

  it.live("serves callers that wait behind one that is interrupted", () =>
    Effect.gen(function* () {
      const { fiber, memory } = yield* waiter
      const small = yield* Effect.forkChild(memory.lease(MIB, false), { startImmediately: true })
      assert.isUndefined(small.pollUnsafe())
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* Fiber.join(small).pipe(Effect.timeout(5_000))).byteLength, MIB)
    }).pipe(Effect.scoped)
  )

  it.live("gives back what was given to a caller that was interrupted before it went on", () =>
    Effect.gen(function* () {
      const { fiber, held, memory } = yield* waiter
      // both before the fiber runs again, in either order
      const next = yield* Effect.forkChild(Effect.scoped(memory.lease(20 * MIB, false)), { startImmediately: true })
      yield* Effect.all([Fiber.interrupt(fiber), Scope.close(held, Exit.void), Fiber.interrupt(next)], {
        concurrency: "unbounded"
      })
      yield* Fiber.await(next)
      assert.strictEqual(heldBytes(memory), 0)
      assert.strictEqual((yield* memory.lease(32 * MIB, false)).byteLength, 32 * MIB)
    }).pipe(Effect.scoped)
  )

  it.live("serves or fails, and never lets wait, what is as large as all there may be", () =>
    Effect.gen(function* () {
      const { memory } = yield* memoryOf({ maxSharedMemory: 10_000_000, whenFull: "wait" }, "rounded")
      yield* Effect.scoped(Effect.timeout(memory.lease(10_000_000, false), 5_000))
      const error = yield* Effect.flip(Effect.timeout(memory.lease(10_000_001, false), 5_000))
      assert.strictEqual(error._tag, "SharedMemoryExhausted")
      assert.include(error.message, "no shared memory for 10000001 bytes")
    }).pipe(Effect.scoped)
  )

  it.live.each([1, 2, 3, 4, 5])(
    "leaves nobody waiting and nothing held, whatever happens in whatever order (%i)",
    (seed) =>
      Effect.gen(function* () {
        const { memory } = yield* memoryOf(waiting, "random")
        const arena = arenaOf(memory)
        const random = new Random(seed)
        const sizes = () => Math.ceil(random.between(0, 1) ** 3 * 32 * MIB)
        const fibers = new Set<Fiber.Fiber<unknown, unknown>>()
        let served = 0
        const caller = Effect.gen(function* () {
          const lease = yield* memory.lease(sizes(), false)
          served++
          assert.isAtMost(arena.heldBytes, arena.maxBytes)
          const turns = Math.floor(random.between(0, 4))
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          if (random.next() < 0.3) lease.close()
        }).pipe(Effect.scoped)
        // arguments of calls, which do not wait
        const argument = Effect.gen(function* () {
          const region = memory.allocate(sizes())
          yield* Effect.yieldNow
          if (!("cause" in region)) region.release()
        }).pipe(Effect.uninterruptible)
        for (let i = 0; i < 400; i++) {
          const effect = random.next() < 0.8 ? caller : argument
          fibers.add(yield* Effect.forkChild(effect, { startImmediately: random.next() < 0.5 }))
          if (random.next() < 0.4) yield* Effect.yieldNow
          if (random.next() < 0.4) {
            const [victim] = [...fibers].slice(Math.floor(random.between(0, fibers.size)))
            if (victim !== undefined) {
              victim.interruptUnsafe()
              if (random.next() < 0.5) fibers.delete(victim)
            }
          }
        }
        yield* Fiber.awaitAll([...fibers]).pipe(Effect.timeout(10_000))
        assert.isAtLeast(served, 50)
        assert.strictEqual(arena.heldBytes, 0)
        assert.strictEqual((yield* memory.lease(32 * MIB, false)).byteLength, 32 * MIB)
      }).pipe(Effect.scoped)
  )

  it.live("fails for a pool that there is not", () =>
    Effect.gen(function* () {
      const none = Layer.succeed(SharedMemory.SharedMemory, SharedMemory.fromPools(new Map()))
      const error = yield* Effect.flip(Effect.provide(Tensor.make(Uint8Array, [1]), none))
      assert.include(error.message, 'pool "default" cannot share memory: there is no such pool')
    }).pipe(Effect.scoped)
  )
})
