/**
 * What Snakepit needs of a machine, as checks: each finds that all is well, or says what is wrong and what helps.
 */
import { Snakepit } from "@snakepit/core"
import { Hardware, type HardwareInfo } from "@snakepit/hardware"
import {
  Environment,
  EnvironmentError,
  EnvironmentProgress,
  Instances,
  type PythonWorkerConfig,
  SnakepitNode
} from "@snakepit/python-worker"
import { execFile } from "node:child_process"
import { constants } from "node:fs"
import * as fs from "node:fs/promises"
import * as path from "node:path"
import { promisify } from "node:util"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import { environmentRemedy, uvRemedy } from "./environmentRemedy.ts"
import { fitOf, fittingBuild, type TorchBuild } from "./torchBuild.ts"

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
 * All checks, in the order in which one thing rests on another. Environment and worker are made as a program's start would make
 * them.
 */
export const examine = (
  pool: Pool,
  { limits, sharedMemory }: Machine = machine
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    // before there is an instance here, which would remove what others have left
    const left = yield* leftovers
    const [prepared, others, info] = yield* Effect.all(
      [
        prepare(pool),
        Effect.all({
          sockets,
          "shared memory": sharedMemoryOf(sharedMemory),
          cache,
          "open files": limit(limits, "open files", enoughFiles, `ulimit -n ${enoughFiles * 4}`),
          processes: limit(limits, "processes", enoughProcesses, `ulimit -u ${enoughProcesses * 16}`)
        }),
        Effect.provide(Hardware.info, Hardware.layer)
      ],
      { concurrency: "unbounded" }
    )
    const { environment, interpreter, problem } = prepared
    const isBlocked = problem !== undefined || others.sockets.status === "failed"
    const { outcome, torch } = isBlocked ? notStarted : yield* worker(pool)
    const findings = {
      node,
      interpreter,
      environment,
      // once the environment is there, since it may have needed a uv, and fetched it
      uv: yield* uv(pool),
      lock: yield* lock(pool, problem),
      ...others,
      worker: outcome,
      accelerator: accelerator(info, torch, (build) => torchRemedy(build, pool, prepared.python)),
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

interface Started {
  readonly outcome: Outcome
  readonly torch: TorchBuild
}

const noTorch: TorchBuild = { version: undefined, cudaRuntime: undefined }

const mendFirst = "Mend that first."

const notStarted: Started = {
  outcome: failed("not started, because of what is said above", mendFirst),
  torch: noTorch
}

/** A worker that starts and answers, the way programs start it. */
const worker = (pool: Pool): Effect.Effect<Started> =>
  Effect.gen(function* () {
    yield* Snakepit.call("math.sqrt", { args: [4], success: Schema.Number })
    const version = yield* installed("torch")
    // the first is that of CUDA 12, the second that of later ones
    const cudaRuntime = (yield* installed("nvidia-cuda-runtime-cu12")) ?? (yield* installed("nvidia-cuda-runtime"))
    return { outcome: ok("starts and answers"), torch: { version, cudaRuntime } }
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

interface Prepared {
  readonly interpreter: Outcome
  readonly environment: Outcome
  /** Path of the interpreter, where there is one that workers can run on. */
  readonly python: string | undefined
  /** Why no worker can be started. */
  readonly problem: EnvironmentError.EnvironmentError | undefined
}

/** Whether a pool says what is to be installed, and does not run on an interpreter as it is. */
const hasEnvironment = ({ pyproject, requirements }: Pool): boolean =>
  pyproject !== undefined || requirements !== undefined

const noEnvironment = ok("none: no project, no requirements")

/** The environment, made or found as a program's start does it, and the interpreter that workers run on. */
const prepare = (pool: Pool): Effect.Effect<Prepared> =>
  Effect.gen(function* () {
    const found = yield* Effect.result(Environment.interpreterOf({ ...pool, directory: pool.environmentDirectory }))
    if (found._tag === "Success") {
      const { path: python, version } = found.success
      const environment = hasEnvironment(pool) ? ok(path.dirname(path.dirname(python))) : noEnvironment
      return { interpreter: ok(`Python ${version}, ${python}`), environment, python, problem: undefined }
    }
    const problem = found.failure
    const said = failed(problem.message, environmentRemedy(problem, pool.uv?.offline === true))
    if (problem._tag !== "PythonNotFound") {
      return { interpreter: yield* baseInterpreter(pool), environment: said, python: undefined, problem }
    }
    const environment = hasEnvironment(pool)
      ? failed("not made, because of what is said above", mendFirst)
      : noEnvironment
    return { interpreter: said, environment, python: undefined, problem }
  }).pipe(
    // how the machine differs from the lock is told by the check of the lock
    Effect.provide(Logger.layer([])),
    pool.progress === "silent"
      ? identity
      : Effect.provideService(EnvironmentProgress.EnvironmentProgress, EnvironmentProgress.terminal())
  )

/** The interpreter alone, where the environment cannot be made. */
const baseInterpreter = ({ managedPython, python, uv }: Pool): Effect.Effect<Outcome> =>
  Effect.match(Environment.interpreterOf({ managedPython, python, uv }), {
    onFailure: (error) => failed(error.message, environmentRemedy(error, uv?.offline === true)),
    onSuccess: ({ path: file, version }) => ok(`Python ${version}, ${file}`)
  })

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

const execute = promisify(execFile)

const versionOf = (file: string): Effect.Effect<string, Error> =>
  Effect.tryPromise({
    try: async () => (await execute(file, ["--version"], { timeout: 10_000 })).stdout.trim(),
    catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
  })

const lock = (pool: Pool, problem: EnvironmentError.EnvironmentError | undefined): Effect.Effect<Outcome> => {
  if (!hasEnvironment(pool)) return Effect.succeed(ok("there is no project here"))
  if (problem !== undefined && problem._tag !== "LockDrift") {
    return Effect.succeed(warning("not checked, because of what is said above", mendFirst))
  }
  return Effect.match(Environment.drift(pool), {
    onFailure: (error) =>
      cannotCheck.has(error._tag)
        ? warning(`it could not be checked here: ${error.message}`, "Check it where the environment is made.")
        : failed(error.message, environmentRemedy(error, pool.uv?.offline === true)),
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
  torch: TorchBuild,
  remedyWith: (build: string) => string
): Outcome => {
  const [problem] = problems
  if (problem !== undefined) return failed(`${problem.detector}: ${problem.detail}`, problem.remedy)
  const driverCuda = cuda?.driverCudaVersion ?? undefined
  const { detail, status } = fitOf(kind, driverCuda, torch)
  return { status, detail, remedy: status === "ok" ? null : remedyWith(fittingBuild(kind, driverCuda)) }
}

/**
 * Who decides about the build of torch depends on where it is asked for. The build is named, since an environment that was made with
 * uv's own choice is found again under it.
 */
const torchRemedy = (build: string, { lock: lockFile, pyproject, requirements }: Pool, python = "python3"): string => {
  if (pyproject !== undefined) {
    return `Name the index of the build ${build} in [tool.uv.sources] of pyproject.toml, then: snakepit env lock`
  }
  if (requirements === undefined)
    return `uv pip install --python "${python}" --reinstall --torch-backend ${build} torch`
  return lockFile === undefined
    ? `Ask for the build ${build}: with --torch-backend ${build} here, with uv.torchBackend in the options of the pool.`
    : `Lock the same requirements again: snakepit env lock --torch-backend ${build}`
}

// ---------------------------------------------------------------------------------------------------------------------
// The machine
// ---------------------------------------------------------------------------------------------------------------------

/** Below this, large tensors soon need another place. */
const enoughSharedMemory = 256 * 1024 ** 2

const sharedMemoryOf = (folder: string): Effect.Effect<Outcome> => {
  const remedy = "docker run --shm-size=1g"
  return Effect.tryPromise(async () => {
    const { blocks, bsize } = await fs.statfs(folder)
    return { bytes: blocks * bsize, problem: await whyNotWritable(folder) }
  }).pipe(
    Effect.match({
      onFailure: () => warning(`${folder} is not there: tensors are shared through files`, remedy),
      onSuccess: ({ bytes, problem }) => {
        if (problem !== undefined) return warning(`${problem}: tensors are shared through files`, remedy)
        const size = `${folder} has ${Math.round(bytes / 1024 ** 2)} MiB`
        return bytes < enoughSharedMemory ? warning(size, remedy) : ok(size)
      }
    })
  )
}

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
  const base = path.dirname(Environment.cacheDirectory())
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

/** Threads count as processes, and a worker with numeric libraries starts one for each core. */
const enoughProcesses = 256

/** A limit of this process, which its workers inherit. */
const limit = (file: string, name: string, enough: number, remedy: string): Effect.Effect<Outcome> =>
  Effect.tryPromise(() => fs.readFile(file, "utf8")).pipe(
    Effect.match({
      onFailure: () => ok("this system does not tell its limit"),
      onSuccess: (text) => {
        const [, found = "unlimited"] = new RegExp(`^Max ${name}\\s+(\\S+)`, "m").exec(text) ?? []
        if (Number(found) < enough) return warning(`at most ${found} ${name}`, remedy)
        return ok(found === "unlimited" ? found : `at most ${found}`)
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
