/** Tables between apache-arrow and pandas, polars and pyarrow, through a real worker: inside messages and shared. */
import { Snakepit } from "@snakepit/core"
import { SharedMemory, Table, ZeroCopy, ZeroCopyError } from "@snakepit/zero-copy"
import { assert, describe, it, layer } from "@effect/vitest"
import * as Arrow from "apache-arrow"
import * as BigDecimal from "effect/BigDecimal"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { makeRandom } from "../packages/python-worker/test/generate.ts"
import { pool, withPool } from "./harness.ts"
import { contents, randomTable } from "./tables.ts"

const Facts = Schema.Tuple([Schema.String, Schema.String])

const table = Arrow.tableFromArrays({ n: Int32Array.of(1, 2, 3), s: ["a", "b", "a"] })

const made = (kind: string) => Snakepit.call("tables_made.frame", { args: [kind], success: Table.schema() })

const echo = (value: unknown) => Snakepit.call("tables_made.echo", { args: [value], success: Table.schema() })

const columnOf = (value: Table, name: string): ReadonlyArray<unknown> => [...(value.getChild(name) ?? [])]

/** Every table in shared memory, however small. */
const sharing = { zeroCopy: { thresholdBytes: 0 } }

for (const [where, options] of [
  ["inside the message", { zeroCopy: { enabled: false } }],
  ["in shared memory", sharing]
] as const) {
  layer(pool(options), { excludeTestServices: true })(`Tables ${where}`, (shared) => {
    shared.effect("every type of Arrow goes there and back unchanged, in every form that a table can have", () =>
      Effect.gen(function* () {
        const names = yield* Snakepit.call("tables_made.names", { success: Schema.Array(Schema.Array(Schema.String)) })
        assert.isAbove(names.length, 200)
        for (const args of names) {
          const arrived = yield* Snakepit.call("tables_made.make", { args: [...args], success: Table.schema() })
          const difference = yield* Snakepit.call("tables_made.difference", { args: [...args, arrived] })
          assert.isNull(difference, args.join(", "))
        }
      })
    )

    shared.effect("random tables built in TypeScript come back the same", () =>
      Effect.gen(function* () {
        for (let seed = 0; seed < 150; seed++) {
          const sent = randomTable(makeRandom(seed))
          assert.deepStrictEqual(contents(yield* echo(sent)), contents(sent), `seed ${seed}`)
        }
      })
    )

    for (const kind of ["pandas", "pandas indexed", "polars", "pyarrow"]) {
      shared.effect(`a frame of ${kind} comes back as it was`, () =>
        Effect.gen(function* () {
          const arrived = yield* made(kind)
          const [library] = kind.split(" ")
          if (library !== "pandas" && library !== "polars" && library !== "pyarrow") return assert.fail(kind)
          const args = [kind, Table.as(arrived, library)]
          assert.isTrue(yield* Snakepit.call("tables_made.frame_is", { args, success: Schema.Boolean }))
        })
      )
    }
  })
}

