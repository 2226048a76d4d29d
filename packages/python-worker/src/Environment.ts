/**
 * Python environments: a project, or a set of requirements, becomes a virtual environment, made once and found again at once.
 *
 * {@link sync} is for what user code imports; {@link init}, {@link add}, {@link remove} and {@link lock} change what that is.
 * {@link workerDependencies} lays what the worker itself needs beside an environment, never into it. Nothing here prints: progress
 * goes to `EnvironmentProgress.ts`. What can go wrong is in `EnvironmentError.ts`, the lock file in `EnvironmentLock.ts`.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { type DriftField, type EnvironmentError, ProjectNotFound, type UvMissing } from "./EnvironmentError.ts"
import * as EnvironmentLock from "./EnvironmentLock.ts"
import { check, type SyncOptions, type UvOptions } from "./EnvironmentOptions.ts"
import { cacheDirectory } from "./internal/cacheDirectory.ts"
import { useDirectory } from "./internal/directory.ts"
import { basePython } from "./internal/environment/basePython.ts"
import { build, installProject, installRequirements } from "./internal/environment/build.ts"
import { keyOf } from "./internal/environment/digest.ts"
import { requirementsFile } from "./internal/environment/installer.ts"
import * as Pip from "./internal/environment/pip.ts"
import { checkLock, isForeign, makePlan, type Plan, planKey, sourceOf, writeLock } from "./internal/environment/plan.ts"
import * as Project from "./internal/environment/project.ts"
import { reportingEnd } from "./internal/environment/report.ts"
import * as Uv from "./internal/environment/uv.ts"
import * as Interpreter from "./Interpreter.ts"

export { cacheDirectory } from "./internal/cacheDirectory.ts"
export type { EnvironmentOptions, SyncOptions, UvOptions } from "./EnvironmentOptions.ts"

/** An environment that is ready to use. */
export interface Environment {
  /** Absolute path of its interpreter. */
  readonly python: string
  /** Absolute path of its folder. */
  readonly directory: string
  /** Hash of what it was made from: equal keys mean equal environments. */
  readonly key: string
  readonly identity: EnvironmentLock.Identity
  /** How the machine differs from the lock file, where that is no failure. */
  readonly drift: ReadonlyArray<DriftField>
}

/** How to lock. */
export interface LockOptions extends SyncOptions {
  /** Whether to take the newest versions, and not those locked before. Defaults to `false`. */
  readonly upgrade?: boolean | undefined
}

