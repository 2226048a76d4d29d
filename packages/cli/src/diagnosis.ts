/**
 * What Snakepit needs of a machine, as checks: each finds that all is well, or says what is wrong and what helps. They look and
 * change nothing.
 */
import { Snakepit } from "@snakepit/core"
import { Hardware } from "@snakepit/hardware"
import { Environment, EnvironmentError, Instances, Interpreter, SnakepitNode } from "@snakepit/python-worker"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** What a check has found. A warning lets programs run, with something missing. */
export interface Finding {
  readonly check: string
  readonly status: "ok" | "warning" | "failed"
  readonly detail: string
  /** What helps, as a command where one does; null when nothing is wrong. */
  readonly remedy: string | null
}

type Outcome = Omit<Finding, "check">

const ok = (detail: string): Outcome => ({ status: "ok", detail, remedy: null })
const warning = (detail: string, remedy: string): Outcome => ({ status: "warning", detail, remedy })
const failed = (detail: string, remedy: string): Outcome => ({ status: "failed", detail, remedy })

/** Where the operating system tells about itself; tests have another root. */
export interface Machine {
  readonly sharedMemory: string
  readonly limits: string
}

/** This machine. */
export const machine: Machine = { sharedMemory: "/dev/shm", limits: "/proc/self/limits" }

/** All checks, in the order in which one thing rests on another. */
export const examine = (
  options: Environment.EnvironmentOptions,
  { limits, sharedMemory }: Machine = machine
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.forEach(
    [
      ["node", node],
      ["interpreter", interpreter(options)],
      ["worker", worker(options)],
      ["uv", uv(options)],
      ["lock", lock(options)],
      ["shared memory", sharedMemoryOf(sharedMemory)],
      ["sockets", sockets],
      ["cache", cache],
      ["open files", openFiles(limits)],
      ["accelerator", accelerator(options)],
      ["leftovers", leftovers]
    ] as const,
    ([check, run]) => Effect.map(run, (outcome): Finding => ({ check, ...outcome })),
    { concurrency: 4 }
  )

// ---------------------------------------------------------------------------------------------------------------------
// Programs
// ---------------------------------------------------------------------------------------------------------------------

const oldestNode = [22, 19] as const

const node = Effect.sync((): Outcome => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  const isOld = major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])
  const needed = oldestNode.join(".")
  return isOld
    ? failed(`Node ${process.versions.node}`, `Install Node ${needed} or newer.`)
    : ok(`Node ${process.versions.node}`)
})

/** The interpreter that workers would run on. Installs nothing. */
const interpreter = (options: Environment.EnvironmentOptions): Effect.Effect<Outcome> =>
  Effect.match(Interpreter.find({ python: options.python }), {
    onFailure: (error) => failed(error.message, "Install Python 3.10 or newer, or name one with --python."),
    onSuccess: ({ path: file, version }) => ok(`Python ${version}, ${file}`)
  })

/** A worker that starts and answers, the way programs start it. */
const worker = (options: Environment.EnvironmentOptions): Effect.Effect<Outcome> =>
  Snakepit.call("math.sqrt", { args: [4], success: Schema.Number }).pipe(
    Effect.provide(pool(options)),
    Effect.match({
      onFailure: (error) =>
        failed(
          "stderr" in error ? [error.message, ...error.stderr].join("\n") : error.message,
          'Run "snakepit setup"; what a module prints above when it is imported has to be mended there.'
        ),
      onSuccess: () => ok("starts and answers")
    })
  )

/** Nothing is said while checks run: a worker's log is part of what its check finds. */
const pool = (options: Environment.EnvironmentOptions) =>
  SnakepitNode.layer({ pools: { default: { ...options, size: 1, start: "spawn", progress: "silent" } } }).pipe(
    Layer.provide(Logger.layer([]))
  )

// ---------------------------------------------------------------------------------------------------------------------
// Environments
// ---------------------------------------------------------------------------------------------------------------------

const uv = (options: Environment.EnvironmentOptions): Effect.Effect<Outcome> =>
  Effect.match(Environment.uvPath(options.uv), {
    onFailure: (error) => failed(error.message, "pip install uv"),
    onSuccess: (found) =>
      found === undefined
        ? warning("there is no uv; it is fetched when it is needed, else venv and pip do the work", "pip install uv")
        : ok(found)
  })

const lock = (options: Environment.EnvironmentOptions): Effect.Effect<Outcome> =>
  Effect.match(Environment.drift(options), {
    onFailure: (error): Outcome =>
      error._tag === "ProjectNotFound" && options.pyproject === undefined
        ? ok("there is no project here")
        : failed(error.message, 'See "snakepit env --help".'),
    onSuccess: (fields): Outcome =>
      fields.length === 0
        ? ok("fits, or there is none")
        : failed(EnvironmentError.describeDrift(fields), "snakepit env lock")
  })

/** The version of an installed package, from its metadata: nothing of it is imported. */
const installed = (name: string) =>
  Effect.option(Snakepit.call("importlib.metadata.version", { args: [name], success: Schema.String }))

