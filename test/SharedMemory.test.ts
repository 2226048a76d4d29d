/** Tensors through shared memory: what Python sees, who holds what for how long, and what happens where there is none. */
import { Snakepit, type SnakepitError, ValueAdapter } from "@snakepit/core"
import { type Arena, SharedMemory, Tensor, ZeroCopy, ZeroCopyError } from "@snakepit/zero-copy"
import { assert, describe, it, layer } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Predicate from "effect/Predicate"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Random } from "./chaos/random.ts"
import {
  descriptors,
  kill,
  pidsOf,
  pool,
  waitForWorkers,
  waitUntil,
  withPool,
  withPools,
  workerPid,
  workersFolder
} from "./harness.ts"

const MIB = 1024 * 1024
const floats = Tensor.schema(Float64Array)

const memoryOf = (name?: string) => Effect.flatMap(SharedMemory.SharedMemory, (memory) => memory.pool(name))

const arenaOf = (name?: string): Effect.Effect<Arena, unknown, SharedMemory.SharedMemory> =>
  Effect.map(memoryOf(name), ({ arena }) => (typeof arena === "string" ? assert.fail(arena) : arena))

const look = (array: unknown) => Snakepit.call("sharing.look", { args: [array] })
const total = (array: unknown) => Snakepit.call("sharing.total", { args: [array], success: Schema.Number })
const ones = (count: number) => Snakepit.call("sharing.ones", { args: [count], success: floats })
const ramp = (length: number) => Float64Array.from({ length }, (_, i) => i)

/** Waits until nobody holds more than `bytes`. */
const waitForHeld = (bytes: number, name?: string) =>
  Effect.flatMap(arenaOf(name), (arena) => waitUntil(`at most ${bytes} bytes are held`, () => arena.heldBytes <= bytes))

const events = (name?: string) =>
  Effect.map(memoryOf(name), (memory) => {
    const heard: Array<SharedMemory.ZeroCopyEvent> = []
    memory.listeners.add((event) => heard.push(event))
    return heard
  })

/** Whether a call ended because its worker was killed. */
const isCrash = (error: unknown) => Predicate.isTagged(error, "WorkerCrash") || Predicate.isTagged(error, "PoisonCall")

/** The command that starts another with a `/dev/shm` of its own. */
const withShm = (mebibytes: number): ReadonlyArray<string> => {
  const mounted = `mount -t tmpfs -o size=${mebibytes}m tmpfs /dev/shm && exec "$@"`
  return ["unshare", "--mount", "--map-root-user", "sh", "-c", mounted, "sh"]
}

