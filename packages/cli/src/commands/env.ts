/** `snakepit env`: changes what is in a project's environment. */
import { Environment, type EnvironmentError, EnvironmentProgress } from "@snakepit/python-worker"
import * as Effect from "effect/Effect"
import type { EnvironmentFlags } from "../environmentFlags.ts"
import { environmentOptions } from "../environmentOptions.ts"
import { fail } from "../failure.ts"
import { print } from "../output.ts"

const perform = <A>(what: Effect.Effect<A, EnvironmentError.EnvironmentError>, text: (value: A) => string) =>
  what.pipe(
    Effect.provideService(EnvironmentProgress.EnvironmentProgress, EnvironmentProgress.terminal()),
    Effect.matchEffect({ onFailure: fail, onSuccess: (value) => print(value, () => text(value)) })
  )

const ready = ({ directory, identity }: Environment.Environment) => `Python ${identity.version} is ready: ${directory}`

/** Makes a project in a folder. */
export const init = (folder: string, flags: EnvironmentFlags) => {
  const { pyproject: _none, ...options } = environmentOptions(flags)
  return perform(Environment.init({ ...options, folder }), ready)
}

/** Adds packages to the project. */
export const add = (packages: ReadonlyArray<string>, flags: EnvironmentFlags) =>
  perform(Environment.add(packages, environmentOptions(flags)), ready)

/** Removes packages from the project. */
export const remove = (packages: ReadonlyArray<string>, flags: EnvironmentFlags) =>
  perform(Environment.remove(packages, environmentOptions(flags)), ready)

/** Resolves anew and writes the lock files. */
export const lock = (upgrade: boolean, flags: EnvironmentFlags) =>
  perform(Environment.lock({ ...environmentOptions(flags), upgrade }), (identity) => `locked: ${identity.lock}`)

/** Makes the environment as it is locked. */
export const sync = (flags: EnvironmentFlags) => perform(Environment.sync(environmentOptions(flags)), ready)
