import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as PythonFunction from "../src/PythonFunction.ts"
import * as Snakepit from "../src/Snakepit.ts"
import type { SnakepitError } from "../src/SnakepitError.ts"

const layer = Snakepit.layerTest({
  "app.train": (args, kwargs) => ({ args, kwargs }),
  "statistics.mean": ([xs]: [Array<number>]) => xs.reduce((sum, x) => sum + x, 0) / xs.length
})

const seen = Schema.Struct({
  args: Schema.Array(Schema.Unknown),
  kwargs: Schema.Record(Schema.String, Schema.Unknown)
})

const train = PythonFunction.make("app.train", {
  payload: { epochs: Schema.Int, rate: Schema.optional(Schema.NumberFromString) },
  success: seen
})

const mean = PythonFunction.make("statistics.mean", {
  payload: Schema.Tuple([Schema.Array(Schema.Number)]),
  success: Schema.Number,
  idempotent: true
})

describe("PythonFunction", () => {
  it.effect("sends fields as keyword arguments, encoded by their schemas", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* train({ epochs: 5, rate: 0.5 }), { args: [], kwargs: { epochs: 5, rate: "0.5" } })
    }).pipe(Effect.provide(layer))
  )

  it.effect("leaves out keyword arguments that are undefined", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* train({ epochs: 5, rate: undefined })).kwargs, { epochs: 5 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("sends a tuple as positional arguments", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* mean([[1, 2, 6]]), 3)
    }).pipe(Effect.provide(layer))
  )

  it.effect("takes a struct as well as its fields", () =>
    Effect.gen(function* () {
      const fn = PythonFunction.make("app.train", { payload: Schema.Struct({ epochs: Schema.Int }), success: seen })
      assert.deepStrictEqual((yield* fn({ epochs: 1 })).kwargs, { epochs: 1 })
    }).pipe(Effect.provide(layer))
  )

  it.effect("fails with EncodeError and the path where the payload does not match", () =>
    Effect.gen(function* () {
      const fields = yield* Effect.flip(train({ epochs: 1.5 }))
      assert.strictEqual(fields._tag, "EncodeError")
      assert.include(fields.message, "kwargs.epochs")
      assert.include(fields.message, "integer")
      const tuple = yield* Effect.flip(mean([[1, Object("2") as number]]))
      assert.include(tuple.message, "args[0][1]")
      // What a program without types could pass.
      const nothing = yield* Effect.flip(mean(undefined as never))
      assert.match(nothing.message, /^payload cannot cross to Python: got undefined/)
    }).pipe(Effect.provide(layer))
  )

  it.effect("fails with DecodeError where the result does not match", () =>
    Effect.gen(function* () {
      const wrong = PythonFunction.make("statistics.mean", { payload: mean.payload, success: Schema.String })
      const error = yield* Effect.flip(wrong([[1]]))
      assert.strictEqual(error._tag, "DecodeError")
    }).pipe(Effect.provide(layer))
  )

  it.effect("answers what came when it has no schema for it", () =>
    Effect.gen(function* () {
      const fn = PythonFunction.make("app.train", { payload: {} })
      assert.deepStrictEqual(yield* fn({}), { args: [], kwargs: {} })
      expectTypeOf(fn({})).toEqualTypeOf<Effect.Effect<unknown, SnakepitError, Snakepit.Snakepit>>()
    }).pipe(Effect.provide(layer))
  )

  it.effect("takes options of one call before its own", () =>
    Effect.gen(function* () {
      const elsewhere = PythonFunction.make("app.train", { payload: {}, pool: "nowhere" })
      assert.strictEqual((yield* Effect.flip(elsewhere({})))._tag, "PoolNotFound")
      assert.deepStrictEqual(yield* elsewhere({}, { pool: "default" }), { args: [], kwargs: {} })
    }).pipe(Effect.provide(layer))
  )

  it("can be read: target, payload and success", () => {
    assert.strictEqual(mean.target, "statistics.mean")
    assert.strictEqual(mean.success, Schema.Number)
    assert.deepStrictEqual(Schema.decodeUnknownSync(train.payload)({ epochs: 1, rate: "2" }), { epochs: 1, rate: 2 })
  })

  it("has the types of its schemas", () => {
    expectTypeOf(mean([[1]])).toEqualTypeOf<Effect.Effect<number, SnakepitError, Snakepit.Snakepit>>()
    expectTypeOf(train).parameter(0).toEqualTypeOf<{ readonly epochs: number; readonly rate?: number | undefined }>()
    expectTypeOf(mean).parameter(0).toEqualTypeOf<readonly [ReadonlyArray<number>]>()
  })
})
