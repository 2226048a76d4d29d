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

/** A fiber that waits for more than there is, and what holds it. */
const waiter = Effect.gen(function* () {
  const { memory } = yield* memoryOf(waiting, "waited")
  const held = yield* Scope.make()
  yield* Scope.provide(memory.lease(20 * MIB, false), held)
  const taken = yield* Scope.make()
  const fiber = yield* Effect.forkChild(Scope.provide(memory.lease(20 * MIB, false), taken), { startImmediately: true })
  yield* Effect.promise(() => (typeof memory.arena === "string" ? assert.fail(memory.arena) : memory.arena.relieve()))
  assert.isUndefined(fiber.pollUnsafe())
  return { memory, held, taken, fiber }
})

const heldBytes = ({ arena }: SharedMemory.PoolMemory) =>
  typeof arena === "string" ? assert.fail(arena) : arena.heldBytes

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
      const { arena } = memory
      yield* Effect.promise(() => (typeof arena === "string" ? assert.fail(arena) : arena.relieve()))
      yield* Scope.close(held, Exit.void)
      for (const fiber of fibers) yield* Fiber.join(fiber).pipe(Effect.timeout(5_000))
      assert.strictEqual(heldBytes(memory), 0)
    }).pipe(Effect.scoped)
  )

  it.live("asks workers again and again for what they do not use, while somebody waits", () =>
    Effect.gen(function* () {
      const { fiber, held, memory } = yield* waiter
      const { arena } = memory
      if (typeof arena === "string") return assert.fail(arena)
      let asked = 0
      // a worker that needs its grant at first, and answers with it later
      arena.onPressure.add(async () => {
        if (++asked === 3) await Effect.runPromise(Scope.close(held, Exit.void))
      })
      assert.strictEqual((yield* Fiber.join(fiber).pipe(Effect.timeout(5_000))).byteLength, 20 * MIB)
      assert.isAtLeast(asked, 3)
    }).pipe(Effect.scoped)
  )

  it.live("fails callers that wait when the pool closes", () =>
    Effect.gen(function* () {
      const { fiber, memory } = yield* waiter
      if (typeof memory.arena === "string") return assert.fail(memory.arena)
      memory.arena.close()
      const error = yield* Effect.flip(Fiber.join(fiber)).pipe(Effect.timeout(5_000))
      assert.include(String(error), "the pool is closed")
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
