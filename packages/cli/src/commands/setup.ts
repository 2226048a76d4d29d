/** `snakepit setup`: makes the environment, so that the first start of the program does not have to. */
import { Environment, type EnvironmentError, EnvironmentProgress, Interpreter } from "@snakepit/python-worker"
import * as Effect from "effect/Effect"
import type { EnvironmentFlags } from "../environmentFlags.ts"
import { environmentOptions } from "../environmentOptions.ts"
import { fail } from "../failure.ts"
import { print } from "../output.ts"

/** What has been made. */
export interface Made {
  /** Path of the interpreter. */
  readonly python: string
  readonly version: string
  /** Null when the interpreter is used as it is, with no environment of its own. */
  readonly directory: string | null
  readonly drift: ReadonlyArray<EnvironmentError.DriftField>
}

/** The environment that the flags describe, else that of the nearest project, else the interpreter alone. */
export const make = (flags: EnvironmentFlags): Effect.Effect<Made, EnvironmentError.EnvironmentError> => {
  const options = environmentOptions(flags)
  const isNamed = options.pyproject !== undefined || options.requirements !== undefined
  return Environment.sync(options).pipe(
    Effect.map(({ directory, drift, identity, python }) => ({ python, version: identity.version, directory, drift })),
    Effect.catchTag("ProjectNotFound", (error) =>
      isNamed
        ? Effect.fail(error)
        : Effect.map(Environment.interpreterOf(options), ({ path: python, version }) => ({
            python,
            version,
            directory: null,
            drift: []
          }))
    ),
    Effect.tap(({ python }) =>
      Effect.flatMap(Interpreter.find({ python }), (found) => Environment.workerDependencies(found, options.uv))
    ),
    Effect.provideService(EnvironmentProgress.EnvironmentProgress, EnvironmentProgress.terminal())
  )
}

/** Makes it, and says where it is. */
export const run = (flags: EnvironmentFlags) =>
  Effect.matchEffect(make(flags), { onFailure: fail, onSuccess: (made) => print(made, () => describe(made)) })

const describe = ({ directory, drift, python, version }: Made): string =>
  [
    `Python ${version} is ready: ${directory ?? python}`,
    ...(directory === null ? ["There is no project here: workers run on this Python as it is."] : []),
    ...drift.map(({ field, found, locked }) => `${field} has drifted: locked ${locked}, found ${found}`)
  ].join("\n")
