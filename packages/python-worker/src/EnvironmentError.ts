/**
 * What can go wrong before a worker can start: no usable Python, or an environment that could not be built.
 *
 * {@link PythonNotFound} lists every interpreter that was tried. {@link EnvironmentError} carries one of the reasons
 * below it, with the installer's own words.
 */
import * as Schema from "effect/Schema"

/** No interpreter that Snakepit can use was found. */
export class PythonNotFound extends Schema.TaggedError<PythonNotFound>("@snakepit/python-worker/PythonNotFound")(
  "PythonNotFound",
  {
    /** What was looked for, in order, and why each did not do. */
    tried: Schema.Array(Schema.Struct({ what: Schema.String, why: Schema.String }))
  }
) {
  override get message() {
    const tried = this.tried.map(({ what, why }) => `\n  - ${what}: ${why}`).join("")
    return (
      `No Python 3.10 or newer was found. Tried:${tried}\n` +
      "Install Python 3.10 or newer, or give the path of one in the option `python`."
    )
  }
}

/** The installer ended without having done its work. */
export class InstallFailed extends Schema.TaggedError<InstallFailed>("@snakepit/python-worker/InstallFailed")(
  "InstallFailed",
  {
    /** What was being done, like `install Python packages with pip`. */
    step: Schema.String,
    command: Schema.String,
    /** Null when the installer was ended by a signal or did not start. */
    exitCode: Schema.NullOr(Schema.Int),
    /** The last lines that the installer printed, unchanged. */
    output: Schema.String
  }
) {
  override get message() {
    const ended = this.exitCode === null ? "did not finish" : `ended with exit code ${this.exitCode}`
    return `Could not ${this.step}: \`${this.command}\` ${ended}.\n${indented(this.output)}${remedy(this.output)}`
  }
}

/** The environment variable `UV` names something that cannot be run. */
export class InstallerNotFound extends Schema.TaggedError<InstallerNotFound>(
  "@snakepit/python-worker/InstallerNotFound"
)("InstallerNotFound", {
  path: Schema.String
}) {
  override get message() {
    return `The environment variable UV is "${this.path}", which is not an executable file. Correct it or unset it.`
  }
}

/** A directory that Snakepit needs cannot be created, read or written. */
export class DirectoryUnusable extends Schema.TaggedError<DirectoryUnusable>(
  "@snakepit/python-worker/DirectoryUnusable"
)("DirectoryUnusable", {
  path: Schema.String,
  /** The operating system's own words. */
  reason: Schema.String
}) {
  override get message() {
    return (
      `Cannot use the directory ${this.path}: ${this.reason}. ` +
      "Make it writable, or choose another with the option `directory` or, for the cache, with XDG_CACHE_HOME."
    )
  }
}

/** A Python environment could not be made. Match on `reason` with `Effect.catchReason`. */
export class EnvironmentError extends Schema.TaggedError<EnvironmentError>("@snakepit/python-worker/EnvironmentError")(
  "EnvironmentError",
  { reason: Schema.Union([InstallFailed, InstallerNotFound, DirectoryUnusable]) }
) {
  override get message() {
    return this.reason.message
  }
}

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