layer(pool(), { excludeTestServices: true })("Tables", (shared) => {
  shared.effect("frames, series and batches of all libraries arrive as tables with their nulls", () =>
    Effect.gen(function* () {
      for (const kind of ["pandas", "polars", "pyarrow", "pyarrow batch"]) {
        const arrived = yield* made(kind)
        assert.deepStrictEqual(columnOf(arrived, "n"), [1n, 2n, null], kind)
        assert.deepStrictEqual(columnOf(arrived, "s"), ["a", null, "蛇"], kind)
      }
      for (const kind of ["pandas series", "polars series"]) {
        assert.deepStrictEqual(columnOf(yield* made(kind), "n"), [1n, 2n], kind)
      }
      assert.deepStrictEqual(columnOf(yield* made("pandas indexed"), "key"), ["a", "b"])
    })
  )

  shared.effect("decimals of every width are read exactly", () =>
    Effect.gen(function* () {
      const arrived = yield* Snakepit.call("tables_made.decimals", {
        success: Table.schema({
          short: Table.nullable("decimal"),
          wide: Table.nullable("decimal"),
          widest: Table.nullable("decimal")
        })
      })
      const texts = yield* Snakepit.call("tables_made.decimal_texts", { success: Schema.Array(Schema.Any) })
      for (const name of ["short", "wide", "widest"] as const) {
        const column = arrived.getChild(name) ?? assert.fail(name)
        const read = Table.decimals(column).map((item) => (item === null ? null : BigDecimal.format(item)))
        assert.deepStrictEqual(read, texts, name)
        // a part of it begins elsewhere
        const part = Table.decimals(column.slice(2)).map((item) => (item === null ? null : BigDecimal.format(item)))
        assert.deepStrictEqual(part, texts.slice(2), name)
      }
    })
  )

  shared.effect("a table becomes what the parameter's annotation asks for", () =>
    Effect.gen(function* () {
      const pandas = yield* Snakepit.call("tables_made.as_pandas", { args: [table], success: Facts })
      assert.strictEqual(pandas[0], "pandas.DataFrame")
      assert.include(pandas[1], "0  1  a")
      // the second call of a target takes a shorter way in the worker
      for (let time = 0; time < 3; time++) {
        assert.deepStrictEqual(
          yield* Snakepit.call("tables_made.as_polars", { args: [table, table], kwargs: { named: table } }),
          ["polars.DataFrame", "polars.LazyFrame", "pyarrow.Table"]
        )
        const again = yield* Snakepit.call("tables_made.as_pandas", { args: [table], success: Facts })
        assert.strictEqual(again[0], "pandas.DataFrame")
      }
      const facts = yield* Snakepit.call("tables_made.facts", { args: [table], success: Facts })
      assert.strictEqual(facts[0], "pyarrow.Table")
      assert.deepStrictEqual(
        yield* Snakepit.call("tables_made.inside", { args: [[table, Table.as(table, "polars")]] }),
        ["pyarrow.Table", "polars.DataFrame"]
      )
    })
  )

  shared.effect("constructors and methods have annotations too", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const model = yield* session.construct("tables_made.Model", { args: [table] })
      assert.deepStrictEqual(yield* model.call("fit", { args: [table] }), ["pandas.DataFrame", "polars.DataFrame"])
    }).pipe(Effect.scoped)
  )

  shared.effect("what the caller asks for goes before the annotation", () =>
    Effect.gen(function* () {
      for (const kind of ["polars", "pyarrow"] as const) {
        const [type] = yield* Snakepit.call("tables_made.as_pandas", { args: [Table.as(table, kind)], success: Facts })
        assert.strictEqual(type, kind === "polars" ? "polars.DataFrame" : "pyarrow.Table")
      }
    })
  )

  shared.effect("a column of mixed objects is refused by name, and a query that has not run with what to do", () =>
    Effect.gen(function* () {
      const mixed = yield* Effect.flip(made("pandas mixed"))
      assert.strictEqual(mixed._tag, "UnserializableResult")
      assert.include(mixed.message, "the column 'bad' mixes int, str")
      assert.include((yield* Effect.flip(made("polars lazy"))).message, "collect() it")
      const session = yield* Snakepit.session()
      const lazy = yield* session.call("tables_made.frame", { args: ["polars lazy"] })
      const collected = yield* session.call("polars.LazyFrame.collect", { args: [lazy], success: Table.schema() })
      assert.deepStrictEqual(columnOf(collected, "n"), [1n, 2n, null])
    }).pipe(Effect.scoped)
  )

  shared.effect("a result that is not the table that its schema describes fails with the column", () =>
    Effect.gen(function* () {
      const success = Table.schema({ n: "int64", s: Table.nullable("string") })
      const args = ["pandas"]
      const error = yield* Effect.flip(Snakepit.call("tables_made.frame", { args, success }))
      assert.strictEqual(error._tag, "DecodeError")
      assert.include(error.message, 'expected a column "n" without nulls (it has 1; allow them with Table.nullable)')
      const fitting = Table.schema({ n: Table.nullable("int64"), s: Table.nullable("string") }, { exact: true })
      const rows = [...(yield* Snakepit.call("tables_made.frame", { args, success: fitting }))]
      assert.deepStrictEqual(
        rows.map(({ n, s }) => [n, s]),
        [
          [1n, "a"],
          [2n, null],
          [null, "蛇"]
        ]
      )
    })
  )

  shared.effect("a stream of tables arrives in order", () =>
    Effect.gen(function* () {
      const tables = Snakepit.stream("tables_made.stream", { args: [5, 20_000], success: Table.schema({ n: "int64" }) })
      const firsts = yield* Stream.runCollect(Stream.map(tables, (each) => each.getChild("n")?.get(0)))
      assert.deepStrictEqual([...firsts], [0n, 1n, 2n, 3n, 4n])
    })
  )
})

