/**
 * What can go wrong before a worker can start: options that do not hold, no usable Python, requirements that cannot be had together,
 * an environment that could not be built.
 *
 * {@link EnvironmentError} is the union of them; `Effect.catchTag` picks one. Where an installer had something to say, its own
 * words are kept.
 */
import type { SnakepitError } from "@snakepit/core"
import * as Schema from "effect/Schema"

const id = <const Name extends string>(name: Name) => `@snakepit/python-worker/${name}` as const

/** What was asked of an installer, and what it said. */
const installerFields = {
  /** What was being done, like `install Python packages with pip`: reads on after "Could not". */
  step: Schema.String,
  command: Schema.String,
  /** The last lines that the installer printed, unchanged. */
  output: Schema.String
}

/** No interpreter that Snakepit can use was found. */
export class PythonNotFound extends Schema.TaggedError<PythonNotFound>(id("PythonNotFound"))("PythonNotFound", {
  /** What was looked for, in order, and why each did not do. */
  tried: Schema.Array(Schema.Struct({ what: Schema.String, why: Schema.String }))
}) {
  override get message() {
    const tried = this.tried.map(({ what, why }) => `\n  - ${what}: ${why}`).join("")
    return (
      `No Python was found that will do. Tried:${tried}\n` +
      "Install Python 3.10 or newer, or give the path of one, or a version for uv to install, in the option `python`."
    )
  }
}

/** uv is needed and cannot be had. */
export class UvMissing extends Schema.TaggedError<UvMissing>(id("UvMissing"))("UvMissing", {
  /** What needs it, like `add packages to a project`. */
  step: Schema.String,
  /** What was tried, in order, and why each did not do. */
  tried: Schema.Array(Schema.Struct({ what: Schema.String, why: Schema.String }))
}) {
  override get message() {
    const tried = this.tried.map(({ what, why }) => `\n  - ${what}: ${why}`).join("")
    return (
      `Could not ${this.step}: uv was not found. Tried:${tried}\n` +
      "Install uv (`pip install uv`), or give its path in the option `uv.path` or the environment variable UV."
    )
  }
}

/** The requirements cannot be had, or not together. `output` is the installer's own explanation. */
export class ResolutionFailed extends Schema.TaggedError<ResolutionFailed>(id("ResolutionFailed"))(
  "ResolutionFailed",
  installerFields
) {
  override get message() {
    return `Could not ${this.step}: no versions satisfy all requirements.\n${indented(this.output)}`
  }
}

/** Something had to be fetched that is not in the cache, and the network did not give it. */
export class NetworkUnavailable extends Schema.TaggedError<NetworkUnavailable>(id("NetworkUnavailable"))(
  "NetworkUnavailable",
  installerFields
) {
  override get message() {
    return (
      `Could not ${this.step}: something is not in the cache and could not be fetched.\n${indented(this.output)}\n` +
      "Check the connection and the address of the package index, or fill the cache once with the network at hand."
    )
  }
}

/** A folder that Snakepit needs cannot be created, read or written. */
export class EnvironmentNotWritable extends Schema.TaggedError<EnvironmentNotWritable>(id("EnvironmentNotWritable"))(
  "EnvironmentNotWritable",
  {
    path: Schema.String,
    /** The operating system's own words. */
    reason: Schema.String
  }
) {
  override get message() {
    return (
      `Cannot use ${this.path}: ${this.reason}. Make it writable, or choose another folder: with the option ` +
      "`directory` for environments, with XDG_CACHE_HOME for Snakepit's cache, with UV_CACHE_DIR for uv's."
    )
  }
}

/** One thing that is not as it was locked. */
export const DriftField = Schema.Struct({
  /** A field of the identity (`version`, `hardware`, ...), `requirements`, or the name of a lock file. */
  field: Schema.String,
  locked: Schema.String,
  found: Schema.String
})

/** One thing that is not as it was locked. */
export type DriftField = typeof DriftField.Type

/** What is locked and what is there are not the same. */
export class LockDrift extends Schema.TaggedError<LockDrift>(id("LockDrift"))("LockDrift", {
  /** The lock file. */
  path: Schema.String,
  fields: Schema.Array(DriftField)
}) {
  override get message() {
    return (
      `${this.path} does not match this machine or these requirements:\n${describeDrift(this.fields)}\n` +
      "Lock anew with `Environment.lock` (or `snakepit env lock`) if the change is meant."
    )
  }
}

/** A line for each field. */
export const describeDrift = (fields: ReadonlyArray<DriftField>): string =>
  fields.map(({ field, found, locked }) => `  - ${field}: locked ${locked}, found ${found}`).join("\n")

/** There is no Python project where one was named. */
export class ProjectNotFound extends Schema.TaggedError<ProjectNotFound>(id("ProjectNotFound"))("ProjectNotFound", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    // a parser shows the place
    const end = this.reason.includes("\n") ? "\n" : ". "
    return (
      `There is no usable Python project at ${this.path}: ${this.reason}${end}` +
      "Give the path of a pyproject.toml, or make one with `Environment.init` (or `snakepit env init`)."
    )
  }
}

/** The installer ended without having done its work, for a reason of its own. */
export class InstallFailed extends Schema.TaggedError<InstallFailed>(id("InstallFailed"))("InstallFailed", {
  ...installerFields,
  /** Null when the installer was ended by a signal or did not start. */
  exitCode: Schema.NullOr(Schema.Int)
}) {
  override get message() {
    const ended = this.exitCode === null ? "did not finish" : `ended with exit code ${this.exitCode}`
    return `Could not ${this.step}: \`${this.command}\` ${ended}.\n${indented(this.output)}${remedy(this.output)}`
  }
}

/** Everything that making an environment can fail with. */
export type EnvironmentError =
  | PythonNotFound
  | UvMissing
  | ResolutionFailed
  | NetworkUnavailable
  | EnvironmentNotWritable
  | LockDrift
  | ProjectNotFound
  | InstallFailed
  | SnakepitError.ConfigError

const indented = (text: string) => text.replace(/^/gm, "  ")

/** The failures that a bare machine meets first, with what helps. */
const remedy = (output: string): string => {
  if (/ensurepip|No module named venv/.test(output)) {
    return "\nThis Python comes without `venv`. Install it (Debian and Ubuntu: `apt install python3-venv`), or install uv."
  }
  if (/No module named pip/.test(output)) {
    return "\nThis Python comes without `pip`. Install it (`python -m ensurepip`), or install uv."
  }
  return ""
}
