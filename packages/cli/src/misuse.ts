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

/** Has a command say as JSON that Ctrl-C or SIGTERM has stopped it, unless its result was printed before: Python may end later. */
export const sayingInterrupted = <A, E, R>(command: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let hasPrinted = false
    const log = (...what: ReadonlyArray<unknown>) => {
      hasPrinted = true
      console.log(...what)
    }
    const interrupted = Console.log(asJson("a signal has stopped it", "Interrupted"))
    return command.pipe(
      Effect.onInterrupt(() => (hasPrinted ? Effect.void : interrupted)),
      Effect.provideService(Console.Console, Object.assign(Object.create(console), { log }))
    )
  })

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
