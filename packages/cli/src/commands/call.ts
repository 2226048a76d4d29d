/** `snakepit call`: one call of a Python function. */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { environmentOptions, type EnvironmentFlags } from "../environmentFlags.ts"
import { fail } from "../failure.ts"
import { print } from "../output.ts"

/** What the flags say. */
export interface Input extends EnvironmentFlags {
  readonly target: string
  readonly args: ReadonlyArray<unknown>
  readonly kwargs: Readonly<Record<string, unknown>>
  readonly path: ReadonlyArray<string>
  readonly timeout: Option.Option<Duration.Duration>
}

/** Starts one worker, calls, prints. */
export const run = (input: Input) => {
  const { args, kwargs, path, target, timeout } = input
  const pool = {
    size: 1,
    // a fork server pays from the second worker on
    start: "spawn" as const,
    pythonPath: [process.cwd(), ...path],
    ...environmentOptions(input)
  }
  return Snakepit.call(target, { args, kwargs, timeout: Option.getOrUndefined(timeout) }).pipe(
    Effect.provide(SnakepitNode.layer({ pools: { default: pool } })),
    Effect.matchEffect({ onFailure: fail, onSuccess: (result) => print(result) })
  )
}
