/**
 * Finds uv, fetches it when it is nowhere, and runs it: its failures become typed errors, its lines progress events.
 *
 * All knowledge of uv's command line and words stands here.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { type EnvironmentError, UvMissing } from "../../EnvironmentError.ts"
import type { UvOptions } from "../../EnvironmentOptions.ts"
import { type Emit, EnvironmentProgress } from "../../EnvironmentProgress.ts"
import * as Interpreter from "../../Interpreter.ts"
import { buildOnce } from "../buildOnce.ts"
import { cacheDirectory } from "../cacheDirectory.ts"
import { isExecutable, which } from "../executable.ts"
import { perform } from "./installer.ts"
import * as Pip from "./pip.ts"

/** A uv that can be run, and how. */
export interface Uv {
  readonly command: string
  readonly env: NodeJS.ProcessEnv
  readonly torchBackend: ReadonlyArray<string>
}

/** The uv package that is fetched when there is none. */
const UV_REQUIREMENT = "uv>=0.8"

/** The command in the folder that the package is installed into. */
const UV_FILE = path.join("bin", "uv")

/** Where a fetched uv stands. */
const fetchedUv = (): string => path.join(cacheDirectory(), "uv", "current", UV_FILE)

/**
 * uv from the option, the environment variable `UV`, the PATH, or else from the package index into the user's cache. One that is
 * named and cannot be run is an error, never passed over.
 */
export const find = (options: UvOptions, step: string): Effect.Effect<Uv, UvMissing> =>
  Effect.gen(function* () {
    const found = yield* present(options, step)
    if (found !== undefined) return configured(found, options)
    if (options.offline === true) {
      return yield* new UvMissing({ step, tried: [{ what: fetchedUv(), why: "it was not fetched yet" }] })
    }
    return configured(yield* fetch(step), options)
  })

/** The uv that is there, without the one that could be fetched. */
export const present = (options: UvOptions, step: string): Effect.Effect<string | undefined, UvMissing> =>
  Effect.gen(function* () {
    const missing = (what: string, why: string) => new UvMissing({ step, tried: [{ what, why }] })
    const named = [
      ["the option uv.path", options.path],
      ["the environment variable UV", process.env["UV"]]
    ] as const
    for (const [what, given] of named) {
      if (given === undefined || given === "") continue
      const file = which(given)
      if (file === undefined) return yield* missing(`${what} "${given}"`, "it is not an executable file")
      return file
    }
    const fetched = fetchedUv()
    return which("uv") ?? (isExecutable(fetched) ? fetched : undefined)
  })

/** Whether nothing but uv will do: a certain one is asked for, or the network is not to be used, which pip cannot do without. */
export const isRequired = (options: UvOptions): boolean =>
  options.path !== undefined ||
  options.offline === true ||
  (process.env["UV"] !== undefined && process.env["UV"] !== "")

/** uv, unless it cannot be had and nobody asked for a certain one; that is said once. */
export const findOrNone = (options: UvOptions, step: string): Effect.Effect<Uv | undefined, UvMissing> =>
  Effect.catchTag(find(options, step), "UvMissing", (error) =>
    isRequired(options)
      ? Effect.fail(error)
      : Effect.map(EnvironmentProgress, (emit) => {
          if (!saidWithoutUv) emit({ _tag: "Note", text: "uv cannot be had; venv and pip do the work, more slowly" })
          saidWithoutUv = true
          return undefined
        })
  )

/** Whether this process has said already that it does without uv. */
let saidWithoutUv = false

/** Where this process has tried to fetch uv in vain: it does not try again. */
const inVain = new Map<string, UvMissing>()

