/** Warm spares of pools whose workers are spawned. */
import { Snakepit } from "@snakepit/core"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describe } from "vitest"
import { waitUntil, withPool } from "./harness.ts"
import { descendants } from "./processTree.ts"

const workerPid = Effect.map(Snakepit.stats, ([stats]) => stats?.workers[0]?.pid)

describe("Spares", () => {
  it.live("become the next worker, and are made up for", () =>
    Effect.gen(function* () {
      const first = yield* workerPid
      yield* waitUntil("a spare waits beside the worker", () => descendants(process.pid).length === 2)
      const spare = descendants(process.pid).find((pid) => pid !== first)
      assert.strictEqual((yield* Effect.flip(Snakepit.call("os.abort")))._tag, "WorkerCrash")
      assert.strictEqual(yield* Snakepit.call("os.getpid"), spare)
      yield* waitUntil("another spare waits", () => descendants(process.pid).length === 2)
      assert.notInclude(descendants(process.pid), first)
    }).pipe(withPool({ start: "spawn", spares: 1 }))
  )

  it.live("that died are left out", () =>
    Effect.gen(function* () {
      const first = yield* workerPid
      yield* waitUntil("a spare waits beside the worker", () => descendants(process.pid).length === 2)
      const spare = descendants(process.pid).find((pid) => pid !== first)
      assert(spare !== undefined)
      process.kill(spare, "SIGKILL")
      yield* waitUntil("the spare is gone", () => descendants(process.pid).length === 1)
      yield* Effect.flip(Snakepit.call("os.abort"))
      assert.notInclude([first, spare], yield* Snakepit.call("os.getpid"))
    }).pipe(withPool({ start: "spawn", spares: 1 }))
  )

  it.live("leave nothing behind when the pool closes", () =>
    Effect.gen(function* () {
      yield* waitUntil("spares wait beside the worker", () => descendants(process.pid).length === 3).pipe(
        withPool({ start: "spawn", spares: 2 })
      )
      assert.deepStrictEqual(descendants(process.pid), [])
    })
  )

  it.live("are refused where a fork server makes them needless", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.void.pipe(withPool({ start: "fork", spares: 1 })))
      assert.include(error.message, "spares")
    })
  )
})
