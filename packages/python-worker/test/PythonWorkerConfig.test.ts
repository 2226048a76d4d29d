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

  it.effect("takes times of weeks, and requirements in any notation of pip", () =>
    Effect.gen(function* () {
      const requirements = ['tomli>=2; python_version < "3.11"', "./wheel.whl", "demo @ https://example.org/demo.whl"]
      const resolved = yield* resolve({ stopTimeout: "24 days", maxAge: "30 days", requirements, env: { A: "" } })
      assert.deepInclude(resolved, { stopTimeout: 24 * 86_400_000, maxAge: 30 * 86_400_000, env: { A: "" } })
      assert.deepStrictEqual(resolved.environment.requirements, requirements)
    })
  )

  for (const [key, input] of [
    ["heartbeatInterval", { heartbeatInterval: 0 }],
    ["heartbeatMisses", { heartbeatMisses: 0 }],
    ["memoryLimit", { memoryLimit: 1_000 }],
    ["maxCalls", { maxCalls: 0 }],
    ["maxAge", { maxAge: "old" }],
    ["maxAge", { maxAge: 0 }],
    ["preload", { preload: "numpy" }],
    ["start", { start: "clone" }],
    // one timer of Node waits 24.8 days at most: one of a longer delay would fire at once
    ["heartbeatInterval", { heartbeatInterval: "25 days" }],
    ["stopTimeout", { stopTimeout: "25 days" }],
    ["cancelGrace", { cancelGrace: "25 days" }],
    ["killGrace", { killGrace: "25 days" }],
    ["requirements", { requirements: [""] }],
    ["requirements", { requirements: ["six\nidna"] }],
    ["requirements", { requirements: ["--index-url=http://x"] }],
    ["requirements", { requirements: [" -e ."] }],
    ["requirements", { requirements: ["# six"] }],
    ["pythonPath", { pythonPath: ["a\0b"] }],
    ["pythonPath", { pythonPath: [""] }],
    ["cwd", { cwd: "a\0b" }],
    ["env", { env: [] }],
    ["env", { env: { "": "x" } }],
    ["env", { env: { "A=B": "x" } }],
    ["env.A", { env: { A: "x\0y" } }],
    ["env.A", { env: { A: 1 } }],
    ["zeroCopy", { zeroCopy: [] }]
  ] as const) {
    it.effect(`refuses ${JSON.stringify(input)} by name`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* Effect.flip(resolve(input))).key, `pools.ml.${key}`)
      })
    )
  }
})
