/** What users can say of a Python environment: on a pool, for all pools, and to the functions of `Environment.ts`. */
import { PoolConfig, type SnakepitError } from "@snakepit/core"
import * as Effect from "effect/Effect"

/** What should be in an environment, and which Python it is for. */
export interface EnvironmentOptions {
  /**
   * A Python project: the path of its `pyproject.toml`, or of its folder. Its locked packages are installed. Environments of Poetry
   * and conda projects (`environment.yml`) are used as they are. Not together with `requirements`.
   */
  readonly pyproject?: string | undefined
  /** What to install, in pip's notation: `numpy==2.4.6`, `torch>=2.9`, `tomli; python_version < "3.11"`; no options of pip. */
  readonly requirements?: ReadonlyArray<string> | undefined
  /**
   * The interpreter: a version (`3.13`, `>=3.11,<3.14`), which uv finds or installs, or a path or command. Defaults to what the
   * project asks for; without a project, to the active virtual or conda environment, else `python3` on the PATH.
   */
  readonly python?: string | undefined
  /** Whether only an interpreter that uv manages will do; uv installs it when it is not there. Defaults to `false`. */
  readonly managedPython?: boolean | undefined
  /**
   * Path of the lock file. For `requirements` it holds the exact packages; it is made when it is missing, and obeyed when it is
   * there. Defaults to `snakepit.lock.json` beside a `pyproject.toml`, and to none for `requirements`.
   */
  readonly lock?: string | undefined
  /** What to do when the machine is not what the lock file says. Defaults to `warn`. */
  readonly drift?: "warn" | "fail" | undefined
  /** Where uv is and how it works. */
  readonly uv?: UvOptions | undefined
}

/** What the `requirements` have to be. */
const requirementForm =
  "an array of requirements in pip's notation, one in each string; options of pip, which begin with a dash, are none"

/** Whether a value is one requirement: whatever is written to pip's file holds one line for it, and that is no option of pip. */
const isRequirement = (value: unknown): value is string =>
  typeof value === "string" && /^[^\S\r\n]*[^\s\0#-][^\r\n\0]*$/.test(value)

const uvKeys: ReadonlyArray<string> = ["path", "offline", "pythonMirror", "pythonDownloads", "torchBackend"]

/** Reads the options from what a pool, or a function of `Environment.ts`, was given. */
export const read = (
  reader: PoolConfig.OptionReader,
  given: { readonly [Key in keyof EnvironmentOptions]?: unknown }
): EnvironmentOptions => {
  const pyproject = reader.text("pyproject", given.pyproject)
  const requirements = reader.list("requirements", given.requirements, undefined, isRequirement, requirementForm)
  if (pyproject !== undefined && requirements !== undefined) {
    reader.refuse("requirements", requirements, "none beside `pyproject`")
  }
  return {
    pyproject,
    requirements,
    python: reader.text("python", given.python),
    managedPython: reader.boolean("managedPython", given.managedPython, false),
    lock: reader.text("lock", given.lock),
    drift: reader.oneOf("drift", given.drift, "warn", ["warn", "fail"]),
    uv: readUv(reader, given.uv)
  }
}

const readUv = (reader: PoolConfig.OptionReader, value: unknown): UvOptions => {
  if (value === undefined || !reader.object("uv", value, uvKeys)) return {}
  const given = value as Readonly<Record<string, unknown>> // the reader has seen that it is an object
  return {
    path: reader.text("uv.path", given["path"]),
    offline: reader.boolean("uv.offline", given["offline"], false),
    pythonMirror: reader.text("uv.pythonMirror", given["pythonMirror"]),
    pythonDownloads: reader.text("uv.pythonDownloads", given["pythonDownloads"]),
    torchBackend: reader.text("uv.torchBackend", given["torchBackend"])
  }
}

/** Fails with the first option that does not hold. */
export const check = (options: SyncOptions): Effect.Effect<void, SnakepitError.ConfigError> =>
  Effect.suspend(() => {
    const reader = new PoolConfig.OptionReader()
    read(reader, options)
    reader.text("directory", options.directory)
    return reader.result(undefined)
  })

/** What should be in an environment, and where it should stand. */
export interface SyncOptions extends EnvironmentOptions {
  /**
   * Folder that holds the environments. Defaults to `.snakepit` beside the nearest `package.json`, in the working directory or above
   * it.
   */
  readonly directory?: string | undefined
}

/** Where uv is and how it works. Variables like `UV_DEFAULT_INDEX` and `UV_CACHE_DIR` hold as well. */
export interface UvOptions {
  /** Path or command. Defaults to the variable `UV`, else `uv` on the PATH, else the package `uv` is fetched into the user's cache. */
  readonly path?: string | undefined
  /** Whether to do with what is in the cache. Defaults to `false`. */
  readonly offline?: boolean | undefined
  /** Address of a mirror of python-build-standalone, for managed interpreters. */
  readonly pythonMirror?: string | undefined
  /** Address or path of a JSON file with the interpreters that can be installed, in uv's format. */
  readonly pythonDownloads?: string | undefined
  /**
   * Which builds of torch and its relatives to install for `requirements`: `auto`, `cpu`, `cu128`, `rocm6.4`, and so on. Defaults to
   * the variable `UV_TORCH_BACKEND`, else `auto`: what the machine's driver can run.
   */
  readonly torchBackend?: string | undefined
}
