/** Builds what was planned: once, whoever asks, with uv or without it. */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { type EnvironmentError, UvMissing } from "../../EnvironmentError.ts"
import type { SyncOptions, UvOptions } from "../../EnvironmentOptions.ts"
import { EnvironmentProgress } from "../../EnvironmentProgress.ts"
import type * as Interpreter from "../../Interpreter.ts"
import { buildOnce } from "../buildOnce.ts"
import { requirementsFile } from "./installer.ts"
import * as Pip from "./pip.ts"
import type * as Project from "./project.ts"
import { reportingEnd } from "./report.ts"
import * as Uv from "./uv.ts"

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

export const build = ({ directory, interpreter, make, ready, uv: options, what }: BuildOptions) =>
  Effect.flatMap(EnvironmentProgress, (emit) =>
    buildOnce({
      directory,
      isReady: (finished) => ready.every((file) => fs.existsSync(path.join(finished, file))),
      onWait: (pid) => emit({ _tag: "Waiting", pid }),
      build: (folder) =>
        Effect.gen(function* () {
          const uv = yield* Uv.findOrNone(options, "make an environment")
          yield* make(folder, uv)
          const installer = uv === undefined ? "venv and pip" : "uv"
          emit({ _tag: "End", text: `${what} for Python ${interpreter.version}: ready, made with ${installer}` })
        })
    })
  ).pipe(reportingEnd)

export const installRequirements = (
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

export const installProject = (
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