/** Whether this user may have one. */
const canMount = (() => {
  const [program = "", ...args] = [...withShm(64), "true"]
  try {
    execFileSync(program, args, { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()

const Seen = Schema.Struct({
  folders: Schema.Union([Schema.String, Schema.Array(Schema.String)]),
  sums: Schema.Array(Schema.Number),
  copied: Schema.Array(Schema.Boolean),
  correct: Schema.Boolean,
  fallbacks: Schema.Array(Schema.Struct({ bytes: Schema.Int, cause: Schema.String })),
  warnings: Schema.Array(Schema.String),
  strict: Schema.Struct({ make: Schema.String, argument: Schema.String, result: Schema.String })
})

/** What the program says, when it is started by a command and with options of Node. */
const outputOf = (host: string, command: ReadonlyArray<string>, ...options: ReadonlyArray<string>) => {
  const file = path.join(workersFolder, host)
  const [program = "", ...args] = [...command, process.execPath, ...options, "--conditions=snakepit-source", file]
  return execFileSync(program, args, { encoding: "utf8" })
}

/** What a program of its own sees of shared memory. */
const runHost = (command: ReadonlyArray<string>, ...options: ReadonlyArray<string>) =>
  Schema.decodeUnknownSync(Schema.fromJsonString(Seen))(outputOf("sharing_host.ts", command, ...options))

/** What the instances find that start after one that was killed. */
const Found = Schema.Struct({
  left: Schema.Array(Schema.String),
  directories: Schema.Array(Schema.String),
  withoutSharing: Schema.Array(Schema.String),
  withSharing: Schema.Struct({ found: Schema.Array(Schema.String), folders: Schema.Array(Schema.String) })
})

describe("SharedMemory", () => {
  layer(pool(), { excludeTestServices: true })("what Python sees", (shared) => {
    shared.effect("a large typed array is an ndarray over shared memory, read-only", () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* look(ramp(10_000)), {
          dtype: "<f8",
          shape: [10_000],
          strides: [8],
          writable: false,
          shared: true
        })
        assert.strictEqual(yield* total(ramp(10_000)), (9_999 * 10_000) / 2)
        yield* waitForHeld(0)
      })
    )

    shared.effect("a small one is inside the message, and Python's own", () =>
      Effect.gen(function* () {
        assert.deepInclude(yield* look(ramp(10)), { writable: true, shared: false })
      })
    )

    shared.effect("a tensor that is in shared memory already is the same bytes", () =>
      Effect.gen(function* () {
        const tensor = yield* Tensor.make(Float32Array, [4, 5])
        assert.isFalse(tensor.copied)
        assert.isTrue(tensor.readonly)
        tensor.data.set([1, 2, 3])
        assert.strictEqual(yield* total(tensor), 6)
        tensor.data[0] = 10
        assert.strictEqual(yield* total(tensor), 15)
        assert.deepInclude(yield* look(tensor), { dtype: "<f4", shape: [4, 5], writable: false, shared: true })
        const refused = yield* Effect.flip(Snakepit.call("sharing.fill", { args: [tensor, 7] }))
        assert.strictEqual(refused._tag, "ValueError")
        assert.include(refused.message, "read-only")
      }).pipe(Effect.scoped)
    )

    shared.effect("one that is handed over writable can be written to, and TypeScript sees it", () =>
      Effect.gen(function* () {
        const tensor = yield* Tensor.make(Float64Array, [3], { writable: true })
        assert.isFalse(tensor.readonly)
        yield* Snakepit.call("sharing.fill", { args: [tensor, 7] })
        assert.deepStrictEqual(tensor.data, new Float64Array([7, 7, 7]))
      }).pipe(Effect.scoped)
    )

    shared.effect("parts of a tensor are parts of the same bytes, backwards and transposed too", () =>
      Effect.gen(function* () {
        const tensor = yield* Tensor.from(ramp(12), [3, 4])
        const parts: ReadonlyArray<readonly [Tensor, ReadonlyArray<number>]> = [
          [tensor.slice(1), [8]],
          [tensor.slice(null, [0, 4, 2]), [32, 16]],
          [tensor.slice(null, [null, null, -1]), [32, -8]],
          [tensor.slice(-1, [1, 3]), [8]],
          [tensor.transpose(), [8, 32]],
          [tensor.reshape([2, 6]), [48, 8]]
        ]
        for (const [part, strides] of parts) {
          assert.deepStrictEqual(yield* Snakepit.call("sharing.nested", { args: [part] }), part.toNested())
          assert.deepInclude(yield* look(part), { strides, shared: true, shape: part.shape })
        }
      }).pipe(Effect.scoped)
    )

    shared.effect("every crossing is told, and its bytes are counted", () =>
      Effect.gen(function* () {
        const counted = Effect.map(Metric.snapshot, (snapshot) => {
          const found = new Map<string, unknown>()
          for (const { attributes, id, state } of snapshot) {
            if (id !== "snakepit.zero_copy.bytes" || attributes?.["pool"] !== "default") continue
            found.set(
              `${attributes["direction"]} ${attributes["copied"]}`,
              "count" in state ? Number(state.count) : state
            )
          }
          return (key: string) => Number(found.get(key) ?? 0)
        })
        const tensor = yield* Tensor.from(ramp(20_000))
        const heard = yield* events()
        const before = yield* counted
        yield* total(tensor)
        yield* total(ramp(30_000))
        yield* ones(40_000)
        yield* ZeroCopy.scoped(ones(50_000))
        const crossings = heard.filter(({ name }) => name === "zero_copy.export" || name === "zero_copy.import")
        assert.deepStrictEqual(crossings, [
          { name: "zero_copy.export", pool: "default", bytes: 160_000, copied: false },
          { name: "zero_copy.export", pool: "default", bytes: 240_000, copied: true },
          { name: "zero_copy.import", pool: "default", bytes: 320_000, copied: true },
          { name: "zero_copy.import", pool: "default", bytes: 400_000, copied: false }
        ])
        const after = yield* counted
        for (const [key, bytes] of [
          ["export false", 160_000],
          ["export true", 240_000],
          ["import true", 320_000],
          ["import false", 400_000]
        ] as const) {
          assert.strictEqual(after(key) - before(key), bytes, key)
        }
        yield* waitUntil("the memory of the argument is free again", () =>
          heard.some((event) => event.name === "memory.release" && event.bytes >= 240_000)
        )
        assert.isTrue(heard.some((event) => event.name === "memory.allocate" && event.bytes >= 240_000))
      }).pipe(Effect.scoped)
    )

    shared.effect("no resource tracker of Python's watches over segments, and removes them", () =>
      Effect.gen(function* () {
        const target = "sharing.tracked"
        const seen = yield* Snakepit.call(target, { args: [ramp(20_000)], success: Schema.Array(Schema.Boolean) })
        // it has seen the bytes, and nothing has started a tracker
        assert.deepStrictEqual(seen, [true, false])
        const arena = yield* arenaOf()
        // a program that has one, for memory of its own, and ends with it
        yield* Snakepit.call("sharing.with_tracker")
        assert.isTrue(
          arena.folders.some((folder) => fs.readdirSync(folder).some((file) => file.startsWith("segment-")))
        )
        assert.strictEqual(yield* total(ramp(20_000)), (19_999 * 20_000) / 2)
      })
    )

    shared.effect("an array that a result is a part of is not copied either", () =>
      Effect.gen(function* () {
        const tensor = yield* Tensor.from(ramp(20_000))
        const same = yield* ZeroCopy.scoped(Snakepit.call("sharing.echo", { args: [tensor], success: floats }))
        tensor.data[0] = 42
        assert.strictEqual(same.data[0], 42)
      }).pipe(Effect.scoped)
    )
  })

  layer(pool(), { excludeTestServices: true })("results", (shared) => {
    shared.effect("belong to the caller, unless a scope is there for them", () =>
      Effect.gen(function* () {
        const owned = yield* ones(20_000)
        assert.isTrue(owned.copied)
        assert.strictEqual(owned.data[19_999], 1)
      })
    )

    shared.effect("stay in shared memory inside ZeroCopy.scoped, and cannot be used after it", () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const tensor = yield* Scope.provide(ZeroCopy.scoped(ones(20_000)), scope)
        const { data } = tensor
        assert.isFalse(tensor.copied)
        assert.strictEqual(data[19_999], 1)
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual(data.length, 0)
        assert.isFalse(tensor.isOpen)
        assert.throws(() => tensor.data, ZeroCopyError.LeaseClosed)
        assert.throws(() => tensor.bytes, ZeroCopyError.LeaseClosed)
        assert.throws(() => tensor.toNested(), "its lease has ended")
        assert.throws(() => tensor.close(), "closed already")
        const error = yield* Effect.flip(total(tensor))
        if (error._tag !== "EncodeError") return assert.fail(error.message)
        assert.strictEqual(error.path, "args[0]")
        assert.include(error.message, "an instance of Tensor that is closed")
        assert.include(error.message, "its lease has ended")
      })
    )

    shared.effect("can be closed one by one, and their memory is used again", () =>
      Effect.gen(function* () {
        const arena = yield* arenaOf()
        yield* ZeroCopy.scoped(
          Effect.gen(function* () {
            for (let i = 0; i < 300; i++) {
              const tensor = yield* ones(1_000_000)
              assert.strictEqual(tensor.data[999_999], 1)
              tensor.close()
            }
          })
        )
        assert.isAtMost(arena.sharedBytes, 256 * MIB)
      }).pipe(Effect.scoped)
    )

    shared.effect("are written in place where Python makes them so, and are read-only once handed over", () =>
      Effect.gen(function* () {
        const placed = yield* ZeroCopy.scoped(Snakepit.call("sharing.in_place", { args: [50_000, 3], success: floats }))
        assert.isFalse(placed.copied)
        assert.isTrue(placed.data.every((x) => x === 3))
        const handed = yield* ZeroCopy.scoped(Snakepit.call("sharing.hand_over", { args: [50_000], success: floats }))
        const error = yield* Effect.flip(Snakepit.call("sharing.write_after"))
        assert.strictEqual(error._tag, "ValueError")
        assert.include(error.message, "read-only")
        assert.strictEqual(handed.data[0], 1)
      }).pipe(Effect.scoped)
    )

    shared.effect("of streams are shared, item by item", () =>
      Effect.gen(function* () {
        const sums: Array<number> = []
        yield* Snakepit.stream("sharing.numbered", { args: [40], success: floats }).pipe(
          ZeroCopy.scopedStream,
          Stream.runForEach((tensor) =>
            Effect.sync(() => {
              assert.isFalse(tensor.copied)
              sums.push(tensor.data.reduce((a, b) => a + b))
              tensor.close()
            })
          )
        )
        assert.deepStrictEqual(
          sums,
          Array.from({ length: 40 }, (_, i) => i * 20_000)
        )
      })
    )

    shared.effect("and arguments of callbacks are shared", () =>
      Effect.gen(function* () {
        const heard = (tensor: Tensor) => [tensor.copied, tensor.data.length]
        const call = Snakepit.call("sharing.call_with", { args: [heard, 20_000] })
        assert.deepStrictEqual(yield* call, [true, 20_000])
        assert.deepStrictEqual(yield* ZeroCopy.scoped(call), [false, 20_000])
        const answer = () => ramp(20_000)
        const sum = yield* Snakepit.call("sharing.total_of_answer", { args: [answer] })
        assert.strictEqual(sum, (19_999 * 20_000) / 2)
      }).pipe(Effect.scoped)
    )
  })

  describe("lifetimes", () => {
    it.live("an array that Python keeps is not overwritten before Python lets go of it", () =>
      withPool()(
        Effect.gen(function* () {
          const arena = yield* arenaOf()
          yield* Snakepit.call("sharing.keep", { args: [new Float64Array(20_000).fill(2)] })
          for (let i = 0; i < 5; i++) yield* total(new Float64Array(20_000).fill(9))
          assert.deepStrictEqual(yield* Snakepit.call("sharing.kept_total"), [40_000])
          assert.isAtLeast(arena.heldBytes, 160_000)
          yield* Snakepit.call("sharing.drop")
          yield* waitForHeld(0)
        })
      )
    )

    it.live("a tensor that is closed while a call looks at it stays until the call has ended", () =>
      withPool()(
        Effect.gen(function* () {
          const arena = yield* arenaOf()
          const running = yield* Deferred.make<void>()
          const goOn = yield* Deferred.make<void>()
          const scope = yield* Scope.make()
          const tensor = yield* Scope.provide(Tensor.from(ramp(20_000)), scope)
          const wait = () => Effect.andThen(Deferred.succeed(running, undefined), Deferred.await(goOn))
          const fiber = yield* Effect.forkChild(Snakepit.call("sharing.wait_for", { args: [wait, tensor] }))
          yield* Deferred.await(running)
          yield* Scope.close(scope, Exit.void)
          assert.throws(() => tensor.data, ZeroCopyError.LeaseClosed)
          assert.isAtLeast(arena.heldBytes, 160_000)
          yield* Deferred.succeed(goOn, undefined)
          assert.strictEqual(yield* Fiber.join(fiber), (19_999 * 20_000) / 2)
          yield* waitForHeld(0)
        })
      )
    )

    it.live("a result that is closed while another call looks at it is not overwritten", () =>
      withPool({ profile: "thread", threads: 2 })(
        Effect.gen(function* () {
          const running = yield* Deferred.make<void>()
          const goOn = yield* Deferred.make<void>()
          const tensor = yield* ZeroCopy.scoped(ones(20_000))
          const wait = () => Effect.andThen(Deferred.succeed(running, undefined), Deferred.await(goOn))
          const fiber = yield* Effect.forkChild(Snakepit.call("sharing.wait_for", { args: [wait, tensor] }))
          yield* Deferred.await(running)
          tensor.close()
          for (let i = 0; i < 50; i++) yield* Snakepit.call("sharing.in_place", { args: [20_000, 9] })
          yield* Deferred.succeed(goOn, undefined)
          assert.strictEqual(yield* Fiber.join(fiber), 20_000)
        }).pipe(Effect.scoped)
      )
    )

    it.live("what a crashed worker held is used again, and what it answered stays readable", () =>
      withPool()(
        Effect.gen(function* () {
          const arena = yield* arenaOf()
          const scope = yield* Scope.make()
          yield* Snakepit.call("sharing.keep", { args: [ramp(20_000)] })
          const tensor = yield* Scope.provide(ZeroCopy.scoped(ones(20_000)), scope)
          yield* kill(yield* workerPid, "SIGKILL")
          yield* waitForWorkers(1)
          yield* waitUntil(
            "the pool answers again",
            Effect.map(Effect.option(total(ramp(4))), (sum) => sum._tag === "Some")
          )
          assert.strictEqual(tensor.data[19_999], 1)
          yield* Scope.close(scope, Exit.void)
          yield* waitUntil("nothing is held", () => arena.heldBytes === 0)
        })
      )
    )

    it.live("nothing is left of a call that was interrupted", () =>
      withPool()(
        Effect.gen(function* () {
          // numpy is there from here on: an import that is interrupted leaves half a module
          yield* ones(10)
          yield* Effect.scoped(
            ZeroCopy.scoped(Effect.timeoutOption(Effect.all(Array.from({ length: 20 }, () => ones(500_000))), 15))
          )
          yield* ones(10)
          const arena = yield* arenaOf()
          yield* waitUntil("only what the worker was granted is held", () => arena.heldBytes <= 64 * MIB)
          yield* Effect.promise(() => arena.relieve())
          yield* waitForHeld(0)
        })
      )
    )

    it.live.each(["result", "item of a stream", "argument of a callback", "adapted value"])(
      "nothing is left of a message that does not decode: %s",
      (where) => {
        const ask: Effect.Effect<unknown, SnakepitError.SnakepitError, Snakepit.Snakepit> =
          {
            result: Snakepit.call("sharing.undecodable", { args: [50_000] }),
            "item of a stream": Stream.runDrain(Snakepit.stream("sharing.undecodable_items", { args: [50_000] })),
            "argument of a callback": Snakepit.call("sharing.call_with_undecodable", { args: [() => 1, 50_000] }),
            "adapted value": Snakepit.call("sharing.adapted", { args: [50_000] })
          }[where] ?? assert.fail(where)
        const refusing: ValueAdapter = {
          name: "sharing/adapted",
          is: (value): value is symbol => typeof value === "symbol",
          encode: () => assert.fail("nothing of the kind is sent"),
          decode: () => {
            throw new Error("it is refused")
          }
        }
        return withPool()(
          Effect.gen(function* () {
            const arena = yield* arenaOf()
            for (const inside of [ask, Effect.scoped(ZeroCopy.scoped(ask))]) {
              const error = yield* Effect.flip(inside)
              assert.include(error.message, "does not decode")
              yield* waitUntil(
                "nothing is held",
                Effect.map(
                  Effect.promise(() => arena.relieve()),
                  () => arena.heldBytes === 0
                )
              )
            }
          })
        ).pipe(Effect.provide(ValueAdapter.layer(refusing)))
      }
    )

    it.live(
      "of hundreds of leases, while workers are killed, no segment, descriptor or mapping is left",
      () =>
        withPool({ size: 2, maxRestarts: 1_000, zeroCopy: { thresholdBytes: 64 } })(
          Effect.gen(function* () {
            const arena = yield* arenaOf()
            const mappings = () =>
              fs
                .readFileSync("/proc/self/maps", "latin1")
                .split("\n")
                .filter((line) => arena.folders.some((folder) => line.includes(folder)))
            yield* total(ramp(4))
            const before = descriptors().length
            const one = (i: number) => {
              const count = 8 + ((i * 7919) % 100_000)
              if (i % 3 === 0) return ZeroCopy.scoped(ones(count))
              if (i % 3 === 1) return Effect.flatMap(Tensor.from(new Float64Array(count)), total)
              return Snakepit.call("sharing.keep", { args: [new Float64Array(count)] })
            }
            let most = 0
            yield* Effect.forEach(
              Array.from({ length: 400 }, (_, i) => i),
              (i) =>
                Effect.gen(function* () {
                  // one may have ended by itself just now
                  if (i % 100 === 50) for (const pid of yield* pidsOf()) yield* Effect.exit(kill(pid, "SIGKILL"))
                  yield* Effect.scoped(Effect.exit(one(i)))
                  most = Math.max(most, mappings().length)
                }),
              { concurrency: 8, discard: true }
            )
            assert.isAbove(most, 0)
            yield* waitForWorkers(2)
            // with it goes what it keeps
            for (const pid of yield* pidsOf()) yield* kill(pid, "SIGKILL")
            yield* waitForHeld(0)
            yield* waitUntil("no segment is left", () => arena.sharedBytes === 0, 20_000)
            assert.deepStrictEqual(mappings(), [])
            yield* waitForWorkers(2)
            yield* waitUntil("the descriptors are as before", () => descriptors().length <= before)
          })
        ),
      60_000
    )

    it.live("no file is left when the scope closes, and results in other scopes end with it", () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const services = yield* Layer.buildWithScope(pool(), scope)
        const arena = yield* Effect.provide(arenaOf(), services)
        yield* Effect.provide(total(ramp(20_000)), services)
        const files = () => arena.folders.flatMap((folder) => (fs.existsSync(folder) ? fs.readdirSync(folder) : []))
        assert.isTrue(files().some((file) => file.startsWith("segment-")))
        assert.isTrue(arena.folders.some((folder) => path.dirname(folder) === "/dev/shm"))
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(files(), [])
        assert.isFalse(arena.folders.some((folder) => fs.existsSync(folder)))
      })
    )
  })

  describe("the budget", () => {
    const small = { zeroCopy: { maxSharedMemory: 32 * MIB } } as const

    it.live("fails with its figures what does not fit into it", () =>
      withPool(small)(
        Effect.gen(function* () {
          yield* Tensor.make(Uint8Array, [20 * MIB])
          const error = yield* Effect.flip(Tensor.make(Uint8Array, [20 * MIB]))
          assert.strictEqual(error._tag, "SharedMemoryExhausted")
          assert.include(error.message, "20 MiB of shared memory are wanted, 20 MiB are in use")
          assert.include(error.message, "maxSharedMemory is 32 MiB")
        })
      )
    )

    it.live("lets callers wait, when told so, until enough is given back", () =>
      withPool({ zeroCopy: { maxSharedMemory: 32 * MIB, whenFull: "wait" } })(
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          yield* Scope.provide(Tensor.make(Uint8Array, [20 * MIB]), scope)
          const fiber = yield* Effect.forkChild(Effect.scoped(Tensor.make(Uint8Array, [20 * MIB])), {
            startImmediately: true
          })
          const arena = yield* arenaOf()
          yield* Effect.promise(() => arena.relieve())
          assert.isUndefined(fiber.pollUnsafe())
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual((yield* Fiber.join(fiber)).size, 20 * MIB)
        })
      )
    )

    const waiting = { zeroCopy: { maxSharedMemory: 16 * MIB, whenFull: "wait" } } as const

    it.live("gives callers that wait what workers were granted, once its results are closed", () =>
      withPool(waiting)(
        Effect.gen(function* () {
          const result = yield* ZeroCopy.scoped(ones(MIB))
          assert.isFalse(result.copied)
          const fiber = yield* Effect.forkChild(Tensor.make(Uint8Array, [12 * MIB]), { startImmediately: true })
          const arena = yield* arenaOf()
          yield* Effect.promise(() => arena.relieve())
          assert.isUndefined(fiber.pollUnsafe())
          result.close()
          assert.strictEqual((yield* Fiber.join(fiber).pipe(Effect.timeout(5_000))).size, 12 * MIB)
        })
      )
    )

    it.live("gives callers what a small result leaves of the room that it is in", () =>
      withPool(waiting)(
        Effect.gen(function* () {
          const result = yield* ZeroCopy.scoped(ones(5_000))
          assert.isFalse(result.copied)
          const tensor = yield* Tensor.make(Uint8Array, [12 * MIB]).pipe(Effect.timeout(5_000))
          assert.isFalse(tensor.copied)
          assert.isTrue(result.data.every((x) => x === 1))
        })
      )
    )

    it.live("finds the room of a result that was closed just before, also where callers do not wait", () =>
      withPool({ zeroCopy: { maxSharedMemory: 16 * MIB } })(
        Effect.gen(function* () {
          for (let i = 0; i < 50; i++) {
            const result = yield* ZeroCopy.scoped(ones(20_000))
            assert.isFalse(result.copied)
            result.close()
            yield* Effect.scoped(Tensor.make(Uint8Array, [16 * MIB]))
          }
        })
      )
    )

    it.live("lets calls copy while somebody waits, and share again afterwards", () =>
      withPool(waiting)(
        Effect.gen(function* () {
          const held = yield* Tensor.make(Uint8Array, [8 * MIB])
          const fiber = yield* Effect.forkChild(Tensor.make(Uint8Array, [12 * MIB]), { startImmediately: true })
          assert.isUndefined(fiber.pollUnsafe())
          assert.deepInclude(yield* look(ramp(10_000)), { shared: false })
          assert.isTrue((yield* ZeroCopy.scoped(ones(10_000))).copied)
          held.close()
          yield* Fiber.join(fiber).pipe(Effect.timeout(5_000))
          assert.deepInclude(yield* look(ramp(10_000)), { shared: true })
        })
      )
    )

    it.live("leaves nobody waiting and nothing held, whatever is interrupted, closed and killed", () =>
      withPool({ ...waiting, size: 2 })(
        Effect.gen(function* () {
          const arena = yield* arenaOf()
          const random = new Random(7)
          const size = () => Math.ceil(random.next() ** 3 * 16 * MIB)
          let made = 0
          const work = Effect.gen(function* () {
            const tensor = yield* Tensor.make(Uint8Array, [size()])
            made++
            yield* Snakepit.call("sharing.total", { args: [tensor] })
            if (random.next() < 0.5) tensor.close()
          })
          const result = Effect.gen(function* () {
            const tensor = yield* ZeroCopy.scoped(ones(Math.ceil(size() / 8)))
            yield* Effect.yieldNow
            assert.strictEqual(tensor.data[0], 1)
            if (random.next() < 0.5) tensor.close()
          })
          const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
          for (let i = 0; i < 150; i++) {
            fibers.push(yield* Effect.forkChild(Effect.scoped(random.next() < 0.6 ? work : result)))
            if (i % 50 === 49) for (const pid of yield* pidsOf()) yield* Effect.exit(kill(pid, "SIGKILL"))
            if (random.next() < 0.3) fibers[Math.floor(random.between(0, fibers.length))]?.interruptUnsafe()
            if (random.next() < 0.3) yield* Effect.promise(() => arena.relieve())
          }
          const ends = yield* Fiber.awaitAll(fibers).pipe(Effect.timeout(40_000))
          for (const end of ends) {
            const error = Exit.isFailure(end) ? Cause.squash(end.cause) : undefined
            assert.isTrue(
              Exit.isSuccess(end) || Cause.hasInterruptsOnly(end.cause) || isCrash(error),
              `it ended with ${String(error)}`
            )
          }
          assert.isAtLeast(made, 30)
          yield* Effect.scoped(Tensor.make(Uint8Array, [16 * MIB])).pipe(Effect.timeout(5_000))
          assert.strictEqual(arena.heldBytes, 0)
        })
      )
    )

    it.live("gets back what workers were granted and do not use", () =>
      withPool({ zeroCopy: { maxSharedMemory: 48 * MIB } })(
        Effect.gen(function* () {
          yield* ones(3_000_000)
          const tensor = yield* Tensor.make(Uint8Array, [30 * MIB])
          assert.isFalse(tensor.copied)
        })
      )
    )

    it.live("gives arguments what workers no longer use, from the next call on", () =>
      withPool({ zeroCopy: { maxSharedMemory: 48 * MIB } })(
        Effect.gen(function* () {
          yield* ones(3_000_000)
          const array = new Float64Array(3_500_000)
          const memory = yield* memoryOf()
          let fallbacks = 0
          memory.listeners.add(({ name }) => void (name === "zero_copy.fallback" && fallbacks++))
          yield* total(array)
          assert.strictEqual(fallbacks, 1)
          yield* waitUntil(
            "an argument finds room",
            Effect.map(total(array), () => fallbacks === 0 || (fallbacks = 0) > 0)
          )
        })
      )
    )

    it.live("says nothing of a fallback when a worker is granted less than it would like", () =>
      withPool(small)(
        Effect.gen(function* () {
          yield* Tensor.make(Uint8Array, [15 * MIB])
          yield* Tensor.make(Uint8Array, [10 * MIB])
          const heard = yield* events()
          const result = yield* ZeroCopy.scoped(ones(MIB / 4))
          assert.isFalse(result.copied)
          assert.isFalse(heard.some(({ name }) => name === "zero_copy.fallback"))
        })
      )
    )

    it.live("copies arguments and results past it inside the message, says so once, and tells each time", () => {
      const warnings: Array<unknown> = []
      const logger = Logger.layer([
        Logger.make(({ logLevel, message }) => {
          if (logLevel === "Warn") warnings.push(message)
        })
      ])
      return withPool(
        small,
        logger
      )(
        Effect.gen(function* () {
          const heard = yield* events()
          yield* Tensor.make(Uint8Array, [31 * MIB])
          assert.strictEqual(yield* total(new Float64Array(MIB).fill(1)), MIB)
          assert.strictEqual(yield* total(new Float64Array(MIB).fill(2)), 2 * MIB)
          const result = yield* ones(MIB)
          assert.isTrue(result.copied)
          assert.isTrue(result.data.every((x) => x === 1))
          const fallbacks = heard.filter(({ name }) => name === "zero_copy.fallback")
          assert.isAtLeast(fallbacks.length, 3)
          const said = warnings.filter((warning) => String(warning).includes("zero_copy_unavailable"))
          assert.lengthOf(said, 1)
        })
      )
    })

    it.live("fails arguments and results past it when strict", () =>
      withPool({ zeroCopy: { maxSharedMemory: 32 * MIB, strict: true } })(
        Effect.gen(function* () {
          const heard = yield* events()
          yield* Tensor.make(Uint8Array, [31 * MIB])
          const argument = yield* Effect.flip(total(new Float64Array(MIB)))
          assert.strictEqual(argument._tag, "EncodeError")
          assert.include(argument.message, "zero_copy_unavailable")
          const result = yield* Effect.flip(ones(MIB))
          assert.strictEqual(result._tag, "UnserializableResult")
          assert.include(result.message, "zero_copy_unavailable")
          assert.isFalse(heard.some(({ name }) => name === "zero_copy.fallback"))
        })
      )
    )
  })

  describe("elsewhere", () => {
    it.live("a tensor of another pool is copied and said so, or refused when strict", () =>
      withPools({ default: {}, other: {}, strict: { zeroCopy: { strict: true } } })(
        Effect.gen(function* () {
          const heard = yield* events("other")
          const tensor = yield* Tensor.from(ramp(20_000))
          const sum = (name: string) => Snakepit.call("sharing.total", { args: [tensor], pool: name })
          assert.strictEqual(yield* sum("other"), (19_999 * 20_000) / 2)
          assert.deepInclude(
            heard.find(({ name }) => name === "zero_copy.fallback"),
            { cause: "other-pool", bytes: 160_000 }
          )
          const error = yield* Effect.flip(sum("strict"))
          assert.strictEqual(error._tag, "EncodeError")
          assert.include(error.message, "another pool")
          const unknown = yield* Effect.flip(Tensor.make(Uint8Array, [1], { pool: "nowhere" }))
          assert.include(unknown.message, "there is no such pool")
        })
      )
    )

    it.live("without it everything is inside the messages", () =>
      withPool({ zeroCopy: { enabled: false } })(
        Effect.gen(function* () {
          const tensor = yield* Tensor.from(ramp(20_000))
          assert.isTrue(tensor.copied)
          assert.strictEqual(yield* total(tensor), (19_999 * 20_000) / 2)
          const result = yield* ZeroCopy.scoped(ones(20_000))
          assert.isTrue(result.copied)
          assert.deepInclude(yield* look(tensor), { writable: true, shared: false })
        })
      )
    )

    it("without koffi everything is copied, which is warned of once and told each time; strict fails", () => {
      const seen = runHost([], "--import", path.join(workersFolder, "without_koffi.mjs"))
      assert.include(String(seen.folders), "koffi cannot be loaded")
      assert.deepStrictEqual([seen.sums, seen.copied, seen.correct], [[40_000, 60_000], [true, true, true], true])
      assert.lengthOf(seen.warnings, 1)
      assert.match(
        seen.warnings[0] ?? "",
        /^zero_copy_unavailable: values of pool "default" are copied: koffi cannot be/
      )
      // the tensor, both arguments, both results
      assert.lengthOf(seen.fallbacks, 5)
      assert.deepStrictEqual(
        new Set(seen.fallbacks.map(({ bytes, cause }) => `${cause} ${bytes}`)),
        new Set(["system 160000"])
      )
      assert.deepStrictEqual(seen.strict, {
        make: "ZeroCopyUnavailable",
        argument: "EncodeError",
        result: "UnserializableResult"
      })
    })

    // what Docker gives a container
    it.runIf(canMount)(
      "where /dev/shm has 64 MiB, that is said at the start with the remedy, and files serve instead",
      () => {
        const seen = runHost(withShm(64))
        assert.isTrue(seen.folders.length > 0 && [...seen.folders].every((folder) => !folder.startsWith("/dev/shm")))
        assert.include(seen.warnings[0] ?? "", "/dev/shm has 64 MiB free, and maxSharedMemory is 4096 MiB")
        assert.include(seen.warnings[0] ?? "", "docker run --shm-size")
        assert.deepStrictEqual([seen.sums, seen.copied, seen.correct], [[40_000, 60_000], [false, false, false], true])
        assert.deepStrictEqual(seen.fallbacks, [])
      }
    )

    it.runIf(canMount)(
      "what an instance that was killed has left of /dev/shm is reported, and swept before the next looks for room",
      { timeout: 60_000 },
      () => {
        const { directories, left, withSharing, withoutSharing } = Schema.decodeUnknownSync(
          Schema.fromJsonString(Found)
        )(outputOf("next_host.ts", withShm(400)))
        assert.lengthOf(left, 1)
        assert.include(directories, `/dev/shm/${left[0]}`)
        assert.deepStrictEqual(withoutSharing, [])
        const [first = ""] = withSharing.folders
        assert.deepStrictEqual(withSharing.found, [path.basename(first)])
        assert.strictEqual(path.dirname(first), "/dev/shm")
      }
    )

    it.live("workers of the thread profile share it too, and calls run beside each other", () =>
      withPool({ profile: "thread", threads: 4 })(
        Effect.gen(function* () {
          const sums = yield* Effect.all(
            Array.from({ length: 40 }, (_, i) => total(new Float64Array(20_000).fill(i))),
            { concurrency: 8 }
          )
          assert.deepStrictEqual(
            sums,
            Array.from({ length: 40 }, (_, i) => i * 20_000)
          )
          yield* waitForHeld(0)
        })
      )
    )
  })

  layer(pool({ zeroCopy: { thresholdBytes: 1 } }), { excludeTestServices: true })(
    "every dtype, shape and layout arrives bit for bit",
    (shared) => {
      const dtypes = [
        "|b1",
        "|i1",
        "|u1",
        "<i2",
        ">i2",
        "<u2",
        "<i4",
        ">i4",
        "<u4",
        "<i8",
        ">i8",
        "<u8",
        ">u8",
        "<f2",
        ">f2",
        "bfloat16",
        "<f4",
        "<f8",
        ">f8",
        "<c8",
        ">c8",
        "<c16",
        ">c16",
        "<M8[ns]",
        ">M8[us]",
        "<m8[s]",
        "<U3",
        "|S5",
        "|V7"
      ]
      const shapes = [[], [0], [1], [3], [2, 3], [4, 0, 2], [2, 3, 4], [1, 5, 1], [5000, 3], [70_000], [2 ** 40, 0]]
      const layouts = ["plain", "transposed", "reversed", "stepped", "broadcast"]
      const pair = Schema.Tuple([Schema.declare(Tensor.isTensor), Schema.Uint8Array])

      shared.effect.each(dtypes)("%s", (dtype) =>
        Effect.gen(function* () {
          for (const shape of shapes) {
            for (const layout of layouts) {
              const what = `${dtype} ${shape.join("x")} ${layout}`
              const make = Snakepit.call("sharing.made", { args: [dtype, shape, layout, 7], success: pair })
              const [owned, bytes] = yield* make
              assert.strictEqual(owned.dtype, dtype, what)
              assert.deepStrictEqual(owned.shape, shape, what)
              assert.strictEqual(Buffer.compare(owned.bytes, bytes), 0, what)
              yield* Effect.scoped(
                Effect.gen(function* () {
                  const [leased] = yield* ZeroCopy.scoped(make)
                  assert.strictEqual(leased.copied, bytes.length === 0, what)
                  assert.strictEqual(Buffer.compare(leased.bytes, bytes), 0, what)
                  // and back: from shared memory, from ordinary memory, and from strides over it
                  const turned = leased.transpose()
                  const back = (tensor: Tensor) =>
                    Snakepit.call("sharing.bytes_of", { args: [tensor], success: Schema.Uint8Array })
                  assert.strictEqual(Buffer.compare(yield* back(leased), bytes), 0, what)
                  assert.strictEqual(Buffer.compare(yield* back(owned), bytes), 0, what)
                  assert.strictEqual(Buffer.compare(yield* back(turned), turned.bytes), 0, what)
                  assert.strictEqual(Buffer.compare(yield* back(owned.transpose()), turned.bytes), 0, what)
                })
              )
            }
          }
        })
      )
    }
  )
})
