/** A host of two workers that says who they are and goes on for ever: a test kills it. */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import * as fs from "node:fs"
import * as Effect from "effect/Effect"

const [file] = process.argv.slice(2)

const program = Effect.gen(function* () {
  const [stats] = yield* Snakepit.stats
  fs.writeFileSync(`${file}.new`, (stats?.workers ?? []).map(({ pid }) => pid).join(" "))
  fs.renameSync(`${file}.new`, String(file))
  // one of them is in the middle of a call
  yield* Snakepit.call("time.sleep", { args: [3600] })
})

await Effect.runPromise(
  Effect.provide(program, SnakepitNode.layer({ pools: { default: { size: 2, progress: "silent" } } }))
)
