/**
 * Workers that are Python processes: the {@link WorkerSpawner} behind `SnakepitNode.layer`.
 *
 * A worker is forked from the pool's fork server, or spawned, into a process group of its own. It is told over a private
 * descriptor which token to expect, and where to listen unless it was forked and listens already. It counts as ready when both
 * its channels have answered the handshake and the first ping. Closing its scope lets it finish and leave, and kills what is left of its group.
 */
import {
  LibraryError,
  shippedLibraryErrors,
  SnakepitError,
  type SpawnOptions,
  ValueAdapters,
  type Worker,
  WorkerSpawner
} from "@snakepit/core"
import { DevicePlacement, Hardware, type HardwareInfo } from "@snakepit/hardware"
import { DeviceTensor, findPlaces, SharedMemory, Table, Tensor } from "@snakepit/zero-copy"
import * as crypto from "node:crypto"
import * as path from "node:path"
import * as Array from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { identity } from "effect/Function"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Environment from "./Environment.ts"
import type { EnvironmentError } from "./EnvironmentError.ts"
import { EnvironmentProgress, terminal } from "./EnvironmentProgress.ts"
import * as ForkServer from "./internal/forkServer.ts"
import * as MemoryGroups from "./internal/memoryGroups.ts"
import * as Launch from "./internal/launch.ts"
import type { Boot, Greet, Launched, OnLine } from "./internal/process.ts"
import * as RuntimeDirectory from "./internal/runtimeDirectory.ts"
import * as Spares from "./internal/spares.ts"
import { describeEnd } from "./internal/spawnedProcess.ts"
import { Tail } from "./internal/stdio.ts"
import { Channel } from "./internal/channel.ts"
import { type ClientOptions, WorkerClient } from "./internal/workerClient.ts"
import { Decoder, Encoder } from "./MessagePack.ts"
import * as PythonWorkerConfig from "./PythonWorkerConfig.ts"

type Adapters = ConstructorParameters<typeof Encoder>[0]["adapters"]

/** What all workers of a program have in common. */
interface Instance {
  /** Where their sockets stand. */
  readonly directory: string
  readonly adapters: Adapters
  readonly libraryErrors: Boot["library_errors"]
}

/** How the workers of one pool come to be: prepared once, before the first of them. */
interface Kit {
  readonly options: PythonWorkerConfig.PythonOptions
  /** What the pool shares with its workers. */
  readonly memory: SharedMemory.PoolMemory
  readonly launch: (boot: Boot, greet: Greet, onLine: OnLine) => Effect.Effect<Launched, string, Scope.Scope>
  /** Where groups with a memory ceiling are made; absent without a limit, or where it is one on address space. */
  readonly memoryGroups: MemoryGroups.MemoryGroups | undefined
  /** What the fork server, where there is one, printed last to stderr: why it did not come up. */
  readonly lastWords: () => ReadonlyArray<string>
}

/**
 * The spawner, and the memory that its workers share. Interpreters and environments are prepared once for each pool, before its
 * first worker. Devices are given out by the `DevicePlacement` that it is provided with, else by one over this machine's hardware.
 */
export const layer: Layer.Layer<WorkerSpawner | SharedMemory.SharedMemory> = Layer.suspend(() =>
  layerIn.pipe(Layer.provide(RuntimeDirectory.layer))
)

/**
 * The spawner, with its sockets in a directory that others use too.
 *
 * @internal
 */
