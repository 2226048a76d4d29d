import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Tool from "../src/Tool.ts"

const { registration } = Tool.make("weather", {
  description: "Current temperature of a city, in degrees Celsius",
  parameters: { city: Schema.String, days: Schema.NumberFromString },
  run: ({ city, days }) => (city === "Oslo" ? Effect.succeed(-3 * days) : Effect.fail(new Error(`no city ${city}`)))
})

describe("Tool", () => {
  it("has a name, a description and a JSON schema of its parameters", () => {
    assert.strictEqual(registration.name, "weather")
    assert.strictEqual(registration.description, "Current temperature of a city, in degrees Celsius")
    const { parameters } = registration
    assert.deepInclude(parameters, { type: "object", required: ["city", "days"] })
    assert.deepStrictEqual(JSON.parse(JSON.stringify(parameters)), parameters)
  })

  it.effect("runs with decoded parameters", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* registration.run([], { city: "Oslo", days: "2" }), -6)
    })
  )

  it.effect("fails with its own failure", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(registration.run([], { city: "Rome", days: "1" }))
      assert.include(String(error), "no city Rome")
    })
  )

  it.effect("refuses parameters that do not match, missing ones and positional ones", () =>
    Effect.gen(function* () {
      assert.include(String(yield* Effect.flip(registration.run([], { city: 5, days: "1" }))), "city")
      assert.include(String(yield* Effect.flip(registration.run([], { city: "Oslo" }))), "days")
      assert.include(String(yield* Effect.flip(registration.run(["Oslo"], {}))), "keyword arguments only")
    })
  )
})
