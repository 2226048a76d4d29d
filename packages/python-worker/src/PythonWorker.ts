/**
 * Workers that are Python processes: the {@link WorkerSpawner} behind `SnakepitNode.layer`.
 *
 * A worker is forked from the pool's fork server, or spawned, into a process group of its own; it is told over a private
 * descriptor where to listen and which token to expect, and counts as ready when both its channels have answered the
 * handshake. Closing its scope lets it finish and leave, and kills what is left of its group.
 */
import { SnakepitError, type SpawnOptions, ValueAdapters, type Worker, WorkerSpawner } from "@snakepit/core"
import { findPlaces, SharedMemory, Table, Tensor } from "@snakepit/zero-copy"
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Environment from "./Environment.ts"
import type { EnvironmentError, PythonNotFound } from "./EnvironmentError.ts"
import * as ForkServer from "./internal/forkServer.ts"
import * as Launch from "./internal/launch.ts"
import type { Boot, OnLine, WorkerProcess } from "./internal/process.ts"
import * as RuntimeDirectory from "./internal/runtimeDirectory.ts"
import { describeEnd, spawnWorker } from "./internal/spawnedProcess.ts"
import { Tail } from "./internal/stdio.ts"
import { WorkerClient } from "./internal/workerClient.ts"
import * as Interpreter from "./Interpreter.ts"
import { Decoder, Encoder } from "./MessagePack.ts"
import * as PythonWorkerConfig from "./PythonWorkerConfig.ts"

type Adapters = ConstructorParameters<typeof Encoder>[0]["adapters"]

/** How the workers of one pool come to be: prepared once, before the first of them. */
interface Kit {
  readonly options: PythonWorkerConfig.PythonOptions
  readonly memory: SharedMemory.PoolMemory
  readonly launch: (boot: Boot, onLine: OnLine) => Effect.Effect<WorkerProcess, string, Scope.Scope>
  /** What the fork server, where there is one, printed last to stderr: why it did not come up. */
  readonly lastWords: () => ReadonlyArray<string>
}

/**
 * The spawner, and the memory that its workers share. Interpreters and environments are prepared once for each pool, before
 * its first worker.
 */
export const layer: Layer.Layer<WorkerSpawner | SharedMemory.SharedMemory> = Layer.effectContext(
  Effect.gen(function* () {
    const directory = yield* RuntimeDirectory.make()
    const scope = yield* Effect.scope
    const adapters: Adapters = [Tensor.adapter, Table.adapter, ...(yield* ValueAdapters)]
    const kits = new Map<string, Effect.Effect<Kit, SnakepitError.WorkerStartError>>()
    const memories = new Map<string, SharedMemory.PoolMemory>()
    const spawner = WorkerSpawner.of({
      spawn: (wanted) =>
        Effect.gen(function* () {
          let kit = kits.get(wanted.pool)
          if (kit === undefined) {
            kit = yield* Effect.cached(
              Effect.tap(prepare(wanted, scope), ({ memory }) => Effect.sync(() => memories.set(wanted.pool, memory)))
            )
            kits.set(wanted.pool, kit)
          }
          return yield* start(wanted, yield* kit, directory, adapters)
        }).pipe(
          Effect.withSpan(
            "snakepit.worker.start",
            { attributes: { "snakepit.pool": wanted.pool, "snakepit.worker": wanted.worker } },
            { captureStackTrace: false }
          )
        )
    })
    return Context.make(WorkerSpawner, spawner).pipe(
      Context.add(SharedMemory.SharedMemory, SharedMemory.fromPools(memories))
    )
  })
)