/** Whether the build of torch that is installed can use the GPUs that there are. */
const accelerator = (options: Environment.EnvironmentOptions): Effect.Effect<Outcome> =>
  Effect.gen(function* () {
    const { accelerator: kind, cuda, problems } = yield* Hardware.info
    const [problem] = problems
    if (problem !== undefined) return failed(`${problem.detector}: ${problem.detail}`, problem.remedy)
    const [torch, runtime] = yield* Effect.all([installed("torch"), installed("nvidia-cuda-runtime-cu12")]).pipe(
      Effect.provide(pool(options)),
      Effect.orElseSucceed(() => [Option.none<string>(), Option.none<string>()] as const)
    )
    return torchFits(
      kind,
      cuda?.driverCudaVersion ?? undefined,
      Option.getOrUndefined(torch),
      Option.getOrUndefined(runtime)
    )
  }).pipe(Effect.provide(Hardware.layer))

/**
 * Judges a build of torch. `2.9.0+cu128` is for CUDA 12.8, `2.9.0+cpu` for none; a build without such a mark, as PyPI has
 * them, brings the CUDA runtime as a package.
 */
export const torchFits = (
  kind: string,
  driverCuda: string | undefined,
  torch: string | undefined,
  runtime: string | undefined
): Outcome => {
  if (torch === undefined) return ok(`${kind}; torch is not installed`)
  const [, digits] = /\+cu(\d+)$/.exec(torch) ?? []
  const built = digits === undefined ? runtime : `${digits.slice(0, -1)}.${digits.slice(-1)}`
  const remedy = "snakepit setup --torch-backend auto"
  if (kind === "cuda" && built === undefined) return warning(`torch ${torch} cannot use the GPUs that are here`, remedy)
  if (kind !== "cuda" || built === undefined || driverCuda === undefined) return ok(`${kind}; torch ${torch}`)
  // builds of one major version run on every driver of that version, and on newer ones
  return Number.parseInt(built) > Number.parseInt(driverCuda)
    ? failed(`torch ${torch} is built for CUDA ${built}, and the driver serves CUDA ${driverCuda} at most`, remedy)
    : ok(`cuda ${driverCuda}; torch ${torch}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// The machine
// ---------------------------------------------------------------------------------------------------------------------

/** Below this, large tensors soon need another place. */
const enoughSharedMemory = 256 * 1024 ** 2

const sharedMemoryOf = (folder: string): Effect.Effect<Outcome> =>
  Effect.tryPromise(() => fs.statfs(folder)).pipe(
    Effect.match({
      onFailure: () => warning(`${folder} is not there: tensors are shared through files`, "docker run --shm-size=1g"),
      onSuccess: ({ blocks, bsize }) => {
        const size = `${folder} has ${Math.round((blocks * bsize) / 1024 ** 2)} MiB`
        return blocks * bsize < enoughSharedMemory ? warning(size, "docker run --shm-size=1g") : ok(size)
      }
    })
  )

const isWritable = (folder: string) =>
  Effect.isSuccess(Effect.tryPromise(() => fs.access(folder, constants.W_OK | constants.X_OK)))

/** Where sockets would stand, as `SnakepitNode` looks for it. */
const sockets: Effect.Effect<Outcome> = Effect.gen(function* () {
  const folder = yield* Instances.root
  return folder === undefined
    ? failed(
        "no folder for sockets can be written to",
        "Set XDG_RUNTIME_DIR or TMPDIR to a short path of a writable folder."
      )
    : ok(folder)
})

const cache: Effect.Effect<Outcome> = Effect.gen(function* () {
  const base = process.env["XDG_CACHE_HOME"] ?? path.join(os.homedir(), ".cache")
  let folder = base
  while (!(yield* Effect.isSuccess(Effect.tryPromise(() => fs.access(folder))))) folder = path.dirname(folder)
  return (yield* isWritable(folder))
    ? ok(base)
    : failed(`${folder} cannot be written to`, "Set XDG_CACHE_HOME to a folder that can be written to.")
})

/** Each worker takes about six descriptors of the host. */
const enoughFiles = 1024

const openFiles = (file: string): Effect.Effect<Outcome> =>
  Effect.tryPromise(() => fs.readFile(file, "utf8")).pipe(
    Effect.match({
      onFailure: () => ok("this system does not tell its limit"),
      onSuccess: (text) => {
        const [, limit = "unlimited"] = /^Max open files\s+(\S+)/m.exec(text) ?? []
        return Number(limit) < enoughFiles
          ? warning(`at most ${limit} open files`, `ulimit -n ${enoughFiles * 4}`)
          : ok(`at most ${limit}`)
      }
    })
  )

const leftovers: Effect.Effect<Outcome> = Effect.map(Instances.leftovers, ({ directories, processes }) => {
  if (processes.length > 0) {
    const pids = processes.join(" ")
    return failed(`workers without a program: ${pids}`, `kill -KILL ${pids}`)
  }
  return directories.length > 0
    ? warning(
        `left by programs that were killed: ${directories.join(", ")}`,
        "The next program that starts removes them."
      )
    : ok("none")
})
