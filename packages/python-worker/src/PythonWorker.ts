/**
 * Workers that are Python processes: the {@link WorkerSpawner} behind `SnakepitNode.layer`.
 *
 * A worker is spawned into a process group of its own, told over a private descriptor where to listen and which token to expect,
 * and counts as ready when both its channels have answered the handshake. Closing its scope lets it finish and leave, and kills
 * what is left of its group.
 */
import {
  type PoolConfig,
  SnakepitError,
  type SpawnOptions,
  ValueAdapters,
  type Worker,
  WorkerSpawner
} from "@snakepit/core"
import { Table, Tensor } from "@snakepit/zero-copy"
import { type ChildProcess, spawn } from "node:child_process"
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import type { Duplex } from "node:stream"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Environment from "./Environment.ts"
import type { EnvironmentError, PythonNotFound } from "./EnvironmentError.ts"
import { readLines, Tail } from "./internal/stdio.ts"
import * as RuntimeDirectory from "./internal/runtimeDirectory.ts"
import { WorkerClient } from "./internal/workerClient.ts"
import * as Interpreter from "./Interpreter.ts"
import { Decoder, Encoder } from "./MessagePack.ts"
import * as PythonWorkerConfig from "./PythonWorkerConfig.ts"

/** What one pool's workers are started from. */
interface Launch {
  readonly options: PythonWorkerConfig.PythonOptions
  readonly python: string
  readonly dependencies: string | undefined
}

/** The spawner. Interpreters and environments are prepared once for each pool, before its first worker. */
export const layer: Layer.Layer<WorkerSpawner> = Layer.effect(
  WorkerSpawner,
  Effect.gen(function* () {
    const directory = yield* RuntimeDirectory.make
    const adapters = [Tensor.adapter, Table.adapter, ...(yield* ValueAdapters)]
    const launches = new Map<string, Effect.Effect<Launch, SnakepitError.WorkerStartError>>()
    return WorkerSpawner.of({
      spawn: (wanted) =>
        Effect.gen(function* () {
          let prepared = launches.get(wanted.pool)
          if (prepared === undefined) {
            prepared = yield* Effect.cached(prepare(wanted))
            launches.set(wanted.pool, prepared)
          }
          return yield* start(wanted, yield* prepared, directory, adapters)
        }).pipe(
          Effect.withSpan(
            "snakepit.worker.start",
            { attributes: { "snakepit.pool": wanted.pool, "snakepit.worker": wanted.worker } },
            { captureStackTrace: false }
          )
        )
    })
  })
)

const prepare = (wanted: SpawnOptions): Effect.Effect<Launch, SnakepitError.WorkerStartError> =>
  Effect.gen(function* () {
    const options = yield* PythonWorkerConfig.resolve(wanted.options)
    const { progress, python, requirements } = options
    const interpreter =
      requirements === undefined
        ? yield* Interpreter.find({ python })
        : yield* Interpreter.find({ python: (yield* Environment.make({ requirements, python, progress })).python })
    const dependencies = yield* Environment.workerDependencies(interpreter, { progress })
    return { options, python: interpreter.path, dependencies }
  }).pipe(
    Effect.mapError((error: SnakepitError.ConfigError | PythonNotFound | EnvironmentError) =>
      startError(wanted, error.message, [])
    )
  )

const startError = (
  { pool, worker }: SpawnOptions,
  reason: string,
  stderr: ReadonlyArray<string>
): SnakepitError.WorkerStartError => new SnakepitError.WorkerStartError({ pool, worker, reason, stderr: [...stderr] })

const start = (
  wanted: SpawnOptions,
  launch: Launch,
  directory: string,
  adapters: ConstructorParameters<typeof Encoder>[0]["adapters"]
): Effect.Effect<Worker.Worker, SnakepitError.WorkerStartError, Scope.Scope> =>
  Effect.gen(function* () {
    const { options } = launch
    const context = yield* Effect.context<never>()
    const log = Effect.runForkWith(context)
    const stderr = new Tail()
    const onLine = (stream: "stdout" | "stderr") => (line: string) => {
      if (stream === "stderr") stderr.add(line)
      log(Effect.annotateLogs(Effect.logInfo(line), { pool: wanted.pool, worker: wanted.worker, stream }))
    }

    const { child, ended } = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const spawned = spawnPython(wanted.options, launch)
        return { child: spawned, ended: watch(spawned) }
      }),
      // a process that was sent SIGKILL is not gone yet; a closed scope leaves none behind
      (process) =>
        Effect.andThen(
          Effect.sync(() => killGroup(process.child, "SIGKILL")),
          Effect.promise(() => process.ended)
        )
    )
    if (child.stdout !== null) readLines(child.stdout, onLine("stdout"))
    if (child.stderr !== null) readLines(child.stderr, onLine("stderr"))

    const token = crypto.randomBytes(32).toString("base64url")
    // not named after the pool, whose name may hold anything and be of any length
    const socket = path.join(directory, `${crypto.randomBytes(6).toString("hex")}.sock`)
    const boot = {
      socket,
      token,
      worker: `${wanted.worker}-${crypto.randomBytes(4).toString("hex")}`,
      profile: wanted.options.profile,
      threads: wanted.options.threads,
      max_frame_bytes: options.maxFrameBytes,
      allow_private: wanted.options.allowPrivate,
      python_path: options.pythonPath.map((folder) => path.resolve(options.cwd ?? ".", folder)),
      start_timeout_seconds: options.startTimeout / 1000
    }

    const connect = Effect.callback<WorkerClient, string>((resume) => {
      let client: WorkerClient | undefined
      let done = false
      const finish = (exit: Exit.Exit<WorkerClient, string>) => {
        if (done) return
        done = true
        resume(exit)
      }
      ended.then((end) => {
        client?.onProcessEnd(end)
        finish(
          Exit.fail(end.signal === null ? `it ended with exit code ${end.exitCode}` : `it was ended by ${end.signal}`)
        )
      })
      child.once("error", (error) => finish(Exit.fail(`${launch.python} could not be started: ${error.message}`)))
      const pipe = child.stdio[3] as Duplex // the descriptor that `spawnPython` asked for as a pipe, which Node makes duplex
      pipe.on("error", () => {}) // the process is ending; `ended` tells
      pipe.once("data", () => {
        pipe.destroy()
        client = new WorkerClient(
          {
            pool: wanted.pool,
            worker: wanted.worker,
            concurrency: wanted.options.profile === "thread" ? wanted.options.threads : 1,
            maxFrameBytes: options.maxFrameBytes,
            socket,
            token,
            encoder: () => new Encoder({ adapters }),
            decoder: () => new Decoder({ adapters }),
            ladder: { cooperative: options.cancelGrace, raised: options.killGrace, terminated: options.stopTimeout },
            process: { pid: child.pid, kill: (signal) => killGroup(child, signal), stderr: () => stderr.all }
          },
          (exit) => {
            if (client !== undefined) finish(Exit.isSuccess(exit) ? Exit.succeed(client) : Exit.failCause(exit.cause))
          }
        )
      })
      pipe.write(`${JSON.stringify(boot)}\n`)
    })

    const client = yield* connect.pipe(
      Effect.timeoutOrElse({
        duration: options.startTimeout,
        orElse: () => Effect.fail(`it did not answer the handshake within ${options.startTimeout} ms`)
      }),
      Effect.mapError((reason) => startError(wanted, reason, stderr.all))
    )
    yield* Effect.addFinalizer(() => leave(client, child, options.stopTimeout))
    return client
  })

