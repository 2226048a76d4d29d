/** What helps when an environment could not be made: the errors of `Environment`, as advice for who sits at the command line. */
import * as fs from "node:fs"
import * as path from "node:path"
import type { EnvironmentError } from "@snakepit/python-worker"

/** What to do, as a command where one does it. `isOffline` is whether the network was not to be used. */
export const environmentRemedy = (error: EnvironmentError.EnvironmentError, isOffline: boolean): string => {
  switch (error._tag) {
    case "PythonNotFound":
      return "Install a Python that is asked for, or name another with --python: a version, which uv installs, or a path."
    case "UvMissing":
      return uvRemedy()
    case "ResolutionFailed":
      return "Change the requirements that are named above: in pyproject.toml, or with -r."
    case "NetworkUnavailable":
      return isOffline
        ? "Leave out --offline once, so that the cache has what is missing."
        : "Run snakepit setup where the package index can be reached; UV_DEFAULT_INDEX and HTTPS_PROXY say how."
    case "EnvironmentNotWritable":
      return "Run snakepit setup where it can be written to, as when an image is built."
    case "LockDrift":
      return "snakepit env lock"
    case "ProjectNotFound":
      // what is there cannot be read, or lacks something; making a project would not mend it
      return path.basename(error.path) === "pyproject.toml" && fs.existsSync(error.path)
        ? `Mend ${error.path}: what is wrong with it is said above.`
        : "snakepit env init"
    case "ConfigError":
      return "Change the option that is named above."
    case "InstallFailed":
      return `Run it by hand to see more: ${error.command}`
  }
}

/** A uv that is named is never passed over, so another one is of no use before the name is gone. */
export const uvRemedy = (): string =>
  (process.env["UV"] ?? "") === ""
    ? "pip install --force-reinstall uv"
    : "unset UV, or set it to the path of a uv that runs"
