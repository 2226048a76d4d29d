/**
 * The commands, their flags and their help. What a command does stands in `commands/`, and is loaded when it is called: help
 * and completions need none of it.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { Json } from "./output.ts"
import * as PythonJson from "./PythonJson.ts"

/** What a command needs to start a worker. */
const worker = {
  python: Flag.String("python").pipe(Flag.withDescription("Path or command of the interpreter"), Flag.optional),
  path: Flag.String("path").pipe(
    Flag.withDescription("Folder to import modules from, beside the working directory; may be repeated"),
    Flag.atLeast(0)
  ),
  requirement: Flag.String("requirement").pipe(
    Flag.withAlias("r"),
    Flag.withDescription('Package that the function needs, like "numpy>=2"; may be repeated'),
    Flag.atLeast(0)
  )
}

const call = Command.make(
  "call",
  {
    target: Argument.String("target").pipe(
      Argument.withDescription("Dotted path of a Python function, like math.sqrt")
    ),
    args: Flag.String("args").pipe(
      Flag.withDescription("Positional arguments: a JSON array"),
      Flag.withDefault("[]"),
      Flag.mapTryCatch(PythonJson.array, PythonJson.complaint)
    ),
    kwargs: Flag.String("kwargs").pipe(
      Flag.withDescription("Keyword arguments: a JSON object"),
      Flag.withDefault("{}"),
      Flag.mapTryCatch(PythonJson.object, PythonJson.complaint)
    ),
    ...worker,
    timeout: Flag.String("timeout").pipe(
      Flag.withDescription('Longest time, like "30 seconds"'),
      Flag.withSchema(Schema.DurationFromString),
      Flag.optional
    )
  },
  (input) =>
    Effect.flatMap(
      Effect.promise(() => import("./commands/call.ts")),
      ({ run }) => run(input)
    )
).pipe(
  Command.withDescription("Calls a Python function and prints its result"),
  Command.withExamples([
    { command: "snakepit call math.sqrt --args '[2]'", description: "A function of the standard library" },
    {
      command: "snakepit call numpy.linalg.norm -r numpy --args '[[3, 4]]'",
      description: "One of a package, which is installed for it"
    }
  ])
)

const repl = Command.make("repl", worker, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./commands/repl.ts")),
    ({ run }) => run(input)
  )
).pipe(
  Command.withDescription("Opens an interactive session: JavaScript with Python in `py`"),
  Command.withExamples([{ command: "snakepit repl -r numpy", description: "With a package that is installed for it" }])
)

const status = Command.make("status", {}, () =>
  Effect.flatMap(
    Effect.promise(() => import("./commands/status.ts")),
    ({ run }) => run
  )
).pipe(Command.withDescription("Shows the pools, workers and sessions of the programs that run on this machine"))

/** The whole command line. */
export const snakepit = Command.make("snakepit").pipe(
  Command.withDescription("Python for TypeScript programs"),
  Command.withSubcommands([call, repl, status]),
  Command.withGlobalFlags([Json])
)
