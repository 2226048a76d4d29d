/** Tools: TypeScript functions that Python finds by name, with description and parameters. */
import { Snakepit, Tool } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { kill, pidsOf, waitUntil, withPool } from "./harness.ts"

const weather = Tool.make("weather", {
  description: "Temperature of a city in degrees Celsius",
  parameters: { city: Schema.String, days: Schema.optionalKey(Schema.Int) },
  run: ({ city, days }) =>
    city === "Atlantis" ? Effect.fail(new Error("it has sunk")) : Effect.succeed(city.length + (days ?? 0))
})

const clock = (answer: string) =>
  Tool.make("clock", { description: "What time it is", parameters: {}, run: () => Effect.succeed(answer) })

describe("Tools", () => {
  it.live("a tool of the pool is called by name from every call", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* Snakepit.call("calling_back.use_tool", { args: ["weather"], kwargs: { city: "Oslo" } }),
        4
      )
      assert.strictEqual(
        yield* Snakepit.call("calling_back.use_tool", { args: ["weather"], kwargs: { city: "Oslo", days: 3 } }),
        7
      )
      const session = yield* Snakepit.session()
      assert.strictEqual(
        yield* session.call("calling_back.use_tool", { args: ["weather"], kwargs: { city: "Rome" } }),
        4
      )
    }).pipe(withPool({ tools: [weather] }))
  )

  it.live("Python sees the description and the JSON schema of the parameters", () =>
    Effect.gen(function* () {
      const seen = yield* Snakepit.call("calling_back.describe_tools", {
        success: Schema.Struct({
          weather: Schema.Tuple([
            Schema.String,
            Schema.Struct({
              type: Schema.String,
              properties: Schema.Record(Schema.String, Schema.Any),
              required: Schema.Array(Schema.String)
            })
          ])
        })
      })
      const [description, parameters] = seen.weather
      assert.strictEqual(description, "Temperature of a city in degrees Celsius")
      assert.strictEqual(parameters.type, "object")
      assert.deepStrictEqual(Object.keys(parameters.properties), ["city", "days"])
      assert.deepStrictEqual(parameters.required, ["city"])
    }).pipe(withPool({ tools: [weather] }))
  )

  it.live("a tool of a session is seen in that session only, and ends with it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const session = yield* Scope.provide(Snakepit.session({ tools: [clock("noon")] }), scope)
      assert.strictEqual(yield* session.call("calling_back.use_tool", { args: ["clock"] }), "noon")
      const other = yield* Snakepit.session()
      assert.strictEqual(yield* other.call("calling_back.has_tool", { args: ["clock"] }), false)
      assert.strictEqual(yield* Snakepit.call("calling_back.has_tool", { args: ["clock"] }), false)
      yield* Scope.close(scope, Exit.void)
      const error = yield* Effect.flip(Snakepit.call("calling_back.use_tool", { args: ["clock"] }))
      assert.strictEqual(error._tag, "KeyError")
    }).pipe(withPool())
  )

  it.live("a session's tool comes before the pool's tool of the same name", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session({ tools: [clock("session time")] })
      assert.strictEqual(yield* session.call("calling_back.use_tool", { args: ["clock"] }), "session time")
      assert.strictEqual(yield* Snakepit.call("calling_back.use_tool", { args: ["clock"] }), "pool time")
    }).pipe(withPool({ tools: [clock("pool time")] }))
  )

  it.live("an unknown tool is a KeyError that lists the known ones", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("calling_back.use_tool", { args: ["wether"] }))
      assert.strictEqual(error._tag, "KeyError")
      assert.include(error.message, "weather")
    }).pipe(withPool({ tools: [weather] }))
  )

  it.live("wrong parameters and failures are raised in Python, with what was expected", () =>
    Effect.gen(function* () {
      const wrong = yield* Effect.flip(
        Snakepit.call("calling_back.use_tool", { args: ["weather"], kwargs: { city: 5 } })
      )
      assert.include(wrong.message, "string")
      const positional = yield* Effect.flip(Snakepit.call("calling_back.use_tool", { args: ["weather", "Oslo"] }))
      assert.include(positional.message, "keyword")
      const sunk = yield* Effect.flip(
        Snakepit.call("calling_back.use_tool", { args: ["weather"], kwargs: { city: "Atlantis" } })
      )
      assert.include(sunk.message, "it has sunk")
    }).pipe(withPool({ tools: [weather] }))
  )

  it.live("tools work from async code", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* Snakepit.call("calling_back.use_tool_async", { args: ["weather"], kwargs: { city: "Bergen" } }),
        6
      )
    }).pipe(withPool({ tools: [weather] }))
  )

  it.live("the pool's tools work from a thread that user code started", () =>
    Effect.gen(function* () {
      assert.strictEqual(
        yield* Snakepit.call("calling_back.use_tool_in_thread", { args: ["weather"], kwargs: { city: "Bergen" } }),
        6
      )
    }).pipe(withPool({ tools: [weather] }))
  )

  it.live("a worker that replaces another has the tools of the pool", () =>
    Effect.gen(function* () {
      const [before] = yield* pidsOf()
      yield* kill(before ?? 0, "SIGKILL")
      yield* waitUntil(
        "another worker is there",
        Effect.map(pidsOf(), (pids) => pids.length === 1 && pids[0] !== before)
      )
      assert.strictEqual(yield* Snakepit.call("calling_back.use_tool", { args: ["clock"] }), "late")
    }).pipe(withPool({ tools: [clock("late")] }))
  )
})
