/** Tensors through shared memory: what Python sees, who holds what for how long, and what happens where there is none. */
import { Snakepit } from "@snakepit/core"
import { Tensor, ZeroCopy, ZeroCopyError } from "@snakepit/zero-copy"
import { assert, describe, it, layer } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { pool, waitUntil, withPool, withPools, workersFolder } from "./harness.ts"
import { MIB, floats, arenaOf, look, total, ones, ramp, waitForHeld, events } from "./sharing.ts"

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

    shared.effect(
      "one that is writable stays so when Python answers it, and each look at it is of what it is then",
      () =>
        Effect.gen(function* () {
          const tensor = yield* Tensor.make(Float64Array, [100, 100], { writable: true })
          const turned = tensor.transpose()
          const refilled = Snakepit.stream("sharing.refill", { args: [tensor, [1, 2, 3]], success: floats })
          const looks = Stream.mapEffect(refilled, () => Effect.sync(() => turned.data[0]))
          assert.lengthOf(yield* Stream.runCollect(looks), 3)
          assert.deepStrictEqual([tensor.data[0], turned.data[0]], [3, 3])
          yield* waitForHeld(tensor.data.byteLength)
        }).pipe(Effect.scoped)
    )

    shared.effect("what is logged of one says what it is, and holds none of the memory", () =>
      Effect.gen(function* () {
        const tensor = yield* Tensor.make(Float64Array, [5, 2])
        assert.strictEqual(JSON.stringify(tensor), '{"_id":"Tensor","dtype":"<f8","shape":[5,2]}')
        assert.strictEqual(JSON.stringify(tensor.lease), '{"_id":"Lease","byteLength":80,"isOpen":true}')
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
          const writable = yield* Tensor.make(Float64Array, [20_000], { writable: true })
          const lost = yield* Effect.flip(Snakepit.call("sharing.fill", { args: [writable, 7], pool: "other" }))
          assert.strictEqual(lost._tag, "EncodeError")
          assert.include(lost.message, "what Python writes there would be lost")
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
