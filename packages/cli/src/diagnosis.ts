/**
 * What Snakepit needs of a machine, as checks: each finds that all is well, or says what is wrong and what helps.
 */
import { Snakepit } from "@snakepit/core"
import { Hardware, type HardwareInfo } from "@snakepit/hardware"
import {
  Environment,
  EnvironmentError,
  Instances,
  type PythonWorkerConfig,
  SnakepitNode
} from "@snakepit/python-worker"
import { execFile } from "node:child_process"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
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

/** What workers are started with. */
export type Pool = PythonWorkerConfig.PythonPool

/**
 * All checks, in the order in which one thing rests on another. The worker is started as a program would start it, so an
 * environment that is missing is made.
 */
export const examine = (
  pool: Pool,
  { limits, sharedMemory }: Machine = machine
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    // before there is an instance here, which would remove what others have left
    const left = yield* leftovers
    const [python, forSockets, others, info] = yield* Effect.all(
      [
        interpreter(pool),
        sockets,
        Effect.all({
          uv: uv(pool),
          lock: lock(pool),
          "shared memory": sharedMemoryOf(sharedMemory),
          cache,
          "open files": openFiles(limits)
        }),
        Effect.provide(Hardware.info, Hardware.layer)
      ],
      { concurrency: "unbounded" }
    )
    const isBlocked = [python, forSockets].some(({ status }) => status === "failed")
    const { outcome, torch } = isBlocked ? notStarted : yield* worker(pool)
    const findings = {
      node,
      interpreter: python,
      sockets: forSockets,
      ...others,
      worker: outcome,
      accelerator: accelerator(info, torch),
      leftovers: left
    }
    return Object.entries(findings).map(([check, finding]): Finding => ({ check, ...finding }))
  })

// ---------------------------------------------------------------------------------------------------------------------
// Programs
// ---------------------------------------------------------------------------------------------------------------------

const oldestNode = [22, 19] as const

const node: Outcome = (() => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  const isOld = major < oldestNode[0] || (major === oldestNode[0] && minor < oldestNode[1])
  const found = `Node ${process.versions.node}`
  return isOld ? failed(found, `Install Node ${oldestNode.join(".")} or newer.`) : ok(found)
})()

/** The interpreter that environments are made for, or that workers run on as it is. */
const interpreter = ({ managedPython, python, uv }: Pool): Effect.Effect<Outcome> =>
  Effect.match(Environment.interpreterOf({ managedPython, python, uv }), {
    onFailure: (error) => failed(error.message, "Install Python 3.10 or newer, or name another with --python."),
    onSuccess: ({ path: file, version }) => ok(`Python ${version}, ${file}`)
  })

interface Started {
  readonly outcome: Outcome
  readonly torch: InstalledTorch
}

/** The build of torch that a worker finds. */
export interface InstalledTorch {
  readonly version: string | undefined
  /** That of the package with CUDA's runtime, which builds from PyPI bring along. */
  readonly cudaRuntime: string | undefined
}

const noTorch: InstalledTorch = { version: undefined, cudaRuntime: undefined }

const notStarted: Started = {
  outcome: failed("not started, because of what is said above", "Mend that first."),
  torch: noTorch
}

/** A worker that starts and answers, the way programs start it. */
const worker = (pool: Pool): Effect.Effect<Started> =>
  Effect.gen(function* () {
    yield* Snakepit.call("math.sqrt", { args: [4], success: Schema.Number })
    const torch = { version: yield* installed("torch"), cudaRuntime: yield* installed("nvidia-cuda-runtime-cu12") }
    return { outcome: ok("starts and answers"), torch }
  }).pipe(
    Effect.provide(SnakepitNode.layer({ pools: { default: pool } })),
    // a worker's log is part of what its check finds
    Effect.provide(Logger.layer([])),
    Effect.catchCause((cause) => {
      const { message } = Cause.prettyErrors(cause)[0] ?? new Error("it was interrupted")
      return Effect.succeed({ outcome: failed(message, remedyOf(message)), torch: noTorch })
    })
  )

/** The version of an installed package, from its metadata: nothing of it is imported. */
const installed = (name: string) =>
  Snakepit.call("importlib.metadata.version", { args: [name], success: Schema.String }).pipe(
    Effect.orElseSucceed(() => undefined)
  )

/** Python names the file when a module of its own is not what it finds under that name. */
const remedyOf = (message: string): string => {
  const [, shadow] = /(?:from '[\w.]+' \(|consider renaming ')(\/[^()']+\.py)/.exec(message) ?? []
  return shadow === undefined
    ? "Mend what is named above; what Python runs at every start, like sitecustomize.py, can be the cause."
    : `Rename ${shadow}: Python finds it in place of a module of its own.`
}

