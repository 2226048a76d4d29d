/**
 * The commands, their flags and their help. What a command does stands in `commands/`, and is loaded when it is called: help
 * and completions need none of it.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Argument from "effect/cli/Argument"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { environmentFlags, projectFlags, refuseBoth, workerFlags } from "./environmentFlags.ts"
import { json as jsonFlag, Json } from "./Json.ts"
import { misuse } from "./misuse.ts"
import type * as PythonJson from "./PythonJson.ts"

/** A flag with JSON in it, whose parser is loaded when the command is called. */
const json = <A>(
  option: string,
  description: string,
  empty: string,
  read: (text: string, parser: typeof PythonJson) => A
) =>
  Flag.String(option).pipe(
    Flag.withDescription(description),
    Flag.withDefault(empty),
    Flag.mapEffect((value) =>
      Effect.tryPromise({
        try: async () => read(value, await import("./PythonJson.ts")),
        catch: (cause) => {
          const expected = cause instanceof Error ? cause.message : String(cause)
          return new CliError.InvalidValue({ option, value, expected, kind: "flag" })
        }
      })
    )
  )

const call = Command.make(
  "call",
  {
    target: Argument.String("target").pipe(
      Argument.withDescription("Dotted path of a Python function, like math.sqrt")
    ),
    args: json("args", "Positional arguments: a JSON array", "[]", (text, { array }) => array(text)),
    kwargs: json("kwargs", "Keyword arguments: a JSON object", "{}", (text, { object }) => object(text)),
    ...workerFlags,
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
  Command.validate(refuseBoth),
  Command.withDescription("Calls a Python function and prints its result"),
  Command.withExamples([
    { command: "snakepit call math.sqrt --args '[2]'", description: "A function of the standard library" },
    {
      command: "snakepit call numpy.linalg.norm -r numpy --args '[[3, 4]]'",
      description: "One of a package, which is installed for it"
    }
  ])
)

const repl = Command.make("repl", workerFlags, (input) =>
  Effect.gen(function* () {
    if (yield* Json) return yield* misuse("repl prints no JSON document: snakepit call does")
    const { run } = yield* Effect.promise(() => import("./commands/repl.ts"))
    return yield* run(input)
  })
).pipe(
  Command.validate(refuseBoth),
  Command.withDescription("Opens an interactive session: JavaScript with Python in `py`"),
  Command.withExamples([{ command: "snakepit repl -r numpy", description: "With a package that is installed for it" }])
)

const status = Command.make("status", {}, () =>
  Effect.flatMap(
    Effect.promise(() => import("./commands/status.ts")),
    ({ run }) => run
  )
).pipe(Command.withDescription("Shows the pools, workers and sessions of the programs that run on this machine"))

const setup = Command.make("setup", environmentFlags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./commands/setup.ts")),
    ({ run }) => run(input)
  )
).pipe(
  Command.validate(refuseBoth),
  Command.withDescription("Makes the Python environment: of the nearest project, or of what the flags say"),
  Command.withExamples([
    { command: "snakepit setup", description: "The project in this folder or above it" },
    { command: "snakepit setup -r numpy --python 3.13", description: "Packages, on a Python that uv finds or installs" }
  ])
)

const doctor = Command.make("doctor", workerFlags, (input) =>
  Effect.flatMap(
    Effect.promise(() => import("./commands/doctor.ts")),
    ({ run }) => run(input)
  )
).pipe(
  Command.validate(refuseBoth),
  Command.withDescription("Checks what Snakepit needs, and says what helps; exit code 1 when something is wrong")
)

const hardware = Command.make("hardware", {}, () =>
  Effect.flatMap(
    Effect.promise(() => import("./commands/hardware.ts")),
    ({ run }) => run
  )
).pipe(Command.withDescription("Shows processors, memory and accelerators, with the limits that hold here"))

const packages = (description: string) =>
  Argument.String("packages").pipe(Argument.withDescription(description), Argument.variadic({ min: 1 }))

const { pyproject: _new, ...newProjectFlags } = environmentFlags

const environment = () => Effect.promise(() => import("./commands/env.ts"))

const env = Command.make("env").pipe(
  Command.withDescription("Changes what is in a project's environment"),
  Command.withSubcommands([
    Command.make(
      "init",
      {
        folder: Argument.Directory("folder").pipe(
          Argument.withDescription("Its folder, which is made when it is missing"),
          Argument.withDefault(".")
        ),
        ...newProjectFlags
      },
      (input) => Effect.flatMap(environment(), ({ init }) => init(input.folder, input))
    ).pipe(Command.withDescription("Makes a project: pyproject.toml, locks, environment")),
    Command.make("add", { packages: packages('In pip\'s notation, like "numpy>=2"'), ...projectFlags }, (input) =>
      Effect.flatMap(environment(), ({ add }) => add(input.packages, input))
    ).pipe(Command.withDescription("Adds packages to the project")),
    Command.make("remove", { packages: packages("By name"), ...projectFlags }, (input) =>
      Effect.flatMap(environment(), ({ remove }) => remove(input.packages, input))
    ).pipe(Command.withDescription("Removes packages from the project")),
    Command.make(
      "lock",
      {
        upgrade: Flag.Boolean("upgrade").pipe(
          Flag.withDescription("Take the newest versions, and not those locked before"),
          Flag.withDefault(false)
        ),
        ...environmentFlags
      },
      (input) => Effect.flatMap(environment(), ({ lock }) => lock(input.upgrade, input))
    ).pipe(
      Command.validate(refuseBoth),
      Command.withDescription("Resolves the requirements anew and writes the lock files")
    ),
    Command.make("sync", environmentFlags, (input) => Effect.flatMap(environment(), ({ sync }) => sync(input))).pipe(
      Command.validate(refuseBoth),
      Command.withDescription("Makes the environment as it is locked")
    )
  ])
)

/** The whole command line. */
export const snakepit = Command.make("snakepit").pipe(
  Command.withDescription("Python for TypeScript programs"),
  Command.withSharedFlags({ json: jsonFlag }),
  Command.withSubcommands([setup, doctor, call, repl, status, env, hardware]),
  Command.provideSync(Json, ({ json: isJson }) => isJson)
)
