/**
 * Python environments: a project, or a set of requirements, becomes a virtual environment, made once and found again at once.
 *
 * {@link sync} is for what user code imports; {@link init}, {@link add}, {@link remove} and {@link lock} change what that is.
 * {@link workerDependencies} lays what the worker itself needs beside an environment, never into it. Nothing here prints: progress
 * goes to `EnvironmentProgress.ts`. What can go wrong is in `EnvironmentError.ts`, the lock file in `EnvironmentLock.ts`.
 */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import {
  describeDrift,
  type DriftField,
  type EnvironmentError,
  LockDrift,
  ProjectNotFound,
  UvMissing
} from "./EnvironmentError.ts"
import * as EnvironmentLock from "./EnvironmentLock.ts"
import type { EnvironmentOptions, UvOptions } from "./EnvironmentOptions.ts"
import { EnvironmentProgress } from "./EnvironmentProgress.ts"
import { accelerator } from "./internal/environment/accelerator.ts"
import { basePython } from "./internal/environment/basePython.ts"
import { requirementsFile } from "./internal/environment/installer.ts"
import * as Pip from "./internal/environment/pip.ts"
import * as Project from "./internal/environment/project.ts"
import * as Uv from "./internal/environment/uv.ts"
import { buildOnce } from "./internal/buildOnce.ts"
import { cacheDirectory } from "./internal/cacheDirectory.ts"
import { useDirectory } from "./internal/directory.ts"
import * as Interpreter from "./Interpreter.ts"

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

/** What should be in an environment, and where it should stand. */
export interface SyncOptions extends EnvironmentOptions {
  /**
   * Folder that holds the environments. Defaults to `.snakepit` beside the nearest `package.json`, in the working
   * directory or above it.
   */
  readonly directory?: string | undefined
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
    const { folder: given = ".", name, requirements = [], ...rest } = options
    const folder = path.resolve(given)
    const uv = yield* Uv.find(options.uv ?? {}, "make a project")
    yield* useDirectory(folder, () => fs.mkdirSync(folder, { recursive: true }))
    const interpreter = yield* basePython(rest)
    const args = ["init", "--bare", "--no-workspace", "--name", name ?? projectName(folder)]
    yield* inProject({ uv, folder, interpreter }, "make a project", args)
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
      yield* inProject({ uv, folder: source.folder, interpreter }, "lock a project", args)
    }
    const plan = yield* makePlan(options, "always")
    yield* checkLock(plan, options, "renew")
    return plan.identity
  }).pipe(reportingEnd)

/** What the environment is made of on this machine. Changes and installs nothing. */
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
    const stale = yield* inProject({ uv, folder: source.folder, interpreter }, "check a lock", [
      "lock",
      "--check"
    ]).pipe(
      Effect.as<ReadonlyArray<DriftField>>([]),
      Effect.catchTag("LockDrift", (error) => Effect.succeed(error.fields))
    )
    return [...stale, ...fields]
  }).pipe(
    Effect.catchTag("LockDrift", (error) => Effect.succeed(error.fields)),
    reportingEnd
  )

/** The uv that would do the work; undefined when there is none yet. One that is named and cannot be run is an error. */
export const uvPath = (options: UvOptions = {}): Effect.Effect<string | undefined, UvMissing> =>
  Uv.present(options, "look for it")

/** The interpreter to run workers on: that of the environment when one is described, else the one that `python` leads to. */
export const interpreterOf = (options: SyncOptions): Effect.Effect<Interpreter.Interpreter, EnvironmentError> =>
  options.pyproject === undefined && options.requirements === undefined
    ? reportingEnd(basePython(options))
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
  const kind = [hash(workerRequirements).slice(0, 8), interpreter.abi, interpreter.platform].join("-")
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
// Plans: what an environment is made of, decided before anything is built
// ---------------------------------------------------------------------------------------------------------------------

type Source =
  | { readonly kind: "requirements"; readonly requirements: ReadonlyArray<string> }
  | Project.PyProject
  | Project.ForeignProject

const isForeign = (source: Source): source is Project.ForeignProject =>
  source.kind === "poetry" || source.kind === "conda"

interface Plan {
  readonly source: Source
  readonly interpreter: Interpreter.Interpreter
  readonly identity: EnvironmentLock.Identity
  readonly lockFile: string | undefined
  /** Inline requirements as they are locked. */
  readonly packages: ReadonlyArray<string> | undefined
}

