/** The program of a newcomer who has installed the packages: a call, an error by its tag, an array, an object in a session. */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const program = Effect.gen(function* () {
  const mean: number = yield* Snakepit.call("statistics.mean", { args: [[1, 2, 6]], success: Schema.Number })
  const none: string = yield* Snakepit.call("statistics.mean", { args: [[]], success: Schema.String }).pipe(
    Effect.catchTag("ValueError", (error) => Effect.succeed(error.pythonType))
  )
  const session = yield* Snakepit.session()
  const counter = yield* session.construct("collections.Counter", { args: ["snake"] })
  const most = yield* counter.call("most_common", { args: [1] })
  return { mean, none, most }
}).pipe(Effect.scoped, Effect.provide(SnakepitNode.layer({ pools: { default: { progress: "silent" } } })))

console.log(JSON.stringify(await Effect.runPromise(program)))
