/**
 * A host that is killed: starts a pool, keeps all of its workers busy, prints the ids of all processes that stem from it, one
 * JSON line, and goes on. The way the workers start is its argument.
 */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const start = process.argv[2] === "spawn" ? "spawn" : "fork"

const program = Effect.gen(function* () {
  const grandchildren = yield* Effect.all(
    Array.from({ length: 3 }, () => Snakepit.call("hazards.start_child", { success: Schema.Number }))
  )
  // a part of shared memory that Python holds
  yield* Snakepit.call("sharing.keep", { args: [new Float64Array(20_000)] })
  const pool = yield* Effect.flatMap(Snakepit.Snakepit, (snakepit) => snakepit.pool())
  const { workers } = yield* pool.stats
  yield* Effect.forkChild(Snakepit.call("hazards.compute", { args: [3600] }))
  yield* Effect.forkChild(Snakepit.call("hazards.hold_lock_asleep"))
  yield* Effect.forkChild(Snakepit.call("hazards.hold_lock"))
  yield* Effect.forkChild(Snakepit.call("time.sleep", { args: [3600] }))
  let busy = 0
  while (busy < workers.length) {
    yield* Effect.sleep(5)
    busy = (yield* pool.stats).busy
  }
  console.log(JSON.stringify({ workers: workers.map(({ pid }) => pid), grandchildren, busy }))
  yield* Effect.never
})

const pythonPath = [path.join(import.meta.dirname, "..", "workers")]

Effect.runFork(program.pipe(Effect.provide(SnakepitNode.layer({ pools: { default: { size: 4, start, pythonPath } } }))))