const prepare = (wanted: SpawnOptions, scope: Scope.Scope): Effect.Effect<Kit, SnakepitError.WorkerStartError> =>
  Effect.gen(function* () {
    const options = yield* PythonWorkerConfig.resolve(wanted.options)
    const { progress, python, requirements } = options
    const found =
      requirements === undefined
        ? yield* Interpreter.find({ python })
        : yield* Interpreter.find({ python: (yield* Environment.make({ requirements, python, progress })).python })
    const dependencies = yield* Environment.workerDependencies(found, { progress })
    const interpreter = Launch.prepare(wanted.options, options, found.path, dependencies)
    const memory = yield* Scope.provide(sharedMemory(wanted.pool, options), scope)
    if (options.start === "fork")
      return { options, memory, ...(yield* forkLaunch(wanted, options, interpreter, scope)) }
    return { options, memory, launch: (boot, onLine) => spawnWorker(interpreter, boot, onLine), lastWords: () => [] }
  }).pipe(
    Effect.mapError((error: SnakepitError.ConfigError | PythonNotFound | EnvironmentError) =>
      startError(wanted, error.message, [])
    )
  )

/** The shared memory of a pool: files in folders of this instance, which a later one sweeps when this one was killed. */
const sharedMemory = (
  pool: string,
  { zeroCopy }: PythonWorkerConfig.PythonOptions
): Effect.Effect<SharedMemory.PoolMemory, never, Scope.Scope> =>
  Effect.gen(function* () {
    if (!zeroCopy.enabled) return yield* SharedMemory.make(pool, zeroCopy, { prefix: "", folders: [] })
    const places = findPlaces(zeroCopy.maxSharedMemory)
    if (places.notice !== undefined) {
      yield* Effect.annotateLogs(Effect.logWarning(places.notice), { pool, code: "shared_memory_small" })
    }
    const folders = yield* Effect.forEach(places.roots, (root) => RuntimeDirectory.make([root]))
    return yield* SharedMemory.make(pool, zeroCopy, { prefix: "segment-", folders })
  })

/** Forks workers from the pool's fork server, which is started when it is needed and not there. */
const forkLaunch = (
  wanted: SpawnOptions,
  options: PythonWorkerConfig.PythonOptions,
  interpreter: Launch.Interpreter,
  scope: Scope.Scope
): Effect.Effect<Pick<Kit, "launch" | "lastWords">> =>
  Effect.gen(function* () {
    const one = yield* Semaphore.make(1)
    let current: { readonly server: ForkServer.ForkServer; readonly scope: Scope.Closeable } | undefined
    const pythonPath = options.pythonPath.map((folder) => path.resolve(options.cwd ?? ".", folder))
    const environment = Launch.threadLimits(interpreter)
    let stderr = new Tail()
    const server = Effect.gen(function* () {
      if (current !== undefined && current.server.isAlive()) return current.server
      if (current !== undefined) yield* Scope.close(current.scope, Exit.void)
      const own = yield* Scope.fork(scope)
      const log = yield* lineLogger({ pool: wanted.pool, worker: `${wanted.pool}-fork-server` })
      stderr = new Tail()
      const made = yield* ForkServer.make(
        interpreter,
        { preload: options.preload, pythonPath, environment },
        (stream, line) => {
          if (stream === "stderr") stderr.add(line)
          log(stream, line)
        }
      ).pipe(
        Scope.provide(own),
        Effect.onExit((exit) => (Exit.isFailure(exit) ? Scope.close(own, exit) : Effect.void))
      )
      current = { server: made, scope: own }
      return made
    }).pipe(one.withPermit)
    const launch: Kit["launch"] = (boot, onLine) =>
      Effect.flatMap(server, (running) => running.fork(boot, onLine)).pipe(
        // what the dead one had bound is in the way of the next
        Effect.tapError(() => Effect.sync(() => fs.rmSync(boot.socket, { force: true }))),
        Effect.retry({ times: 2, while: (error) => typeof error !== "string" }),
        Effect.mapError((error) => (typeof error === "string" ? error : error.reason))
      )
    return { launch, lastWords: () => (current === undefined || !current.server.isAlive() ? stderr.all : []) }
  })

const startError = (
  { pool, worker }: SpawnOptions,
  reason: string,
  stderr: ReadonlyArray<string>
): SnakepitError.WorkerStartError => new SnakepitError.WorkerStartError({ pool, worker, reason, stderr: [...stderr] })

/** Logs what a process prints, in the context of this fiber. */
const lineLogger = (annotations: Record<string, string>): Effect.Effect<OnLine> =>
  Effect.map(Effect.context<never>(), (context) => {
    const log = Effect.runForkWith(context)
    return (stream, line) => {
      log(Effect.annotateLogs(Effect.logInfo(line), { ...annotations, stream }))
    }
  })

