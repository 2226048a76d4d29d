/** How a command fails: with the message of what failed on stderr, or as JSON, and exit code 1. */
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { Json, toJson } from "./output.ts"

/** The command has failed, and said so. */
export class Failed extends Data.TaggedError("Failed")<{}> {
  override readonly [Runtime.errorReported] = false
  override readonly [Runtime.errorExitCode] = 1
}

/** What the errors of all parts have. */
interface Tagged {
  readonly _tag: string
  readonly message: string
  /** The class of a Python exception. */
  readonly pythonType?: string
}

/** Says what went wrong, and fails. */
export const fail = (error: Tagged) =>
  Effect.gen(function* () {
    if (yield* Json) yield* Console.log(toJson({ error: { tag: error._tag, message: error.message } }))
    else yield* Console.error(`${error.pythonType ?? error._tag}: ${error.message}`)
    return yield* new Failed()
  })