/** A project that does not exist yet. */
export interface InitOptions extends Omit<SyncOptions, "pyproject"> {
  /** Its folder, which is made when it is missing. Defaults to the working directory. */
  readonly folder?: string | undefined
  /** Its name. Defaults to that of the folder. */
  readonly name?: string | undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// What users do with environments
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Makes the environment, or finds the one made before. Without `pyproject` and `requirements` it is that of the nearest project.
 *
 * **Details**
 *
 * Uses uv, fetched when it is nowhere; `venv` and `pip` do the work when uv cannot be had. A project without `uv.lock`, and
 * requirements whose `lock` does not exist, are locked first; a lock that does not fit its requirements any more is `LockDrift`.
 * Several processes may ask at the same time: one builds, the others wait for it. Interruption ends the installer and removes what
 * it had done. An environment that is there costs a few small files to read.
 */
export const sync = (options: SyncOptions = {}): Effect.Effect<Environment, EnvironmentError> =>
  Effect.flatMap(makePlan(options, "missing"), (plan) => carryOut(plan, options, "keep"))

/** Makes a project: its `pyproject.toml` with the given requirements, its locks, its environment. Needs uv. */
export const init = (options: InitOptions = {}): Effect.Effect<Environment, EnvironmentError> =>
  Effect.gen(function* () {
    yield* check(options)
    const { folder: given = ".", name, requirements = [], ...rest } = options
    const folder = path.resolve(given)
    const uv = yield* Uv.find(options.uv ?? {}, "make a project")
    yield* useDirectory(folder, () => fs.mkdirSync(folder, { recursive: true }))
    const interpreter = yield* basePython(rest)
    const args = ["init", "--bare", "--no-workspace", "--name", name ?? projectName(folder)]
    yield* Uv.project(uv, { folder, python: interpreter.path, step: "make a project", args })
    return yield* add(requirements, { ...rest, pyproject: folder })
  }).pipe(reportingEnd)

/** Adds packages, in pip's notation, to a project, and makes its environment. What cannot be had is not added. Needs uv. */
export const add = (packages: ReadonlyArray<string>, options: SyncOptions = {}) =>
  change(
    options,
    "add packages to a project",
    packages.length === 0 ? ["lock"] : ["add", "--no-sync", "--", ...packages]
  )

/** Removes packages, by name, from a project, and makes its environment. Needs uv. */
export const remove = (packages: ReadonlyArray<string>, options: SyncOptions = {}) =>
  change(options, "remove packages from a project", ["remove", "--no-sync", "--", ...packages])

/**
 * Resolves the requirements anew and writes the lock files: `uv.lock` and `snakepit.lock.json` of a project, or the file `lock` for
 * inline requirements. Installs nothing. Answers the identity that is locked now.
 */
export const lock = (options: LockOptions = {}): Effect.Effect<EnvironmentLock.Identity, EnvironmentError> =>
  Effect.gen(function* () {
    const source = yield* sourceOf(options)
    if (source.kind === "pyproject") {
      const uv = yield* Uv.find(options.uv ?? {}, "lock a project")
      const interpreter = yield* basePython(options, source.python)
      const args = options.upgrade === true ? ["lock", "--upgrade"] : ["lock"]
      yield* Uv.project(uv, { folder: source.folder, python: interpreter.path, step: "lock a project", args })
    }
    if (source.kind === "requirements" && options.lock === undefined) {
      const reason = "inline requirements are locked in the file that the option `lock` names, and there is none"
      return yield* new ProjectNotFound({ path: process.cwd(), reason })
    }
    const plan = yield* makePlan(options, "always")
    yield* writeLock(plan)
    return plan.identity
  }).pipe(reportingEnd)

/** What the environment is made of on this machine. Installs nothing but an interpreter that is asked for and not there. */
export const identity = (options: SyncOptions = {}): Effect.Effect<EnvironmentLock.Identity, EnvironmentError> =>
  Effect.map(makePlan(options, "never"), (plan) => plan.identity)

/**
 * How this machine, and the requirements, differ from what is locked, field by field; nothing when there is no lock. Asks uv
 * whether `uv.lock` still fits, so it costs more than {@link sync} does when nothing has changed.
 */
export const drift = (options: SyncOptions = {}): Effect.Effect<ReadonlyArray<DriftField>, EnvironmentError> =>
  Effect.gen(function* () {
    const plan = yield* makePlan(options, "never")
    const locked = plan.lockFile === undefined ? undefined : yield* EnvironmentLock.read(plan.lockFile)
    const fields = locked === undefined ? [] : EnvironmentLock.compare(locked.identity, plan.identity)
    const { interpreter, source } = plan
    if (source.kind !== "pyproject" || !fs.existsSync(path.join(source.folder, "uv.lock"))) return fields
    const uv = yield* Uv.find(options.uv ?? {}, "check a lock")
    const args = ["lock", "--check"]
    const stale = yield* Uv.project(uv, {
      folder: source.folder,
      python: interpreter.path,
      step: "check a lock",
      args
    }).pipe(
      Effect.as<ReadonlyArray<DriftField>>([]),
      Effect.catchTag("LockDrift", (error) => Effect.succeed(error.fields))
    )
    return [...stale, ...fields]
  }).pipe(
    Effect.catchTag("LockDrift", (error) => Effect.succeed(error.fields)),
    reportingEnd
  )

/** The folder of the nearest project, here or above: the one that is meant without `pyproject` and `requirements`. */
export const nearestProject = (): string | undefined => Project.nearest()

/** The uv that would do the work; undefined when there is none yet. One that is named and cannot be run is an error. */
export const uvPath = (options: UvOptions = {}): Effect.Effect<string | undefined, UvMissing> =>
  Uv.present(options, "look for it")

/** The interpreter to run workers on: that of the environment when one is described, else the one that `python` leads to. */
export const interpreterOf = (options: SyncOptions): Effect.Effect<Interpreter.Interpreter, EnvironmentError> =>
  options.pyproject === undefined && options.requirements === undefined
    ? reportingEnd(Effect.andThen(check(options), basePython(options)))
    : Effect.flatMap(sync(options), ({ python }) => Interpreter.find({ python }))

// ---------------------------------------------------------------------------------------------------------------------
// The worker's own needs
// ---------------------------------------------------------------------------------------------------------------------

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
  options: UvOptions = {}
): Effect.Effect<string | undefined, EnvironmentError> => {
  if (interpreter.ormsgpack !== null && isRecent(interpreter.ormsgpack.version)) return Effect.undefined
  const kind = [keyOf(workerRequirements).slice(0, 8), interpreter.abi, interpreter.platform].join("-")
  return build({
    what: "Packages of the worker",
    directory: path.join(cacheDirectory(), `worker-${kind}`),
    interpreter,
    ready: ["ormsgpack"],
    uv: options,
    make: (folder, uv) =>
      uv === undefined
        ? Pip.installBeside(interpreter.path, folder, workerRequirements)
        : Effect.flatMap(requirementsFile(folder, workerRequirements), (file) =>
            Uv.install(uv, interpreter.path, file, folder)
          )
  })
}

