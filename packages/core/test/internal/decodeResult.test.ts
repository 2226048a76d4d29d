import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import { decodeResult, preview } from "../../src/internal/decodeResult.ts"
import { PlainDate } from "../../src/PlainDate.ts"
import { type Invoker, PyRef } from "../../src/PyRef.ts"

const Report = Schema.Struct({ rows: Schema.Array(Schema.Struct({ loss: Schema.Number })) })

const failure = <A>(schema: Schema.Decoder<A>, value: unknown) => Effect.flip(decodeResult(schema)(value, "result"))

describe("decodeResult", () => {
  it("answers in place when the schema is synchronous", () => {
    const decoded = decodeResult(Schema.Number)(5, "result")
    assert.isTrue(Exit.isExit(decoded))
    assert.deepStrictEqual(decoded, Exit.succeed(5))
  })

  it.effect("transforms as the schema says, also when that takes an effect", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* decodeResult(Schema.NumberFromString)("5", "result"), 5)
      const later = Schema.Finite.pipe(
        Schema.decode({
          decode: SchemaGetter.transformEffect((n: number) => Effect.as(Effect.yieldNow, n + 1)),
          encode: SchemaGetter.transform((n: number) => n - 1)
        })
      )
      assert.strictEqual(yield* decodeResult(later)(5, "result"), 6)
    })
  )

  it.effect("says where a value does not match, what was expected and what came", () =>
    Effect.gen(function* () {
      const deep = yield* failure(Report, { rows: [{ loss: 1 }, { loss: "high" }] })
      assert.deepInclude(deep, { _tag: "DecodeError", path: "result.rows[1].loss", mayHaveExecuted: true })
      assert.strictEqual(deep.expected, "number")
      assert.strictEqual(deep.actual, '"high" (string)')
      const missing = yield* failure(Report, {})
      assert.strictEqual(missing.path, "result.rows")
      const top = yield* failure(Schema.Number, null)
      assert.deepInclude(top, { path: "result", actual: "null (null)" })
      assert.strictEqual(top.message, "result does not decode: expected number, got null (null)")
    })
  )

  it("keeps one decoder for each schema", () => {
    assert.strictEqual(decodeResult(Report), decodeResult(Report))
  })
})

describe("preview", () => {
  it("is short and names the kind of value", () => {
    assert.strictEqual(preview(5), "5 (number)")
    assert.strictEqual(preview(2n ** 70n), `${2n ** 70n}n (bigint)`)
    assert.strictEqual(preview([1, 2]), "an array of 2")
    assert.strictEqual(preview({ a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 }), "Object { a, b, c, d, e, ... }")
    assert.strictEqual(preview(new Set()), "Set {  }")
    assert.isAtMost(preview("x".repeat(1000)).length, 100)
    assert.include(preview(Object.create(null)), "Object")
  })

  it("shows values of classes as they show themselves", () => {
    const handle = { session: "s", worker: "w", id: 3, type: "app.Model" }
    const invoker = {} as Invoker // never asked
    assert.strictEqual(preview(new PyRef(handle, invoker)), "PyRef(app.Model #3)")
    assert.strictEqual(preview(new PlainDate(2026, 1, 2)), "PlainDate(2026-01-02)")
    assert.match(preview(Duration.seconds(1)), /\{ .* \}$/)
  })

  it("runs nothing of the data that it shows", () => {
    for (const key of ["constructor", "name", "toString", "toJSON", "valueOf", "then", "length"]) {
      assert.strictEqual(preview(JSON.parse(`{"${key}":{"name":{"toString":1}}}`)), `Object { ${key} }`)
    }
    assert.isAtMost(preview({ ["k".repeat(1000)]: 1 }).length, 100)
    assert.isAtMost(preview(10n ** 1000n).length, 100)
  })

  it.effect("shows any data where a schema does not match", () =>
    Effect.gen(function* () {
      const schemas = [Schema.Number, Schema.Array(Schema.Number), Schema.Literals(["a", "b"]), Schema.instanceOf(Map)]
      for (const text of ['{"constructor":{"name":{"toString":1}}}', '{"toString":1}', '{"toJSON":1,"valueOf":2}']) {
        for (const schema of schemas) {
          const error = yield* failure<unknown>(schema, JSON.parse(text))
          assert.include(error.message, "got Object { ")
        }
      }
    })
  )
})
