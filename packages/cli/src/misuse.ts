/**
 * What becomes of a command line that cannot be understood: one line on stderr, or JSON on stdout, and exit code 2. And of a command
 * that is stopped.
 */
import { styleText } from "node:util"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as CliOutput from "effect/cli/CliOutput"

/** The command line could not be understood, which was said. */
export class Misused extends Data.TaggedError("Misused")<{}> {
  override readonly [Runtime.errorReported] = false
  override readonly [Runtime.errorExitCode] = 2
}

const asJson = (message: string, tag = "Misused"): string => JSON.stringify({ error: { tag, message } }, null, 2)

/** What is printed as JSON in place of a result that does not come, after Ctrl-C or SIGTERM. */
export const sayInterrupted = Console.log(asJson("a signal has stopped it", "Interrupted"))

/** Ends a command that prints no JSON and was asked for it. */
export const misuse = (message: string): Effect.Effect<never, Misused> =>
  Effect.andThen(Console.log(asJson(message)), new Misused())

/** Help and versions as Effect prints them; of a misuse, what is wrong and where the help is. */
export const presenter = (isJson: boolean): CliOutput.Presenter => ({
  present: (event) => {
    if (event._tag !== "InvalidInvocation") return CliOutput.defaultPresenter.present(event)
    const command = event.commandPath.join(" ")
    const message = event.errors.map((error) => error.message).join("\n")
    return isJson
      ? Console.log(asJson(message))
      : Console.error(`${styleText("red", command, { stream: process.stderr })}: ${message}\nSee "${command} --help".`)
  }
})
