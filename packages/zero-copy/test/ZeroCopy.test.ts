import { assert, describe, it } from "@effect/vitest"
import * as Arrow from "apache-arrow"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { SharedMemory, Table, Tensor, ZeroCopy, ZeroCopyError } from "../src/index.ts"

/** Runs a program over shared memory of its own. */
const withMemory =
  (options: SharedMemory.ZeroCopyOptions = {}) =>
  <A, E>(program: Effect.Effect<A, E, SharedMemory.SharedMemory | Scope.Scope>) =>
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "snakepit-zero-copy-"))),
        (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
      )
      return yield* Effect.scoped(Effect.provide(program, yield* Layer.build(SharedMemory.layerTest(folder, options))))
    }).pipe(Effect.scoped)

const rows = (table: Table) => table.toArray().map(String)

const table = Arrow.tableFromArrays({ id: Int32Array.of(1, 2, 3), name: ["a", null, "c"] })

describe("ZeroCopy", () => {
  it.live("exports a tensor once, with its dtype, shape and items, whatever its strides", () =>
    Effect.gen(function* () {
      const tensor = Tensor.of(Int16Array.of(1, 2, 3, 4, 5, 6), [2, 3]).transpose()
      const exported = yield* ZeroCopy.export(tensor, { writable: true })
      assert.deepStrictEqual([exported.dtype, exported.shape, exported.toNested()], ["<i2", [3, 2], tensor.toNested()])
      assert.deepStrictEqual([exported.copied, exported.readonly], [false, false])
      assert.strictEqual(yield* ZeroCopy.export(exported), exported)
    }).pipe(withMemory())
  )

  it.live("exports again what is elsewhere than is asked for, or not to be written to as is asked for", () =>
    Effect.gen(function* () {
      const one = yield* ZeroCopy.export(Tensor.of(Int16Array.of(1, 2, 3)), { pool: "one" })
      const two = yield* ZeroCopy.export(one, { pool: "two" })
      const memory = yield* (yield* SharedMemory.SharedMemory).pool("two")
      assert.strictEqual(two.lease?.region.arena, memory.arena)
      const writable = yield* ZeroCopy.export(one, { pool: "one", writable: true })
      assert.deepStrictEqual([one.readonly, writable.readonly], [true, false])
      assert.isTrue((yield* ZeroCopy.export(writable, { writable: false })).readonly)
      assert.deepStrictEqual(
        [two.toNested(), writable.toNested()],
        [
          [1, 2, 3],
          [1, 2, 3]
        ]
      )
      for (const exported of [one, two, writable]) assert.strictEqual(yield* ZeroCopy.export(exported), exported)
      assert.strictEqual(yield* ZeroCopy.export(one, { pool: "one", writable: false }), one)
      const shared = yield* ZeroCopy.export(table, { pool: "one" })
      const other = yield* ZeroCopy.export(shared, { pool: "two" })
      assert.notStrictEqual(other, shared)
      assert.deepStrictEqual([Table.isShared(other), rows(other)], [true, rows(table)])
      assert.strictEqual(yield* ZeroCopy.export(shared, { pool: "one" }), shared)
    }).pipe(withMemory())
  )

  it.live("fails for what has been closed, and for Python objects, which have no bytes", () =>
    Effect.gen(function* () {
      const tensor = yield* ZeroCopy.export(Tensor.of(Float32Array.of(1)))
      const shared = yield* ZeroCopy.export(table)
      for (const closed of [tensor, shared]) yield* ZeroCopy.close(closed)
      for (const options of [{}, { pool: "two" }]) {
        assert.instanceOf(yield* Effect.flip(ZeroCopy.export(tensor, options)), ZeroCopyError.LeaseClosed)
        assert.instanceOf(yield* Effect.flip(ZeroCopy.export(shared, options)), ZeroCopyError.LeaseClosed)
      }
      const error = yield* Effect.flip(ZeroCopy.export(Tensor.fromNested([1, "a"], "|O")))
      assert.strictEqual(error._tag, "ZeroCopyUnavailable")
      assert.include(error.message, "Python objects (|O)")
    }).pipe(withMemory())
  )

  it.live("exports a table once, and its columns lie in shared memory", () =>
    Effect.gen(function* () {
      const exported = yield* ZeroCopy.export(table)
      assert.isTrue(Table.isShared(exported))
      assert.deepStrictEqual(rows(exported), rows(table))
      assert.strictEqual(yield* ZeroCopy.export(exported), exported)
      const empty = yield* ZeroCopy.export(table.slice(0, 0))
      assert.deepStrictEqual([Table.isShared(empty), empty.numRows, empty.numCols], [true, 0, 2])
    }).pipe(withMemory())
  )

  it.live("imports copies that no scope ends", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const tensor = yield* Scope.provide(ZeroCopy.export(Tensor.of(Float32Array.of(1, 2))), scope)
      const exported = yield* Scope.provide(ZeroCopy.export(table), scope)
      const kept = [yield* ZeroCopy.import(tensor), yield* ZeroCopy.import(exported)] as const
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([kept[0].toNested(), rows(kept[1])], [[1, 2], rows(table)])
      assert.deepStrictEqual([kept[0].copied, Table.isShared(kept[1])], [true, false])
      assert.instanceOf(yield* Effect.flip(ZeroCopy.import(tensor)), ZeroCopyError.LeaseClosed)
      assert.instanceOf(yield* Effect.flip(ZeroCopy.import(exported)), ZeroCopyError.LeaseClosed)
    }).pipe(withMemory())
  )

  it.live("closes a tensor, a table or a lease once", () =>
    Effect.gen(function* () {
      const memory = yield* (yield* SharedMemory.SharedMemory).pool()
      const lease = yield* memory.lease(10, false)
      for (const shared of [
        yield* ZeroCopy.export(Tensor.of(Float32Array.of(1))),
        yield* ZeroCopy.export(table),
        lease
      ]) {
        yield* ZeroCopy.close(shared)
        const error = yield* Effect.flip(ZeroCopy.close(shared))
        assert.include(error.message, "is closed already")
      }
      assert.strictEqual(typeof memory.arena === "string" ? -1 : memory.arena.heldBytes, 0)
      // what is in no shared memory has nothing to close
      yield* ZeroCopy.close(table)
      yield* ZeroCopy.close(Tensor.of(Float32Array.of(1)))
    }).pipe(withMemory())
  )

  it.live("answers the very value, or a tensor that is copied, where no memory is shared", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* ZeroCopy.export(table), table)
      assert.isTrue((yield* ZeroCopy.export(Tensor.of(Float32Array.of(1)))).copied)
    }).pipe(withMemory({ enabled: false }))
  )

  it.live("fails with strict where no memory is shared, and with its figures what exceeds the budget", () =>
    Effect.gen(function* () {
      const strict = withMemory({ enabled: false, strict: true })
      assert.strictEqual((yield* Effect.flip(strict(ZeroCopy.export(table))))._tag, "ZeroCopyUnavailable")
      const tensor = Tensor.of(Float32Array.of(1))
      assert.strictEqual((yield* Effect.flip(strict(ZeroCopy.export(tensor))))._tag, "ZeroCopyUnavailable")
      const small = withMemory({ maxSharedMemory: 0 })
      const error = yield* Effect.flip(small(ZeroCopy.export(table)))
      assert.strictEqual(error._tag, "SharedMemoryExhausted")
      assert.include(error.message, "maxSharedMemory is 0 MiB")
    })
  )
})