/** Installs the package `uv` into a folder of the user's cache, with the Python that is there. */
const fetch = (step: string): Effect.Effect<string, UvMissing> =>
  Effect.gen(function* () {
    const directory = path.join(cacheDirectory(), "uv")
    const before = inVain.get(directory)
    if (before !== undefined) return yield* new UvMissing({ step, tried: before.tried })
    const emit = yield* EnvironmentProgress
    return yield* buildOnce({
      directory,
      isReady: (folder) => isExecutable(path.join(folder, UV_FILE)),
      onWait: (pid) => emit({ _tag: "Waiting", pid }),
      build: (folder) => Effect.flatMap(Interpreter.find(), (interpreter) => installUv(interpreter, folder))
    }).pipe(
      Effect.map(fetchedUv),
      Effect.filterOrFail(isExecutable, (command) => new Error(`${command} cannot be run`)),
      Effect.mapError((error) => {
        const index = { what: "the package uv from the package index", why: error.message }
        const missing = new UvMissing({ step, tried: [{ what: "uv", why: "not on the PATH" }, index] })
        inVain.set(directory, missing)
        return missing
      })
    )
  })

const installUv = (interpreter: Interpreter.Interpreter, folder: string): Effect.Effect<void, EnvironmentError> => {
  // what a virtual environment was made from has pip more often than the environment itself
  const base = fs.realpathSync(interpreter.path)
  return Pip.installBeside(base, folder, [UV_REQUIREMENT], "fetch uv", Pip.quickly).pipe(
    // a Python without pip may be able to make an environment that has it
    Effect.catchTag("InstallFailed", () =>
      Effect.andThen(Pip.create(interpreter, folder), Pip.install(folder, [UV_REQUIREMENT], "fetch uv", Pip.quickly))
    )
  )
}

const configured = (command: string, options: UvOptions): Uv => {
  const env: Record<string, string> = {}
  // Certificates of the system, as pip uses them: behind a company's proxy uv's own know nothing of its certificate. The second is
  // the name of older versions.
  if (!["UV_SYSTEM_CERTS", "UV_NATIVE_TLS"].some((name) => process.env[name] !== undefined)) {
    env["UV_SYSTEM_CERTS"] = "1"
    env["UV_NATIVE_TLS"] = "1"
  }
  if (options.offline === true) env["UV_OFFLINE"] = "1"
  if (options.pythonMirror !== undefined) env["UV_PYTHON_INSTALL_MIRROR"] = options.pythonMirror
  if (options.pythonDownloads !== undefined) env["UV_PYTHON_DOWNLOADS_JSON_URL"] = options.pythonDownloads
  const backend = options.torchBackend ?? (process.env["UV_TORCH_BACKEND"] === undefined ? "auto" : undefined)
  return { command, env, torchBackend: backend === undefined ? [] : ["--torch-backend", backend] }
}

// ---------------------------------------------------------------------------------------------------------------------
// Interpreters
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The interpreter for a request like `3.13` or `>=3.11`: one that uv manages before one of the system; a managed one is installed
 * when there is none that works.
 */
export const findPython = (uv: Uv, request: string, managed: boolean): Effect.Effect<string, EnvironmentError> =>
  look(uv, request, managed).pipe(
    // what stands on the PATH can be the shim of a version manager that has no such version
    Effect.catchTag(["PythonNotFound", "InstallFailed"], () =>
      perform({
        step: `install Python ${request} with uv`,
        command: uv.command,
        args: ["python", "install", "--no-bin", request],
        env: uv.env,
        reader
      }).pipe(Effect.andThen(look(uv, request, true)))
    )
  )

const look = (uv: Uv, request: string, managed: boolean): Effect.Effect<string, EnvironmentError> =>
  perform({
    step: `find Python ${request} with uv`,
    command: uv.command,
    args: ["python", "find", "--system", "--no-python-downloads", ...(managed ? ["--managed-python"] : []), request],
    env: uv.env,
    quiet: true
  }).pipe(Effect.map(({ stdout }) => stdout.trim()))

// ---------------------------------------------------------------------------------------------------------------------
// Requirements
// ---------------------------------------------------------------------------------------------------------------------

/** Creates a virtual environment in a folder that does not exist yet. */
export const create = (
  uv: Uv,
  { path: python, version }: Interpreter.Interpreter,
  folder: string
): Effect.Effect<void, EnvironmentError> =>
  perform({
    step: `create a virtual environment for Python ${version} with uv`,
    command: uv.command,
    args: ["venv", "--no-project", "--no-python-downloads", "--python", python, folder],
    env: uv.env
  }).pipe(Effect.asVoid)

