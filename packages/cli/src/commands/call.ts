/** `snakepit call`: one call of a Python function. */
import { type PythonError, Snakepit } from "@snakepit/core"
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
export const run = (input: Input) =>
  callOrRead(input).pipe(
    // before the worker ends, and with it what its result may share with it
    Effect.flatMap((result) => print(result)),
    Effect.provide(SnakepitNode.layer({ pools: { default: workerPool(input) } })),
    Effect.catch(fail)
  )

/** The result of the function, or the value of what is none: `sys.prefix`. */
const callOrRead = ({ args, kwargs, target, timeout: given }: Input) => {
  const timeout = Option.getOrUndefined(given)
  return Snakepit.call(target, { args, kwargs, timeout }).pipe(
    Effect.catchTags({
      TypeError: (error) => {
        if (!error.message.endsWith(` is not callable (target '${target}')`)) return Effect.fail(error)
        const isBare = args.length === 0 && Object.keys(kwargs).length === 0
        return Effect.matchEffect(Snakepit.attribute(target, { timeout }), {
          // a function, which means something that it was given
          onFailure: () => Effect.fail(error),
          onSuccess: (value) =>
            isBare
              ? Effect.succeed(value)
              : Effect.fail(advised(error, `${target} is a value, which is printed without --args and --kwargs`))
        })
      },
      ModuleNotFoundError: (error) => {
        const [first = ""] = target.split(".")
        if (!error.message.startsWith(`no module named '${first}' (target `)) return Effect.fail(error)
        return Effect.matchEffect(Snakepit.attribute(`builtins.${first}.__name__`), {
          onFailure: () => Effect.fail(error),
          onSuccess: () => Effect.fail(advised(error, `${first} is a builtin: snakepit call builtins.${target}`))
        })
      }
    })
  )
}

/** The exception without its story, which has nothing to add. */
const advised = ({ _tag, pythonType }: PythonError.TypeError | PythonError.ModuleNotFoundError, message: string) => ({
  _tag,
  pythonType,
  message
})
