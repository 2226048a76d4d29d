import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type PoolInput, resolve } from "../src/PoolConfig.ts"
import * as Tool from "../src/Tool.ts"

// What a program without types could pass.
const wrong = (input: unknown) => Effect.flip(resolve("main", input as PoolInput))

const tool = Tool.make("clock", { description: "The time", parameters: {}, run: () => Effect.succeed("noon") })

describe("PoolConfig", () => {
  it.effect("fills in the defaults", () =>
    Effect.gen(function* () {
      const options = yield* resolve("main", {})
      assert.isAtLeast(options.size, 1)
      assert.deepInclude(options, {
        name: "main",
        profile: "process",
        threads: 8,
        maxQueue: 1000,
        queueTimeout: 30_000,
        callTimeout: undefined,
        affinity: "strictQueue",
        sessionIdleTimeout: 3_600_000,
        maxSessions: 10_000,
        asyncConcurrency: 1000,
        drainTimeout: 5_000,
        allowPrivate: false
      })
    })
  )

  it.effect("takes durations in any form, as milliseconds", () =>
    Effect.gen(function* () {
      const options = yield* resolve("main", {
        queueTimeout: "2 seconds",
        callTimeout: 500,
        drainTimeout: Duration.minutes(1),
        sessionIdleTimeout: Duration.zero
      })
      assert.deepInclude(options, { queueTimeout: 2000, callTimeout: 500, drainTimeout: 60_000, sessionIdleTimeout: 0 })
    })
  )

  it.effect("passes on the keys of the backend, and refuses keys that nobody knows", () =>
    Effect.gen(function* () {
      const input = { size: 1, python: "python3" }
      assert.deepStrictEqual((yield* resolve("main", input, ["python"])).backend, { python: "python3" })
      const error = yield* Effect.flip(resolve("main", input))
      assert.strictEqual(error._tag, "ConfigError")
      assert.strictEqual(error.key, "pools.main.python")
      assert.include(error.expected, "maxQueue")
    })
  )

  it.effect("names the key, the value and what is allowed", () =>
    Effect.gen(function* () {
      const size = yield* wrong({ size: 0 })
      assert.strictEqual(size.key, "pools.main.size")
      assert.include(size.message, "at least 1")
      assert.include(size.message, "0 (number)")
      assert.include((yield* wrong({ queueTimeout: Number.NaN })).message, "NaN (number)")
      const unknown = yield* wrong({ crashBarrier: { retries: 1 } })
      assert.strictEqual(unknown.key, "pools.main.crashBarrier.retries")
      assert.strictEqual((yield* wrong(null)).key, "pools.main")
      assert.include((yield* wrong({ affinity: "loose" })).message, '"strictQueue", "strictFailFast", "hint"')
    })
  )

  for (const input of [
    { size: 1.5 },
    { size: "4" },
    { threads: 0 },
    { maxQueue: -1 },
    { queueTimeout: "soon" },
    { queueTimeout: Number.NaN },
    { queueTimeout: {} },
    { sessionIdleTimeout: { second: 5 } },
    { drainTimeout: Number.POSITIVE_INFINITY },
    { queueTimeout: -1 },
    { callTimeout: "never" },
    { profile: "fork" },
    { maxSessions: Number.NaN },
    { asyncConcurrency: Number.POSITIVE_INFINITY },
    { allowPrivate: "yes" },
    { tools: "none" },
    { tools: [tool, tool] }
  ]) {
    it.effect(`refuses ${JSON.stringify(input)}`, () =>
      Effect.gen(function* () {
        const error = yield* wrong(input)
        assert.strictEqual(error.key, `pools.main.${Object.keys(input).join()}`)
      })
    )
  }
})