const start = (
  wanted: SpawnOptions,
  { lastWords, launch, memory, options }: Kit,
  directory: string,
  adapters: Adapters
): Effect.Effect<Worker.Worker, SnakepitError.WorkerStartError, Scope.Scope> =>
  Effect.gen(function* () {
    const log = yield* lineLogger({ pool: wanted.pool, worker: wanted.worker })
    const stderr = new Tail()
    const onLine: OnLine = (stream, line) => {
      // kept here too, for the error of a worker that never comes up
      if (stream === "stderr") stderr.add(line)
      log(stream, line)
    }
    const { arena } = memory
    const boot: Boot = {
      // not named after the pool, whose name may hold anything and be of any length
      socket: path.join(directory, `${crypto.randomBytes(6).toString("hex")}.sock`),
      token: crypto.randomBytes(32).toString("base64url"),
      worker: `${wanted.worker}-${crypto.randomBytes(4).toString("hex")}`,
      profile: wanted.options.profile,
      threads: wanted.options.threads,
      max_frame_bytes: options.maxFrameBytes,
      allow_private: wanted.options.allowPrivate,
      memory_limit_bytes: options.memoryLimit ?? null,
      python_path: options.pythonPath.map((folder) => path.resolve(options.cwd ?? ".", folder)),
      start_timeout_seconds: options.startTimeout / 1000,
      shared:
        typeof arena === "string"
          ? null
          : {
              prefixes: arena.folders.map((folder) => path.join(folder, arena.prefix)),
              threshold_bytes: options.zeroCopy.thresholdBytes,
              strict: options.zeroCopy.strict
            }
    }
    const client = yield* launch(boot, onLine).pipe(
      Effect.flatMap((process) => connect(wanted, options, boot, process, memory, adapters)),
      Effect.timeoutOrElse({
        duration: options.startTimeout,
        orElse: () => Effect.fail(`it did not answer the handshake within ${options.startTimeout} ms`)
      }),
      Effect.mapError((reason) => startError(wanted, reason, [...lastWords(), ...stderr.all]))
    )
    yield* Effect.addFinalizer(() => leave(client, options.stopTimeout))
    return client
  })

const connect = (
  wanted: SpawnOptions,
  options: PythonWorkerConfig.PythonOptions,
  boot: Boot,
  process: WorkerProcess,
  memory: SharedMemory.PoolMemory,
  adapters: Adapters
): Effect.Effect<WorkerClient, string> =>
  Effect.callback((resume) => {
    const client = new WorkerClient(
      {
        pool: wanted.pool,
        worker: wanted.worker,
        concurrency: wanted.options.profile === "thread" ? wanted.options.threads : 1,
        maxFrameBytes: options.maxFrameBytes,
        socket: boot.socket,
        token: boot.token,
        encoder: () => new Encoder({ adapters }),
        decoder: () => new Decoder({ adapters }),
        ladder: { cooperative: options.cancelGrace, raised: options.killGrace, terminated: options.stopTimeout },
        heartbeat: {
          interval: options.heartbeatInterval,
          timeout: options.heartbeatTimeout,
          misses: options.heartbeatMisses
        },
        limits: { age: options.maxAge, calls: options.maxCalls, memory: options.maxMemory },
        process,
        memory
      },
      (exit) => resume(Exit.isSuccess(exit) ? Exit.succeed(client) : Exit.failCause(exit.cause))
    )
    process.ended.then((end) => {
      client.onProcessEnd(end)
      resume(Effect.fail(describeEnd(end)))
    })
  })

/** Lets the worker leave by itself, and kills it when it does not. */
const leave = (client: WorkerClient, timeoutMillis: number): Effect.Effect<void> =>
  Effect.sync(() => client.shutdown()).pipe(
    Effect.andThen(client.ended),
    Effect.timeoutOption(timeoutMillis),
    Effect.andThen(
      Effect.suspend(() => {
        client.kill("SIGKILL")
        return client.ended
      })
    )
  )