export const layerIn: Layer.Layer<WorkerSpawner | SharedMemory.SharedMemory, never, RuntimeDirectory.RuntimeDirectory> =
  Layer.effectContext(
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const placement = yield* findPlacement
      const instance: Instance = {
        directory: yield* RuntimeDirectory.RuntimeDirectory,
        adapters: [Tensor.adapter, Table.adapter, DeviceTensor.adapter, ...(yield* ValueAdapters)],
        libraryErrors: libraryErrorsOf(yield* LibraryError.LibraryErrors)
      }
      const kits = new Map<string, Effect.Effect<Kit, SnakepitError.WorkerStartError>>()
      const memories = new Map<string, SharedMemory.PoolMemory>()
      const kitOf = (wanted: SpawnOptions) =>
        Effect.gen(function* () {
          const known = kits.get(wanted.pool)
          if (known !== undefined) return yield* known
          const made = yield* Effect.cached(
            Effect.tap(prepare(instance, wanted, scope), ({ memory }) =>
              Effect.sync(() => memories.set(wanted.pool, memory))
            )
          )
          kits.set(wanted.pool, made)
          return yield* made
        })
      const spawner = WorkerSpawner.of({
        spawn: (wanted) =>
          Effect.gen(function* () {
            const kit = yield* kitOf(wanted)
            const placed = yield* place(wanted, kit.options, placement)
            return yield* start(instance, wanted, kit, placed)
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

const findPlacement = Effect.flatMap(
  Effect.serviceOption(DevicePlacement.DevicePlacement),
  (given): Effect.Effect<DevicePlacement.DevicePlacement["Service"], never, Scope.Scope> =>
    given._tag === "Some"
      ? Effect.succeed(given.value)
      : Effect.map(Layer.build(DevicePlacement.layer.pipe(Layer.provide(Hardware.layer))), (context) =>
          Context.get(context, DevicePlacement.DevicePlacement)
        )
)

/** The worker's device, for as long as it lives; none when the pool does not place its workers. */
const place = (
  wanted: SpawnOptions,
  { devices, fallback, minFreeMemory }: PythonWorkerConfig.PythonOptions,
  placement: DevicePlacement.DevicePlacement["Service"]
): Effect.Effect<Placed | undefined, SnakepitError.WorkerStartError, Scope.Scope> => {
  if (devices === undefined) return Effect.undefined
  const { enabled, taintDeviceOnGpuFatal, taintDuration } = wanted.options.crashBarrier
  return placement.acquire({ devices, fallback, minFreeMemory, avoid: wanted.avoidDevices }).pipe(
    Effect.mapError((error) => startError(wanted, error.message, [])),
    Effect.tap((device) => Effect.annotateCurrentSpan("snakepit.device", device.id)),
    Effect.map((device) => ({
      device,
      taint: enabled && taintDeviceOnGpuFatal ? placement.taint(device.id, taintDuration) : Effect.void
    }))
  )
}

/** A worker's device. */
interface Placed {
  readonly device: HardwareInfo.Device
  /** Keeps the device from being given out for a while. */
  readonly taint: Effect.Effect<void>
}

/** What workers read of exceptions of libraries: for the classes that ship with Snakepit, and for the program's own. */
const libraryErrorsOf = (own: ReadonlyArray<LibraryError.LibraryErrorClass>): Boot["library_errors"] =>
  [...shippedLibraryErrors, ...own].map((Class) => {
    const { attributes, library, pythonTypes } = Class["~@snakepit/core/LibraryError"]
    return { types: pythonTypes, library: library ?? null, attributes }
  })

const prepare = (
  { directory }: Instance,
  wanted: SpawnOptions,
  scope: Scope.Scope
): Effect.Effect<Kit, SnakepitError.WorkerStartError> =>
  Effect.gen(function* () {
    const options = yield* PythonWorkerConfig.resolve(wanted.options)
    const { environment, progress } = options
    const { dependencies, found } = yield* Effect.gen(function* () {
      const interpreter = yield* Environment.interpreterOf(environment)
      const beside = yield* Environment.workerDependencies(interpreter, environment.uv)
      return { found: interpreter, dependencies: beside }
    }).pipe(progress === "terminal" ? Effect.provideService(EnvironmentProgress, terminal()) : identity)
    const interpreter = Launch.prepare(wanted.options, options, found.path, dependencies)
    const memoryGroups = options.memoryLimit === undefined ? undefined : yield* findMemoryGroups(wanted.pool)
    const memory = yield* Scope.provide(sharedMemory(wanted.pool, options), scope)
    const common = { options, memory, memoryGroups }
    if (options.start === "fork") {
      return { ...common, ...(yield* forkLaunch(directory, wanted, options, interpreter, scope)) }
    }
    // not named after the pool, whose name may hold anything and be of any length
    const newSocket = () => path.join(directory, `${crypto.randomBytes(6).toString("hex")}.sock`)
    return { ...common, launch: Spares.launch(interpreter, options.spares, newSocket, scope), lastWords: () => [] }
  }).pipe(
    Effect.mapError((error: SnakepitError.ConfigError | EnvironmentError) => startError(wanted, error.message, []))
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
    const made = yield* Effect.forEach(places.roots, (root) => Effect.option(RuntimeDirectory.make([root])))
    return yield* SharedMemory.make(pool, zeroCopy, { prefix: "segment-", folders: Array.getSomes(made) })
  })

/** What the boot configuration says of it. A worker of a pool that cannot share asks for room all the same, and is told no. */
const sharedOf = ({ arena }: SharedMemory.PoolMemory, { zeroCopy }: PythonWorkerConfig.PythonOptions): Boot["shared"] =>
  zeroCopy.enabled
    ? {
        prefixes: typeof arena === "string" ? [] : arena.folders.map((folder) => path.join(folder, arena.prefix)),
        threshold_bytes: zeroCopy.thresholdBytes,
        strict: zeroCopy.strict
      }
    : null

const findMemoryGroups = (pool: string): Effect.Effect<MemoryGroups.MemoryGroups | undefined> =>
  Effect.suspend(() => {
    const reasons: Array<string> = []
    const found = MemoryGroups.find((reason) => reasons.push(reason))
    if (found !== undefined) return Effect.succeed(found)
    return Effect.as(
      Effect.logDebug(`memoryLimit of pool "${pool}" is one on address space, not on memory: ${reasons.join("; ")}`),
      undefined
    )
  })

/** Forks workers from the pool's fork server, which is started when it is needed and not there. */
const forkLaunch = (
  directory: string,
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
        { directory, preload: options.preload, pythonPath, environment },
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
    const launch: Kit["launch"] = (boot, greet, onLine) =>
      Effect.flatMap(server, (running) => running.fork(boot, greet, onLine)).pipe(
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

type OnWarning = ClientOptions["onWarning"]

/** Logs Python's warnings, in the context of the call that they came up in; of this fiber when there is none. */
const warningLogger = (annotations: Record<string, string>): Effect.Effect<OnWarning> =>
  Effect.map(Effect.context<never>(), (own): OnWarning => ({ category, file, line, message }, context) => {
    Effect.runForkWith(context ?? own)(
      Effect.annotateLogs(Effect.logWarning(`${category}: ${message}`), { ...annotations, category, file, line })
    )
  })

type OnRung = ClientOptions["onRung"]

/** Logs how far the cancellation of a call went, in the context of the call: a process that is ended for it is a warning. */
const rungLogger =
  (
    annotations: Record<string, string>,
    { cancelGrace, killGrace, stopTimeout }: PythonWorkerConfig.PythonOptions
  ): OnRung =>
  (rung, { context, target }) => {
    const said = {
      told: `${target} is told to stop`,
      raised: `${target} did not stop within ${cancelGrace} ms: CallCancelled is raised in it`,
      terminated: `${target} did not stop within ${killGrace} ms after CallCancelled: its worker is sent SIGTERM`,
      killed: `${target}: its worker did not end within ${stopTimeout} ms after SIGTERM, and is killed`
    }[rung]
    const isLast = rung === "terminated" || rung === "killed"
    const log = isLast ? Effect.logWarning(said) : Effect.logDebug(said)
    Effect.runForkWith(context)(Effect.annotateLogs(log, { ...annotations, rung }))
  }

const start = (
  { adapters, libraryErrors }: Instance,
  wanted: SpawnOptions,
  { lastWords, launch, memory, memoryGroups, options }: Kit,
  placed: Placed | undefined
): Effect.Effect<Worker.Worker, SnakepitError.WorkerStartError, Scope.Scope> =>
  Effect.gen(function* () {
    const log = yield* lineLogger({ pool: wanted.pool, worker: wanted.worker })
    const stderr = new Tail()
    const onLine: OnLine = (stream, line) => {
      // kept here too, for the error of a worker that never comes up
      if (stream === "stderr") stderr.add(line)
      log(stream, line)
    }
    const boot: Boot = {
      token: crypto.randomBytes(32).toString("base64url"),
      worker: `${wanted.worker}-${crypto.randomBytes(4).toString("hex")}`,
      profile: wanted.options.profile,
      threads: wanted.options.threads,
      max_frame_bytes: options.maxFrameBytes,
      allow_private: wanted.options.allowPrivate,
      memory_limit_bytes: memoryGroups === undefined ? (options.memoryLimit ?? null) : null,
      environment: placed?.device.environment ?? {},
      python_path: options.pythonPath.map((folder) => path.resolve(options.cwd ?? ".", folder)),
      start_timeout_seconds: options.startTimeout / 1000,
      errors: {
        max_frames: options.errors.maxFrames,
        max_message: options.errors.maxMessageLength,
        redact_paths: options.errors.redactPaths,
        generate_repro: options.errors.generateRepro === undefined ? null : path.resolve(options.errors.generateRepro)
      },
      library_errors: libraryErrors,
      shared: sharedOf(memory, options)
    }
    const opened: Array<Channel> = []
    yield* Effect.addFinalizer(() => Effect.sync(() => opened.forEach((channel) => channel.destroy())))
    const greet: Greet = (socket) => {
      const greetOn = (name: "data" | "control") => {
        const encoder = new Encoder({ adapters })
        const channel = Channel.greet({ encoder, maxFrameBytes: options.maxFrameBytes, path: socket }, boot.token, name)
        opened.push(channel)
        return channel
      }
      return { data: greetOn("data"), control: greetOn("control") }
    }
    const clientOptions: Omit<ClientOptions, keyof Launched> = {
      pool: wanted.pool,
      worker: wanted.worker,
      device: placed?.device.id,
      concurrency: wanted.options.profile === "thread" ? wanted.options.threads : 1,
      maxFrameBytes: options.maxFrameBytes,
      decoder: () => new Decoder({ adapters }),
      ladder: { cooperative: options.cancelGrace, raised: options.killGrace, terminated: options.stopTimeout },
      heartbeat: {
        interval: options.heartbeatInterval,
        timeout: options.heartbeatTimeout,
        misses: options.heartbeatMisses
      },
      limits: { age: options.maxAge, calls: options.maxCalls, memory: options.maxMemory },
      onWarning: yield* warningLogger({ pool: wanted.pool, worker: wanted.worker }),
      onRung: rungLogger({ pool: wanted.pool, worker: wanted.worker }, options),
      memory
    }
    const client = yield* launch(boot, greet, onLine).pipe(
      Effect.tap(({ process }) =>
        memoryGroups === undefined || options.memoryLimit === undefined
          ? Effect.void
          : MemoryGroups.enter(memoryGroups, wanted.worker, process.pid, options.memoryLimit)
      ),
      Effect.flatMap((launched) => connect({ ...clientOptions, ...launched })),
      Effect.timeoutOrElse({
        duration: options.startTimeout,
        orElse: () => Effect.fail(`it did not answer the handshake within ${options.startTimeout} ms`)
      }),
      Effect.mapError((reason) => startError(wanted, reason, [...lastWords(), ...stderr.all]))
    )
    // before the worker's place is filled again, so that its successor is not put on the same device
    if (placed !== undefined) {
      yield* Effect.addFinalizer(() =>
        Effect.flatMap(client.ended, (end) => (end.crash === "gpu" ? placed.taint : Effect.void))
      )
    }
    yield* Effect.addFinalizer(() => leave(client, options.stopTimeout))
    return client
  })

const connect = (options: ClientOptions): Effect.Effect<WorkerClient, string> =>
  Effect.callback((resume) => {
    const client = new WorkerClient(options, (exit) =>
      resume(Exit.isSuccess(exit) ? Exit.succeed(client) : Exit.failCause(exit.cause))
    )
    options.process.ended.then((end) => {
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