/** Installs into a virtual environment, or only beside an interpreter when `target` names a folder. */
export const install = (uv: Uv, python: string, file: string, target?: string): Effect.Effect<void, EnvironmentError> =>
  perform({
    step: "install Python packages with uv",
    command: uv.command,
    args: [
      "pip",
      "install",
      // Without bytecode the first start of each of several workers would compile the same packages at the same time.
      "--compile-bytecode",
      ...uv.torchBackend,
      "--python",
      python,
      ...(target === undefined ? [] : ["--target", target]),
      "-r",
      file
    ],
    env: uv.env,
    reader
  }).pipe(Effect.asVoid)

/** Resolves requirements to exact versions with hashes, for all platforms, in pip's notation. */
export const compile = (uv: Uv, python: string, file: string): Effect.Effect<string, EnvironmentError> =>
  perform({
    step: "lock Python packages with uv",
    command: uv.command,
    args: [
      ..."pip compile --universal --generate-hashes --no-annotate --no-header --quiet".split(" "),
      ...uv.torchBackend,
      "--python",
      python,
      file
    ],
    env: uv.env
  }).pipe(Effect.map(({ stdout }) => stdout))

// ---------------------------------------------------------------------------------------------------------------------
// Projects
// ---------------------------------------------------------------------------------------------------------------------

/** Runs a command on a project: `init`, `add`, `remove` or `lock`. Only the files of the project change. */
export const project = (
  uv: Uv,
  options: {
    readonly step: string
    readonly folder: string
    readonly python: string
    readonly args: ReadonlyArray<string>
  }
): Effect.Effect<void, EnvironmentError> =>
  perform({
    step: `${options.step} with uv`,
    command: uv.command,
    args: [
      ...options.args.slice(0, 1),
      "--directory",
      options.folder,
      "--python",
      options.python,
      ...options.args.slice(1)
    ],
    env: uv.env,
    lock: path.join(options.folder, "uv.lock"),
    reader
  }).pipe(Effect.asVoid)

/** Installs a project's locked packages into a folder that does not exist yet. A lock that is out of date is `LockDrift`. */
export const sync = (
  uv: Uv,
  options: { readonly folder: string; readonly python: string; readonly into: string }
): Effect.Effect<void, EnvironmentError> =>
  perform({
    step: "install the locked Python packages with uv",
    command: uv.command,
    args: ["sync", "--locked", "--compile-bytecode", "--directory", options.folder, "--python", options.python],
    env: { ...uv.env, UV_PROJECT_ENVIRONMENT: options.into },
    lock: path.join(options.folder, "uv.lock"),
    reader
  }).pipe(Effect.asVoid)

// ---------------------------------------------------------------------------------------------------------------------
// Reading what it prints
// ---------------------------------------------------------------------------------------------------------------------

/** Lines like `Downloading numpy (16.1MiB)`, ` Downloaded numpy`; only large downloads are printed, and several run at a time. */
const reader = (emit: Emit) => {
  const running = new Set<string>()
  let begun = 0
  const show = (name: string, size?: string) =>
    emit({ _tag: "Package", activity: "downloading", name, size, done: begun - running.size, total: begun })
  return (line: string) => {
    const [, downloading, size] = /^ *Downloading (\S+)(?: \(download\))? \((.*)\)/.exec(line) ?? []
    if (downloading !== undefined) {
      begun += 1
      running.add(downloading)
      show(downloading, size)
    }
    const downloaded = /^ *Downloaded (\S+)/.exec(line)?.[1]
    if (downloaded !== undefined) {
      running.delete(downloaded)
      // what is waited for now
      const [next = downloaded] = running
      show(next)
    }
    const building = /^ *Building (\S+)/.exec(line)?.[1]
    if (building !== undefined) emit({ _tag: "Package", activity: "building", name: building })
    const installing = /^Prepared (\d+ packages?)/.exec(line)?.[1]
    if (installing !== undefined) emit({ _tag: "Package", activity: "installing", name: installing })
  }
}