/** Lets the worker leave by itself, and kills it when it does not. */
const leave = (client: WorkerClient, child: ChildProcess, timeoutMillis: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    if (child.exitCode !== null || child.signalCode !== null) return client.ended
    client.shutdown()
    return client.ended
  }).pipe(
    Effect.timeoutOption(timeoutMillis),
    Effect.andThen(
      Effect.suspend(() => {
        killGroup(child, "SIGKILL")
        return client.ended
      })
    )
  )

/** The worker package: beside this file in the repository, inside the package when installed. */
const workerSource = (): string => {
  const here = path.dirname(fileURLToPath(import.meta.url))
  const candidates = [path.join(here, "../../../python/src"), path.join(here, "../python/src")]
  for (const candidate of candidates) {
    if (fs.existsSync(path.join(candidate, "snakepit_worker", "__main__.py"))) return candidate
  }
  throw new Error(`the Python worker package is not at ${candidates.join(" or ")}`)
}

// `-c` keeps the working directory on the path, where users' modules are. The worker comes last, so that no module of it
// stands before a user's; the folder with its needs comes first, since it is there only when the environment's are too old.
const bootstrap =
  "import sys; sys.path.append(sys.argv.pop(1)); sys.path[:0] = sys.argv[1:]; del sys.argv[1:]; " +
  "import snakepit_worker.__main__"

const spawnPython = (pool: PoolConfig.PoolOptions, { dependencies, options, python }: Launch): ChildProcess => {
  const paths = dependencies === undefined ? [workerSource()] : [workerSource(), dependencies]
  return spawn(python, ["-u", "-c", bootstrap, ...paths], {
    cwd: options.cwd,
    env: { ...process.env, ...threadLimits(pool.size), ...options.env },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    // a process group of its own, so that what the worker starts ends with it
    detached: true
  })
}

/**
 * Numeric libraries start a thread for each core unless told otherwise; several workers would fight for the cores. Each
 * worker gets its share. Variables that are set already are left alone.
 */
const threadLimits = (workers: number): Record<string, string> => {
  const share = String(Math.max(1, Math.floor(os.availableParallelism() / workers)))
  const limits: Record<string, string> = {}
  for (const name of ["OMP", "OPENBLAS", "MKL", "NUMEXPR"]) {
    const variable = `${name}_NUM_THREADS`
    if (process.env[variable] === undefined) limits[variable] = share
  }
  if (process.env["VECLIB_MAXIMUM_THREADS"] === undefined) limits["VECLIB_MAXIMUM_THREADS"] = share
  return limits
}

const killGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // no process of the group is left
  }
}

/** The end of the process, once its pipes have been read to their ends. */
const watch = (child: ChildProcess): Promise<Worker.WorkerEnd> =>
  new Promise((resolve) => {
    child.once("exit", (exitCode, signal) => {
      // what it started must not hold its pipes, or its sockets, open
      killGroup(child, "SIGKILL")
      const end = { crash: classify(exitCode, signal), exitCode, signal }
      const timer = setTimeout(() => resolve(end), pipeGraceMillis)
      child.once("close", () => {
        clearTimeout(timer)
        resolve(end)
      })
    })
    child.once("error", () => resolve({ crash: "exit", exitCode: null, signal: null }))
  })

const pipeGraceMillis = 200

const classify = (exitCode: number | null, signal: NodeJS.Signals | null): SnakepitError.CrashClass | undefined => {
  if (exitCode === 0) return undefined
  if (signal === "SIGSEGV" || signal === "SIGBUS" || exitCode === 139) return "segfault"
  if (signal === "SIGABRT" || exitCode === 134) return "abort"
  if (signal === "SIGFPE" || exitCode === 136) return "floating_point"
  if (signal === "SIGKILL" || exitCode === 137) return "killed"
  return "exit"
}
