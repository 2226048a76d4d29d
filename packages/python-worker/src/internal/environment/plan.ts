/**
 * What an environment is to be made of, decided before anything is built: the interpreter, the packages as they are locked, and how
 * this machine differs from the one that locked them.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { SnakepitError } from "@snakepit/core"
import * as Effect from "effect/Effect"
import {
  describeDrift,
  type DriftField,
  type EnvironmentError,
  LockDrift,
  ProjectNotFound
} from "../../EnvironmentError.ts"
import * as EnvironmentLock from "../../EnvironmentLock.ts"
import { check, type SyncOptions, type UvOptions } from "../../EnvironmentOptions.ts"
import * as Interpreter from "../../Interpreter.ts"
import { useDirectory } from "../directory.ts"
import { accelerator } from "./accelerator.ts"
import { basePython } from "./basePython.ts"
import { digest, keyOf } from "./digest.ts"
import { requirementsFile } from "./installer.ts"
import * as Pip from "./pip.ts"
import * as Project from "./project.ts"
import { reportingEnd } from "./report.ts"
import * as Uv from "./uv.ts"

export type Source =
  | { readonly kind: "requirements"; readonly requirements: ReadonlyArray<string> }
  | Project.PyProject
  | Project.ForeignProject

export const isForeign = (source: Source): source is Project.ForeignProject =>
  source.kind === "poetry" || source.kind === "conda"

export interface Plan {
  readonly source: Source
  readonly interpreter: Interpreter.Interpreter
  readonly identity: EnvironmentLock.Identity
  readonly lockFile: string | undefined
  /** Inline requirements as they are locked. */
  readonly packages: ReadonlyArray<string> | undefined
}

/** When packages are locked: whenever asked for, if no lock is there, or not at all. */
export type Locking = "always" | "missing" | "never"

/** Where the packages are from, when the options hold. */
export const sourceOf = (options: SyncOptions): Effect.Effect<Source, ProjectNotFound | SnakepitError.ConfigError> =>
  Effect.gen(function* () {
    yield* check(options)
    if (options.requirements !== undefined) {
      return { kind: "requirements", requirements: normalized(options.requirements) }
    }
    const place = options.pyproject ?? Project.nearest()
    const reason = "neither this folder nor one above it holds a pyproject.toml with a project in it"
    if (place === undefined) return yield* new ProjectNotFound({ path: process.cwd(), reason })
    return yield* Project.open(place)
  })

export const makePlan = (options: SyncOptions, locking: Locking): Effect.Effect<Plan, EnvironmentError> =>
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
      const uv = yield* Uv.findOrNone(options, "lock Python packages")
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
    const uv = yield* Uv.findOrNone(options.uv ?? {}, "lock a project")
    if (uv !== undefined)
      yield* Uv.project(uv, { folder, python: interpreter.path, step: "lock a project", args: ["lock"] })
  })

const lockHash = (source: Source): string | null => {
  if (source.kind === "requirements") return null
  const file = source.kind === "pyproject" ? path.join(source.folder, "uv.lock") : source.lock
  return file === undefined || !fs.existsSync(file) ? null : digest(fs.readFileSync(file))
}

/** How the plan differs from the lock file, where that is no failure; undefined when there is no lock file yet. */
export const checkLock = (
  { identity: found, lockFile }: Plan,
  options: SyncOptions
): Effect.Effect<ReadonlyArray<DriftField> | undefined, EnvironmentError> =>
  Effect.gen(function* () {
    if (lockFile === undefined) return []
    const locked = yield* EnvironmentLock.read(lockFile)
    if (locked === undefined) return undefined
    const fields = EnvironmentLock.compare(locked.identity, found)
    if (fields.length === 0) return []
    if (options.drift === "fail") return yield* new LockDrift({ path: lockFile, fields })
    yield* Effect.logWarning(`This machine is not what ${lockFile} was made on:\n${describeDrift(fields)}`)
    return fields
  })

/** Writes the lock file, where there is to be one. */
export const writeLock = ({ identity, lockFile, packages, source }: Plan): Effect.Effect<void, EnvironmentError> => {
  if (lockFile === undefined) return Effect.void
  const inline =
    source.kind === "requirements" && packages !== undefined ? { requirements: source.requirements, packages } : {}
  return EnvironmentLock.write(lockFile, { lockVersion: 1, identity, ...inline })
}

// ---------------------------------------------------------------------------------------------------------------------
// Names
// ---------------------------------------------------------------------------------------------------------------------

const normalized = (requirements: ReadonlyArray<string>): ReadonlyArray<string> =>
  [
    ...new Set(requirements.map((line) => line.trim()).filter((line) => line !== "" && !line.startsWith("#")))
  ].toSorted()

/** Two paths of the same interpreter, like a virtual environment and what it was made from, make equal environments. */
export const planKey = (
  { identity: made, interpreter: base, packages, source }: Plan,
  { uv = {} }: SyncOptions
): string => {
  const machine = [
    fs.realpathSync(base.path),
    made.version,
    made.implementation,
    made.platform,
    base.abi,
    made.hardware
  ]
  if (source.kind === "requirements") {
    const backend = uv.torchBackend ?? process.env["UV_TORCH_BACKEND"] ?? "auto"
    return keyOf([...(packages ?? source.requirements), ...machine, backend])
  }
  // uv's own variables that choose among what is locked
  const groups = ["UV_NO_DEV", "UV_NO_DEFAULT_GROUPS"].map((name) => process.env[name] ?? "")
  return keyOf([source.folder, source.kind === "pyproject" ? source.text : "", made.lock ?? "", ...machine, ...groups])
}
