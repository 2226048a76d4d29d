/**
 * Python environments: a set of requirements becomes a virtual environment, made once and found again at once.
 *
 * {@link make} is for what user code imports. {@link workerDependencies} lays what the worker itself needs beside that
 * environment, never into it. Which Python they are made for is decided in `Interpreter.ts`.
 */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type { EnvironmentError, PythonNotFound } from "./EnvironmentError.ts"
import * as Interpreter from "./Interpreter.ts"
import { buildOnce } from "./internal/buildOnce.ts"
import { cacheDirectory } from "./internal/cacheDirectory.ts"
import { useDirectory } from "./internal/directory.ts"
import * as Installer from "./internal/installer.ts"
import * as InstallProgress from "./internal/installProgress.ts"

/** A virtual environment that is ready to use. */
export interface Environment {
  /** Absolute path of its interpreter. */
  readonly python: string
  /** Absolute path of its folder. */
  readonly directory: string
  /** Hash of the requirements and the interpreter: equal keys mean equal environments. */
  readonly key: string
}

/** What should be in an environment, and where it should stand. */
export interface MakeOptions extends Interpreter.FindOptions, ProgressOptions {
  /** What to install, in pip's notation: `numpy==2.4.6`, `torch>=2.9`, `tomli; python_version < "3.11"`. */
  readonly requirements: ReadonlyArray<string>
  /**
   * Folder that holds the environments. Defaults to `.snakepit` beside the nearest `package.json`, in the working
   * directory or above it.
   */
  readonly directory?: string | undefined
}

/** How to report an installation. */
export interface ProgressOptions {
  /**
   * `terminal` shows on stderr what is being installed, when something has to be; `silent` shows nothing. Defaults to
   * `terminal`.
   */
  readonly progress?: "terminal" | "silent" | undefined
}

/**
 * Makes a virtual environment with the given requirements, or finds the one made before.
 *
 * **Details**
 *
 * Uses uv when there is one (the environment variable `UV`, or on the PATH), otherwise `venv` and `pip`. Several
 * processes may ask at the same time: one builds, the others wait for it. Interruption ends the installer and removes
 * what it had done. An environment that is there costs one look at the file system besides finding the interpreter.
 */
export const make = (options: MakeOptions): Effect.Effect<Environment, PythonNotFound | EnvironmentError> =>
  Effect.gen(function* () {
    const interpreter = yield* Interpreter.find(options)
    const requirements = normalized(options.requirements)
    const key = hash([...requirements, ...identity(interpreter)])
    const root = path.resolve(options.directory ?? path.join(projectRoot(process.cwd()), ".snakepit"))
    const directory = yield* install({
      what: "Environment",
      directory: path.join(root, "environments", key),
      interpreter,
      file: path.join("bin", "python"),
      progress: options.progress,
      build: (folder, installer, progress) =>
        Effect.gen(function* () {
          yield* useDirectory(root, () => keepOutOfGit(root))
          yield* installer.createEnvironment(folder, progress)
          if (requirements.length === 0) return
          yield* installer.install({ requirements, python: path.join(folder, "bin", "python"), progress })
        })
    })
    return { python: path.join(directory, "bin", "python"), directory, key }
  })

/** What the worker imports besides the standard library, in pip's notation. */
export const workerRequirements: ReadonlyArray<string> = ["ormsgpack>=1.12,<2"]

const ORMSGPACK_MINIMUM = [1, 12] as const

/**
 * The folder to put in front of `sys.path` so that a worker on this interpreter finds what it needs itself; undefined
 * when the interpreter has it already.
 *
 * **Details**
 *
 * The folder belongs to the user, not to the project (`$XDG_CACHE_HOME/snakepit`), and is shared by all projects with an
 * interpreter of the same kind. It is filled the first time, which takes a few seconds, and costs one look at the file
 * system after that.
 */
export const workerDependencies = (
  interpreter: Interpreter.Interpreter,
  options: ProgressOptions = {}
): Effect.Effect<string | undefined, EnvironmentError> => {
  if (interpreter.ormsgpack !== null && isRecent(interpreter.ormsgpack.version)) return Effect.succeed(undefined)
  const kind = [hash(workerRequirements).slice(0, 8), interpreter.abi, interpreter.platform].join("-")
  return install({
    what: "Packages of the worker",
    directory: path.join(cacheDirectory(), `worker-${kind}`),
    interpreter,
    file: "ormsgpack",
    progress: options.progress,
    build: (folder, installer, progress) =>
      installer.install({
        requirements: workerRequirements,
        python: interpreter.path,
        target: folder,
        progress
      })
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Building
// ---------------------------------------------------------------------------------------------------------------------

interface InstallOptions {
  /** Begins the last line of the report. */
  readonly what: string
  readonly directory: string
  readonly interpreter: Interpreter.Interpreter
  /** A file that stands in every usable build. */
  readonly file: string
  readonly progress: "terminal" | "silent" | undefined
  readonly build: (
    folder: string,
    installer: Installer.Installer,
    progress: InstallProgress.InstallProgress
  ) => Effect.Effect<void, EnvironmentError>
}

const install = ({ what, directory, interpreter, file, progress: mode, build }: InstallOptions) =>
  buildOnce({
    directory,
    // A link to an interpreter that was removed since counts as absent.
    isReady: (finished) => fs.existsSync(path.join(finished, file)),
    onWait: (pid) => {
      if (mode !== "silent") process.stderr.write(`Waiting for process ${pid}, which is installing the same packages\n`)
    },
    build: (folder) =>
      Effect.gen(function* () {
        const progress = mode === "silent" ? InstallProgress.silent : yield* InstallProgress.make()
        const installer = yield* Installer.select(interpreter)
        yield* build(folder, installer, progress)
        progress.finish(`${what} for Python ${interpreter.version}: ready, made with ${installer.name}`)
      }).pipe(Effect.scoped)
  })

const normalized = (requirements: ReadonlyArray<string>): ReadonlyArray<string> =>
  [
    ...new Set(requirements.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#")))
  ].toSorted()

/** Two paths of the same interpreter, like a virtual environment and what it was made from, make equal environments. */
const identity = ({ path: file, version, implementation, platform, abi }: Interpreter.Interpreter) => [
  fs.realpathSync(file),
  version,
  implementation,
  platform,
  abi
]

const hash = (parts: ReadonlyArray<string>): string =>
  createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16)

const isRecent = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  return major === ORMSGPACK_MINIMUM[0] && minor >= ORMSGPACK_MINIMUM[1]
}

const projectRoot = (folder: string): string => {
  if (fs.existsSync(path.join(folder, "package.json"))) return folder
  const parent = path.dirname(folder)
  return parent === folder ? process.cwd() : projectRoot(parent)
}

/** What stands in `.snakepit` is made from what is in the project, so it is no part of the project. */
const keepOutOfGit = (root: string) => {
  const file = path.join(root, ".gitignore")
  if (!fs.existsSync(file)) fs.writeFileSync(file, "*\n")
}