// ---------------------------------------------------------------------------------------------------------------------
// Environments
// ---------------------------------------------------------------------------------------------------------------------

const uv = ({ uv: options }: Pool): Effect.Effect<Outcome> =>
  Effect.gen(function* () {
    const found = yield* Environment.uvPath(options)
    if (found === undefined) {
      return warning("there is no uv; it is fetched when it is needed, else venv and pip do the work", "pip install uv")
    }
    return yield* Effect.match(versionOf(found), {
      onFailure: ({ message }) => failed(`${found} cannot be run: ${message}`, uvRemedy()),
      onSuccess: (version) => ok(`${version}, ${found}`)
    })
  }).pipe(Effect.catch((error) => Effect.succeed(failed(error.message, uvRemedy()))))

/** One that is named is never passed over, so another one is of no use before the name is gone. */
const uvRemedy = () =>
  (process.env["UV"] ?? "") === ""
    ? "pip install --force-reinstall uv"
    : "unset UV, or set it to the path of a uv that runs"

const execute = promisify(execFile)

const versionOf = (file: string): Effect.Effect<string, Error> =>
  Effect.tryPromise({
    try: async () => (await execute(file, ["--version"], { timeout: 10_000 })).stdout.trim(),
    catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
  })

const lock = (pool: Pool): Effect.Effect<Outcome> => {
  if (pool.pyproject === undefined && pool.requirements === undefined)
    return Effect.succeed(ok("there is no project here"))
  return Effect.match(Environment.drift(pool), {
    onFailure: (error) =>
      cannotCheck.has(error._tag)
        ? warning(`it could not be checked here: ${error.message}`, "Check it where the environment is made.")
        : failed(error.message, 'See "snakepit env --help".'),
    onSuccess: (fields) =>
      fields.length === 0
        ? ok("fits, or there is none")
        : failed(EnvironmentError.describeDrift(fields), "snakepit env lock")
  })
}

/** uv needs its cache to look at a lock; an environment that is there needs neither. */
const cannotCheck: ReadonlySet<string> = new Set(["EnvironmentNotWritable", "NetworkUnavailable", "UvMissing"])

/** Whether the build of torch that is installed can use the GPUs that there are. */
const accelerator = (
  { accelerator: kind, cuda, problems }: HardwareInfo.HardwareInfo,
  torch: InstalledTorch
): Outcome => {
  const [problem] = problems
  return problem === undefined
    ? torchFits(kind, cuda?.driverCudaVersion ?? undefined, torch)
    : failed(`${problem.detector}: ${problem.detail}`, problem.remedy)
}

/**
 * Judges a build of torch. `2.9.0+cu128` is for CUDA 12.8, `2.9.0+cpu` for none; a build without such a mark, as PyPI has
 * them, brings the CUDA runtime as a package.
 */
export const torchFits = (
  kind: string,
  driverCuda: string | undefined,
  { cudaRuntime, version: torch }: InstalledTorch
): Outcome => {
  if (torch === undefined) return ok(`${kind}; torch is not installed`)
  const [, digits] = /\+cu(\d+)$/.exec(torch) ?? []
  const built = digits === undefined ? cudaRuntime : `${digits.slice(0, -1)}.${digits.slice(-1)}`
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
  const problem = yield* Effect.promise(() => whyNotWritable(base))
  return problem === undefined
    ? ok(base)
    : warning(
        `${problem}: neither uv nor the worker's own packages can be fetched`,
        "Set XDG_CACHE_HOME to a folder that can be written to."
      )
})

/** The folder itself, or the nearest above it that exists and would have to hold it. */
const whyNotWritable = async (folder: string): Promise<string | undefined> => {
  try {
    if (!(await fs.stat(folder)).isDirectory()) return `${folder} is no folder`
  } catch {
    return whyNotWritable(path.dirname(folder))
  }
  return fs.access(folder, constants.W_OK | constants.X_OK).then(
    () => undefined,
    () => `${folder} cannot be written to`
  )
}

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
  const found = directories.map((directory) => `left by a program that was killed: ${directory}`)
  if (processes.length > 0) {
    const pids = processes.join(" ")
    return failed([`workers without a program: ${pids}`, ...found].join("\n"), `kill -KILL ${pids}`)
  }
  return found.length > 0 ? warning(found.join("\n"), "The next program that starts removes it.") : ok("none")
})
