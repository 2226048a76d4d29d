/** How a command fails: with what went wrong on stderr, or as JSON on stdout, and an exit code. */
import { PythonError } from "@snakepit/core"
import { styleText } from "node:util"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { Json } from "./Json.ts"
import { toJson } from "./output.ts"

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
    yield* (yield* Json) ? Console.log(asJson(error)) : Console.error(asText(error))
    return yield* new Failed()
  })

/** An exception of Python with its whole story, but for where this program called. */
const asText = (error: Tagged): string =>
  PythonError.isPythonException(error)
    ? PythonError.render(error).replaceAll(/^ +at .*file:\/\/.*\n/gm, "")
    : `${red(error._tag)}: ${error.message}`

const asJson = ({ _tag: tag, message, pythonType }: Tagged) => toJson({ error: { tag, message, pythonType } })

const red = (text: string) => styleText("red", text, { stream: process.stderr })