const isRecent = (version: string): boolean => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  return major === ORMSGPACK_MINIMUM[0] && minor >= ORMSGPACK_MINIMUM[1]
}

// ---------------------------------------------------------------------------------------------------------------------
// Carrying out
// ---------------------------------------------------------------------------------------------------------------------

const carryOut = (
  plan: Plan,
  options: SyncOptions,
  mode: "keep" | "renew"
): Effect.Effect<Environment, EnvironmentError> =>
  Effect.gen(function* () {
    const { identity: made, interpreter: base, source } = plan
    const differences = mode === "renew" ? undefined : yield* checkLock(plan, options)
    const key = planKey(plan, options)
    if (isForeign(source)) {
      if (differences === undefined) yield* writeLock(plan)
      const directory = path.dirname(path.dirname(base.path))
      return { python: base.path, directory, key, identity: made, drift: differences ?? [] }
    }
    const root = path.resolve(options.directory ?? path.join(packageRoot(process.cwd()), ".snakepit"))
    const directory = yield* build({
      what: "Environment",
      directory: path.join(root, "environments", key),
      interpreter: base,
      // A link to an interpreter that was removed since counts as absent.
      ready: [path.join("bin", "python"), EnvironmentLock.fileName],
      uv: options.uv ?? {},
      make: (folder, uv) =>
        Effect.gen(function* () {
          yield* useDirectory(root, () => keepOutOfGit(root))
          yield* source.kind === "pyproject"
            ? installProject(source, base, options, folder, uv)
            : installRequirements(plan.packages ?? source.requirements, base, folder, uv)
          // The last thing that is written: without it nothing is finished.
          yield* EnvironmentLock.write(path.join(folder, EnvironmentLock.fileName), { lockVersion: 1, identity: made })
        })
    })
    // what was never built is no reason to hold anybody to it
    if (differences === undefined) yield* writeLock(plan)
    return { python: path.join(directory, "bin", "python"), directory, key, identity: made, drift: differences ?? [] }
  })

const change = (
  options: SyncOptions,
  step: string,
  args: ReadonlyArray<string>
): Effect.Effect<Environment, EnvironmentError> =>
  Effect.gen(function* () {
    const source = yield* sourceOf({ ...options, requirements: undefined })
    if (source.kind !== "pyproject") {
      const place = isForeign(source) ? source.folder : process.cwd()
      const own = source.kind === "poetry" ? "poetry add` and `poetry remove" : "conda env update"
      return yield* new ProjectNotFound({ path: place, reason: `it is ${source.kind}'s, and changed with \`${own}\`` })
    }
    const uv = yield* Uv.find(options.uv ?? {}, step)
    const base = yield* basePython(options, source.python)
    yield* Uv.project(uv, { folder: source.folder, python: base.path, step, args })
    const plan = yield* makePlan({ ...options, pyproject: source.folder }, "missing")
    return yield* carryOut(plan, options, "renew")
  }).pipe(reportingEnd)

/** A name that every index takes, from a folder's. */
const projectName = (folder: string): string =>
  path
    .basename(folder)
    .replaceAll(/[^A-Za-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "")
    .toLowerCase() || "project"

const packageRoot = (folder: string): string => {
  if (fs.existsSync(path.join(folder, "package.json"))) return folder
  const parent = path.dirname(folder)
  return parent === folder ? process.cwd() : packageRoot(parent)
}

/** What stands in `.snakepit` is made from what is in the project, so it is no part of the project. */
const keepOutOfGit = (root: string) => {
  const file = path.join(root, ".gitignore")
  if (!fs.existsSync(file)) fs.writeFileSync(file, "*\n")
}