/** When packages are locked: whenever asked for, if no lock is there, or not at all. */
type Locking = "always" | "missing" | "never"

const sourceOf = (options: SyncOptions): Effect.Effect<Source, ProjectNotFound> => {
  if (options.requirements !== undefined) {
    return Effect.succeed({ kind: "requirements", requirements: normalized(options.requirements) })
  }
  const place = options.pyproject ?? Project.nearest()
  const reason = "neither this folder nor one above it holds a pyproject.toml"
  return place === undefined ? Effect.fail(new ProjectNotFound({ path: process.cwd(), reason })) : Project.open(place)
}

const makePlan = (options: SyncOptions, locking: Locking): Effect.Effect<Plan, EnvironmentError> =>
  Effect.gen(function* () {
    const source = yield* sourceOf(options)
    const found = isForeign(source)
      ? yield* Effect.flatMap(Project.interpreterOf(source), (python) => Interpreter.find({ python }))
      : yield* basePython(options, source.kind === "pyproject" ? source.python : undefined)
    const lockFile = lockFileOf(options, source)
    const packages =
      source.kind === "requirements" && lockFile !== undefined
        ? yield* lockedPackages(options, lockFile, source.requirements, found, locking)
        : undefined
    if (source.kind === "pyproject" && locking === "missing") yield* lockProject(options, source, found)
    const { implementation, platform, sha256, version } = found
    const made: EnvironmentLock.Identity = {
      version,
      implementation,
      platform,
      interpreter: sha256,
      lock: packages === undefined ? lockHash(source) : digest(packages.join("\n")),
      hardware: accelerator()
    }
    return { source, interpreter: found, identity: made, lockFile, packages }
  }).pipe(reportingEnd)

const lockFileOf = (options: SyncOptions, source: Source): string | undefined => {
  if (options.lock !== undefined) return path.resolve(options.lock)
  return source.kind === "pyproject" ? path.join(source.folder, EnvironmentLock.fileName) : undefined
}

/** The exact packages of inline requirements. */
const lockedPackages = (
  options: SyncOptions,
  lockFile: string,
  requirements: ReadonlyArray<string>,
  interpreter: Interpreter.Interpreter,
  locking: Locking
): Effect.Effect<ReadonlyArray<string> | undefined, EnvironmentError> =>
  Effect.gen(function* () {
    const locked = locking === "always" ? undefined : yield* EnvironmentLock.read(lockFile)
    if (locked === undefined && locking === "never") return undefined
    if (locked === undefined) return yield* compile(options.uv ?? {}, requirements, interpreter)
    const before = locked.requirements ?? []
    if (before.join("\n") !== requirements.join("\n")) {
      const field = { field: "requirements", locked: before.join(", "), found: requirements.join(", ") }
      return yield* new LockDrift({ path: lockFile, fields: [field] })
    }
    return locked.packages ?? []
  })

