/** `snakepit call`: one call of a Python function. */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { WorkerFlags } from "../environmentFlags.ts"
import { workerPool } from "../environmentOptions.ts"
import { fail } from "../failure.ts"
import { print } from "../output.ts"

/** What the flags say. */
export interface Input extends WorkerFlags {
  readonly target: string
  readonly args: ReadonlyArray<unknown>
  readonly kwargs: Readonly<Record<string, unknown>>
  readonly timeout: Option.Option<Duration.Duration>
}

/** Starts one worker, calls, prints. */
export const run = (input: Input) => {
  const { args, kwargs, target, timeout } = input
  return Snakepit.call(target, { args, kwargs, timeout: Option.getOrUndefined(timeout) }).pipe(
    // before the worker ends, and with it what its result may share with it
    Effect.flatMap((result) => print(result)),
    Effect.provide(SnakepitNode.layer({ pools: { default: workerPool(input) } })),
    Effect.catch(fail)
  )
}
