import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { snakepit } from "./run.ts"

describe("snakepit status", () => {
  it.live("shows pools, workers and sessions of a program that runs", () =>
    Effect.gen(function* () {
      yield* Snakepit.session({ pool: "busy" })
      const json = yield* snakepit("status", "--json")
      const found = JSON.parse(json.stdout).find((instance: { pid: number }) => instance.pid === process.pid)
      assert.deepInclude(found.report.pools[0], { pool: "busy", status: "healthy", size: 2, sessions: 1 })
      assert.lengthOf(found.report.pools[0].workers, 2)
      const text = yield* snakepit("status")
      assert.include(text.stdout, "pool busy: healthy, 2 of 2 workers")
    }).pipe(Effect.scoped, Effect.provide(SnakepitNode.layer({ pools: { busy: { size: 2 }, default: { size: 1 } } })))
  )
})
