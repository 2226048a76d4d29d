/** `snakepit call`: one call of a Python function. */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { fail } from "../failure.ts"
import { print } from "../output.ts"

/** What the flags say. */
export interface Input {
  readonly target: string
  readonly args: ReadonlyArray<unknown>
  readonly kwargs: Readonly<Record<string, unknown>>
  readonly python: Option.Option<string>
  readonly path: ReadonlyArray<string>
  readonly requirement: ReadonlyArray<string>
  readonly timeout: Option.Option<Duration.Duration>
}

/** Starts one worker, calls, prints. */
export const run = ({ args, kwargs, path, python, requirement, target, timeout }: Input) => {
  const pool = {
    size: 1,
    // a fork server pays from the second worker on
    start: "spawn" as const,
    pythonPath: [process.cwd(), ...path],
    python: Option.getOrUndefined(python),
    requirements: requirement.length > 0 ? requirement : undefined
  }
  return Snakepit.call(target, { args, kwargs, timeout: Option.getOrUndefined(timeout) }).pipe(
    Effect.provide(SnakepitNode.layer({ pools: { default: pool } })),
    Effect.matchEffect({ onFailure: fail, onSuccess: (result) => print(result) })
  )
}