const compile = (
  options: UvOptions,
  requirements: ReadonlyArray<string>,
  interpreter: Interpreter.Interpreter
): Effect.Effect<ReadonlyArray<string>, EnvironmentError> =>
  Effect.scoped(
    Effect.gen(function* () {
      const uv = yield* uvOrNone(options, "lock Python packages")
      const scratch = yield* Effect.acquireRelease(
        useDirectory(os.tmpdir(), () => fs.mkdtempSync(path.join(os.tmpdir(), "snakepit-lock-"))),
        (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
      )
      if (uv === undefined) return yield* Pip.compile(interpreter.path, requirements, scratch)
      const text = yield* Uv.compile(uv, interpreter.path, yield* requirementsFile(scratch, requirements))
      // One package a line, its hashes behind it.
      return normalized(text.replaceAll(/\\\n\s*/g, "").split("\n"))
    })
  )

/** Makes the `uv.lock` of a project that has none. */
const lockProject = (
  options: SyncOptions,
  { folder }: Project.PyProject,
  interpreter: Interpreter.Interpreter
): Effect.Effect<void, EnvironmentError> =>
  Effect.gen(function* () {
    if (fs.existsSync(path.join(folder, "uv.lock"))) return
    const uv = yield* uvOrNone(options.uv ?? {}, "lock a project")
    if (uv !== undefined) yield* inProject({ uv, folder, interpreter }, "lock a project", ["lock"])
  })

const lockHash = (source: Source): string | null => {
  if (source.kind === "requirements") return null
  const file = source.kind === "pyproject" ? path.join(source.folder, "uv.lock") : source.lock
  return file === undefined || !fs.existsSync(file) ? null : digest(fs.readFileSync(file))
}

/** Holds the plan against the lock file, or writes it. Answers what is different, where that is no failure. */
const checkLock = (
  { identity: found, lockFile, packages, source }: Plan,
  options: SyncOptions,
  mode: "keep" | "renew"
): Effect.Effect<ReadonlyArray<DriftField>, EnvironmentError> =>
  Effect.gen(function* () {
    if (lockFile === undefined) return []
    const locked = mode === "renew" ? undefined : yield* EnvironmentLock.read(lockFile)
    if (locked === undefined) {
      const inline =
        source.kind === "requirements" && packages !== undefined ? { requirements: source.requirements, packages } : {}
      yield* EnvironmentLock.write(lockFile, { lockVersion: 1, identity: found, ...inline })
      return []
    }
    const fields = EnvironmentLock.compare(locked.identity, found)
    if (fields.length === 0) return []
    if (options.drift === "fail") return yield* new LockDrift({ path: lockFile, fields })
    yield* Effect.logWarning(`This machine is not what ${lockFile} was made on:\n${describeDrift(fields)}`)
    return fields
  })

// ---------------------------------------------------------------------------------------------------------------------
// Building
// ---------------------------------------------------------------------------------------------------------------------

const carryOut = (
  plan: Plan,
  options: SyncOptions,
  mode: "keep" | "renew"
): Effect.Effect<Environment, EnvironmentError> =>
  Effect.gen(function* () {
    const { identity: made, interpreter: base, source } = plan
    const differences = yield* checkLock(plan, options, mode)
    const key = keyOf(plan)
    if (isForeign(source)) {
      const directory = path.dirname(path.dirname(base.path))
      return { python: base.path, directory, key, identity: made, drift: differences }
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
    return { python: path.join(directory, "bin", "python"), directory, key, identity: made, drift: differences }
  })

const installRequirements = (
  requirements: ReadonlyArray<string>,
  interpreter: Interpreter.Interpreter,
  folder: string,
  uv: Uv.Uv | undefined
): Effect.Effect<void, EnvironmentError> =>
  Effect.gen(function* () {
    yield* uv === undefined ? Pip.create(interpreter, folder) : Uv.create(uv, interpreter, folder)
    if (requirements.length === 0) return
    if (uv === undefined) yield* Pip.install(folder, requirements)
    else yield* Uv.install(uv, path.join(folder, "bin", "python"), yield* requirementsFile(folder, requirements))
  })

const installProject = (
  project: Project.PyProject,
  interpreter: Interpreter.Interpreter,
  options: SyncOptions,
  folder: string,
  uv: Uv.Uv | undefined
): Effect.Effect<void, EnvironmentError> =>
  Effect.gen(function* () {
    if (uv !== undefined) {
      yield* Uv.sync(uv, { folder: project.folder, python: interpreter.path, into: folder })
      return
    }
    if (fs.existsSync(path.join(project.folder, "uv.lock"))) {
      const why = "pip cannot read uv.lock"
      if (options.drift === "fail") {
        return yield* new UvMissing({ step: "install locked packages", tried: [{ what: "pip in its place", why }] })
      }
      yield* Effect.logWarning(`${why}: the packages of ${project.folder} are those that pip chooses`)
    }
    yield* Pip.create(interpreter, folder)
    yield* Pip.install(folder, project.requirements, undefined, project.isPackage ? ["-e", project.folder] : [])
  })

interface BuildOptions {
  /** Begins the last line of the report. */
  readonly what: string
  readonly directory: string
  readonly interpreter: Interpreter.Interpreter
  /** Files that stand in every usable build. */
  readonly ready: ReadonlyArray<string>
  readonly uv: UvOptions
  readonly make: (folder: string, uv: Uv.Uv | undefined) => Effect.Effect<void, EnvironmentError>
}

const build = ({ directory, interpreter, make, ready, uv: options, what }: BuildOptions) =>
  Effect.flatMap(EnvironmentProgress, (emit) =>
    buildOnce({
      directory,
      isReady: (finished) => ready.every((file) => fs.existsSync(path.join(finished, file))),
      onWait: (pid) => emit({ _tag: "Waiting", pid }),
      build: (folder) =>
        Effect.gen(function* () {
          const uv = yield* uvOrNone(options, "make an environment")
          yield* make(folder, uv)
          const installer = uv === undefined ? "venv and pip" : "uv"
          emit({ _tag: "End", text: `${what} for Python ${interpreter.version}: ready, made with ${installer}` })
        })
    })
  ).pipe(reportingEnd)

/** uv, unless it cannot be had and nobody asked for a certain one; that is said once. */
const uvOrNone = (options: UvOptions, step: string): Effect.Effect<Uv.Uv | undefined, UvMissing> =>
  Effect.catchTag(Uv.find(options, step), "UvMissing", (error) =>
    Uv.isNamed(options)
      ? Effect.fail(error)
      : Effect.map(EnvironmentProgress, (emit) => {
          if (!saidWithoutUv) emit({ _tag: "Note", text: "uv cannot be had; venv and pip do the work, more slowly" })
          saidWithoutUv = true
          return undefined
        })
  )

/** Whether this process has said already that it does without uv. */
let saidWithoutUv = false

/** Whatever ends the work ends its report. */
function reportingEnd<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
  return Effect.flatMap(EnvironmentProgress, (emit) =>
    Effect.onExit(effect, () => Effect.sync(() => emit({ _tag: "End", text: undefined })))
  )
}

// ---------------------------------------------------------------------------------------------------------------------
// Changing projects
// ---------------------------------------------------------------------------------------------------------------------

const change = (
  options: SyncOptions,
  step: string,
  args: ReadonlyArray<string>
): Effect.Effect<Environment, EnvironmentError> =>
  Effect.gen(function* () {
    const source = yield* sourceOf({ ...options, requirements: undefined })
    if (source.kind !== "pyproject") {
      const place = source.kind === "requirements" ? "" : source.folder
      return yield* new ProjectNotFound({
        path: place,
        reason: `it is a project of ${source.kind}, which changes it itself`
      })
    }
    const uv = yield* Uv.find(options.uv ?? {}, step)
    const base = yield* basePython(options, source.python)
    yield* inProject({ uv, folder: source.folder, interpreter: base }, step, args)
    const plan = yield* makePlan({ ...options, pyproject: source.folder }, "missing")
    return yield* carryOut(plan, options, "renew")
  }).pipe(reportingEnd)

const inProject = (
  {
    folder,
    interpreter,
    uv
  }: { readonly uv: Uv.Uv; readonly folder: string; readonly interpreter: Interpreter.Interpreter },
  step: string,
  args: ReadonlyArray<string>
) => Uv.project(uv, { step, folder, python: interpreter.path, args })

/** A name that every index takes, from a folder's. */
const projectName = (folder: string): string =>
  path
    .basename(folder)
    .replaceAll(/[^A-Za-z0-9]+/g, "-")
    .replaceAll(/^-|-$/g, "")
    .toLowerCase() || "project"

// ---------------------------------------------------------------------------------------------------------------------
// Names and places
// ---------------------------------------------------------------------------------------------------------------------

const normalized = (requirements: ReadonlyArray<string>): ReadonlyArray<string> =>
  [
    ...new Set(requirements.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#")))
  ].toSorted()

/** Two paths of the same interpreter, like a virtual environment and what it was made from, make equal environments. */
const keyOf = ({ identity: made, interpreter: base, packages, source }: Plan): string => {
  const machine = [
    fs.realpathSync(base.path),
    made.version,
    made.implementation,
    made.platform,
    base.abi,
    made.hardware
  ]
  if (source.kind === "requirements") return hash([...(packages ?? source.requirements), ...machine])
  return hash([source.folder, source.kind === "pyproject" ? source.text : "", made.lock ?? "", ...machine])
}

const hash = (parts: ReadonlyArray<string>): string => digest(JSON.stringify(parts)).slice(0, 16)

const digest = (content: string | Buffer): string => createHash("sha256").update(content).digest("hex")

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

export type { EnvironmentOptions, UvOptions } from "./EnvironmentOptions.ts"
