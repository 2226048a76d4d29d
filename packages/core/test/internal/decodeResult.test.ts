import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import { decodeResult, preview } from "../../src/internal/decodeResult.ts"

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
})
