import { PoolConfig } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as PythonWorkerConfig from "../src/PythonWorkerConfig.ts"

const resolve = (input: object) =>
  Effect.flatMap(PoolConfig.resolve("ml", input, PythonWorkerConfig.keys), PythonWorkerConfig.resolve)

describe("PythonWorkerConfig", () => {
  it.effect("fills in the times of heartbeats and of cancellation, and no limits", () =>
    Effect.gen(function* () {
      assert.deepInclude(yield* resolve({}), {
        heartbeatInterval: 2_000,
        heartbeatTimeout: 10_000,
        heartbeatMisses: 3,
        cancelGrace: 50,
        killGrace: 2_000,
        stopTimeout: 2_000,
        preload: [],
        spares: 0,
        memoryLimit: undefined,
        maxAge: undefined,
        maxCalls: undefined,
        maxMemory: undefined
      })
    })
  )

  for (const [key, input] of [
    ["heartbeatInterval", { heartbeatInterval: 0 }],
    ["heartbeatMisses", { heartbeatMisses: 0 }],
    ["memoryLimit", { memoryLimit: 1_000 }],
    ["maxCalls", { maxCalls: 0 }],
    ["maxAge", { maxAge: "old" }],
    ["preload", { preload: "numpy" }],
    ["start", { start: "clone" }]
  ] as const) {
    it.effect(`refuses ${JSON.stringify(input)} by name`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* Effect.flip(resolve(input))).key, `pools.ml.${key}`)
      })
    )
  }
})