describe("Tables in shared memory", () => {
  const Counted = Table.schema({ n: "int64", half: "float64" })

  it.live("a table of 10 million rows is opened in place and summed", () =>
    Effect.gen(function* () {
      const rows = 10_000_000
      const counted = yield* ZeroCopy.scoped(Snakepit.call("tables_made.counted", { args: [rows], success: Counted }))
      assert.isTrue(Table.isShared(counted))
      assert.deepStrictEqual([counted.numRows, counted.batches.length], [rows, 3])
      const buffers = new Set<ArrayBufferLike>()
      let sum = 0n
      for (const name of ["n", "half"] as const) {
        for (const { values } of counted.getChild(name)?.data ?? []) buffers.add(values.buffer)
      }
      for (const { values } of counted.getChild("n")?.data ?? []) for (const value of values) sum += value
      assert.strictEqual(sum, (BigInt(rows) * BigInt(rows - 1)) / 2n)
      // one buffer, that of the lease, which holds the whole stream: no column has memory of its own
      const [buffer, ...others] = buffers
      assert.deepStrictEqual(others, [])
      assert.isAbove(buffer?.byteLength ?? 0, rows * 16)
    }).pipe(withPool())
  )

  it.live("when its scope ends, whoever looks into a table is told", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const call = Snakepit.call("tables_made.counted", { args: [30_000], success: Counted })
      const counted = yield* Scope.provide(ZeroCopy.scoped(call), scope)
      const column = counted.getChild("n")
      const owned = Table.toOwned(counted)
      assert.strictEqual(column?.get(5), 5n)
      // a part of a chunk is data of its own over the same memory, and so is a part of that
      const part = counted.slice(10, 20)
      const [row] = [...part]
      const inner = part.slice(2, 4).getChild("n")
      assert.strictEqual(inner?.get(0), 12n)
      yield* Scope.close(scope, Exit.void)
      for (const look of [
        () => column?.get(5),
        () => counted.get(0)?.toJSON(),
        () => [...counted].map(({ n }) => n),
        () => part.get(0)?.toJSON(),
        () => [...part].map(({ n }) => n),
        () => row?.n,
        () => inner?.get(0),
        () => inner?.toArray(),
        () => Arrow.tableToIPC(part),
        () => Table.close(counted)
      ]) {
        const told = yield* Effect.flip(Effect.try({ try: look, catch: (error) => error }))
        assert.instanceOf(told, ZeroCopyError.LeaseClosed, String(look))
      }
      assert.include((yield* Effect.flip(echo(counted))).message, "arg")
      assert.strictEqual(owned.getChild("n")?.get(5), 5n)
    }).pipe(withPool())
  )

  it.live("a table can be closed before its scope ends, and results are copied outside of one", () =>
    Effect.gen(function* () {
      const call = Snakepit.call("tables_made.counted", { args: [30_000], success: Counted })
      const counted = yield* ZeroCopy.scoped(call)
      Table.close(counted)
      assert.throws(() => counted.getChild("half")?.get(1))
      const copied = yield* call
      assert.isFalse(Table.isShared(copied))
      assert.strictEqual(copied.getChild("half")?.get(3), 1.5)
    }).pipe(withPool())
  )

  it.live(
    "a table of TypeScript is seen by Python where it was written, and one that arrived goes back as it lies",
    () =>
      Effect.gen(function* () {
        const rows = 100_000
        const sent = Arrow.tableFromArrays({ n: Float64Array.from({ length: rows }, (_, i) => i) })
        assert.deepStrictEqual(yield* Snakepit.call("tables_made.place", { args: [sent] }), [
          true,
          (rows * (rows - 1)) / 2
        ])
        const counted = yield* ZeroCopy.scoped(Snakepit.call("tables_made.counted", { args: [rows], success: Counted }))
        assert.deepStrictEqual(yield* Snakepit.call("tables_made.place", { args: [counted] }), [
          true,
          (rows * (rows - 1)) / 2
        ])
      }).pipe(withPool())
  )

  it.live("a table that was exported is written once, and named in every call, until it is closed", () =>
    Effect.gen(function* () {
      const rows = 100_000
      const sent = Arrow.tableFromArrays({ n: Float64Array.from({ length: rows }, (_, i) => i) })
      const memory = yield* (yield* SharedMemory.SharedMemory).pool()
      const crossings: Array<SharedMemory.ZeroCopyEvent> = []
      const exported = yield* ZeroCopy.export(sent)
      memory.listeners.add((event) => event.name === "zero_copy.export" && crossings.push(event))
      for (let round = 0; round < 3; round++) {
        const placed = yield* Snakepit.call("tables_made.place", { args: [exported] })
        assert.deepStrictEqual(placed, [true, (rows * (rows - 1)) / 2])
      }
      assert.deepStrictEqual(
        crossings.map((event) => "copied" in event && event.copied),
        [false, false, false]
      )
      const facts = { args: [Table.as(exported, "pandas")], success: Facts }
      assert.strictEqual((yield* Snakepit.call("tables_made.facts", facts))[0], "pandas.DataFrame")
      yield* ZeroCopy.close(exported)
      assert.strictEqual((yield* Effect.flip(ZeroCopy.close(exported)))._tag, "LeaseClosed")
      assert.strictEqual((yield* Effect.flip(echo(exported)))._tag, "EncodeError")
    }).pipe(withPool())
  )

  it.live("Python may keep a table for as long as it likes", () =>
    Effect.gen(function* () {
      const rows = 100_000
      const fill = (value: number) => Arrow.tableFromArrays({ n: new Float64Array(rows).fill(value) })
      yield* Snakepit.call("tables_made.keep", { args: [fill(1)] })
      for (let round = 0; round < 10; round++) yield* Snakepit.call("tables_made.place", { args: [fill(2)] })
      assert.strictEqual(yield* Snakepit.call("tables_made.kept_sum"), rows)
      yield* Snakepit.call("tables_made.forget")
      assert.deepStrictEqual(yield* Snakepit.call("tables_made.place", { args: [fill(3)] }), [true, 3 * rows])
    }).pipe(withPool())
  )

  it.live("a stream of tables can be read in place, one after the other", () =>
    Effect.gen(function* () {
      const tables = ZeroCopy.scopedStream(
        Snakepit.stream("tables_made.stream", { args: [8, 50_000], success: Table.schema({ n: "int64" }) })
      )
      const firsts: Array<unknown> = []
      yield* Stream.runForEach(tables, (each) =>
        Effect.sync(() => {
          assert.isTrue(Table.isShared(each))
          firsts.push(each.getChild("n")?.get(0))
          Table.close(each)
        })
      )
      assert.deepStrictEqual(firsts, [0n, 1n, 2n, 3n, 4n, 5n, 6n, 7n])
    }).pipe(withPool())
  )
})
