import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { ValueAdapter, ValueAdapters } from "../src/ValueAdapter.ts"

class Point {
  readonly x: number

  constructor(x: number) {
    this.x = x
  }
}

const point: ValueAdapter<Point> = {
  name: "test/point",
  is: (value): value is Point => value instanceof Point,
  encode: (value) => value.x,
  decode: (payload) => new Point(Number(payload))
}

const other: ValueAdapter = {
  name: "test/other",
  is: (value): value is unknown => value === other,
  encode: (value) => value,
  decode: (payload) => payload
}

const names = Effect.map(ValueAdapters, (adapters) => adapters.map((adapter) => adapter.name))

describe("ValueAdapter", () => {
  it.effect("none are in force by default", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* names, [])
    })
  )

  it.effect("a layer puts adapters in force", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* names, ["test/point", "test/other"])
    }).pipe(Effect.provide(ValueAdapter.layer(point, other)))
  )

  it.effect("a layer adds to those that it is provided with, in front", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* names, ["test/point", "test/other"])
    }).pipe(Effect.provide(ValueAdapter.layer(point).pipe(Layer.provide(ValueAdapter.layer(other)))))
  )
})
