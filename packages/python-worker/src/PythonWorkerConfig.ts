/**
 * Options of pools whose workers are Python processes: documented fields, defaults, one validation. The general options
 * (size, profile, queue) are those of `PoolConfig` in `@snakepit/core`.
 */
import { type PoolConfig, SnakepitError } from "@snakepit/core"
import { SharedMemory } from "@snakepit/zero-copy"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Options of one pool of Python processes, as users write them. */
export interface PythonPool extends PoolConfig.PoolInput {
  /**
   * Path or command of the interpreter. Defaults to the environment made for `requirements`, else the active virtual or
   * conda environment, else `python3` on the PATH.
   */
  readonly python?: string | undefined
  /** Packages the pool needs, in pip's notation. They are installed into an environment of their own before the first start. */
  readonly requirements?: ReadonlyArray<string> | undefined
  /** Folders to import modules from, before those of the environment. Defaults to the working directory alone. */
  readonly pythonPath?: ReadonlyArray<string> | undefined
  /** Working directory of the workers. Defaults to that of this process. */
  readonly cwd?: string | undefined
  /** Environment variables, beside those of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /**
   * How workers come to be. `fork`: from a process that has imported everything, in milliseconds; Linux only. `spawn`: each a
   * new interpreter. Defaults to `fork` on Linux, `spawn` elsewhere.
   */
  readonly start?: "fork" | "spawn" | undefined
  /**
   * Modules that the fork server imports, so that workers have them at once and share their memory. Modules that start
   * threads when imported, or open a GPU, are refused. Defaults to none.
   */
  readonly preload?: ReadonlyArray<string> | undefined
  /** How long a worker may take from spawn to handshake. Defaults to 30 seconds. */
  readonly startTimeout?: Duration.Input | undefined
  /** How long a worker may take to leave when asked to, before it is killed. Defaults to 2 seconds. */
  readonly stopTimeout?: Duration.Input | undefined
  /** Largest frame, in bytes: bounds one call's arguments and one result. Defaults to 1 GiB. */
  readonly maxFrameBytes?: number | undefined
  /** Time for code that asks `snakepit_worker.cancelled()` before `CallCancelled` is raised in it. Defaults to 50 ms. */
  readonly cancelGrace?: Duration.Input | undefined
  /** Time for code to end after `CallCancelled` was raised in it, before its process is ended. Defaults to 2 seconds. */
  readonly killGrace?: Duration.Input | undefined
  /** Between two pings on the worker's control channel. Defaults to 2 seconds. */
  readonly heartbeatInterval?: Duration.Input | undefined
  /** How long a ping may stay unanswered before the worker counts as missing. Defaults to 10 seconds. */
  readonly heartbeatTimeout?: Duration.Input | undefined
  /**
   * How many intervals in a row an answer has to be overdue before the worker is killed as `unresponsive`. Python code and
   * native code that lets other threads run are never mistaken; code that holds the interpreter lock without pause for
   * `heartbeatTimeout + (heartbeatMisses - 1) * heartbeatInterval` is. Defaults to 3.
   */
  readonly heartbeatMisses?: number | undefined
  /**
   * Bytes that one worker may allocate beyond what it starts with: past them Python raises `MemoryError`. The limit is on address
   * space (`RLIMIT_AS`), so memory that is reserved and not used counts, and libraries that reserve much of it, as CUDA does, do
   * not start under it. Linux only. Defaults to none.
   */
  readonly memoryLimit?: number | undefined
  /**
   * Age at which a worker is replaced. Workers are replaced one at a time: the new one is ready before the old one takes no more
   * calls; calls that run go on to their end; sessions on the old one have `drainTimeout` to close, then they are lost. Looked
   * at once per `heartbeatInterval`. Defaults to none.
   */
  readonly maxAge?: Duration.Input | undefined
  /** Calls after which a worker is replaced, like `maxAge`. Defaults to none. */
  readonly maxCalls?: number | undefined
  /** Resident bytes of the Python process past which it is replaced, like `maxAge`. Defaults to none. */
  readonly maxMemory?: number | undefined
  /** How arrays and tables share memory with the workers. By default they do, from 64 KiB on, up to 4 GiB. */
  readonly zeroCopy?: SharedMemory.ZeroCopyOptions | undefined
  /** What to show while packages are installed. Defaults to `terminal`. */
  readonly progress?: "terminal" | "silent" | undefined
}

/** The keys of {@link PythonPool} that are not general options. */
export const keys = [
  "python",
  "requirements",
  "pythonPath",
  "cwd",
  "env",
  "start",
  "preload",
  "startTimeout",
  "stopTimeout",
  "maxFrameBytes",
  "cancelGrace",
  "killGrace",
  "heartbeatInterval",
  "heartbeatTimeout",
  "heartbeatMisses",
  "memoryLimit",
  "maxAge",
  "maxCalls",
  "maxMemory",
  "zeroCopy",
  "progress"
] as const

/** The options, complete. Durations are in milliseconds. */
export interface PythonOptions {
  readonly python: string | undefined
  readonly requirements: ReadonlyArray<string> | undefined
  readonly pythonPath: ReadonlyArray<string>
  readonly cwd: string | undefined
  readonly env: Readonly<Record<string, string>>
  readonly start: "fork" | "spawn"
  readonly preload: ReadonlyArray<string>
  readonly startTimeout: number
  readonly stopTimeout: number
  readonly maxFrameBytes: number
  readonly cancelGrace: number
  readonly killGrace: number
  readonly heartbeatInterval: number
  readonly heartbeatTimeout: number
  readonly heartbeatMisses: number
  readonly memoryLimit: number | undefined
  readonly maxAge: number | undefined
  readonly maxCalls: number | undefined
  readonly maxMemory: number | undefined
  readonly zeroCopy: SharedMemory.ResolvedOptions
  readonly progress: "terminal" | "silent"
}

/** A u32 length cannot say more, and neither can a Node Buffer. */
const largestFrame = 4_294_967_295

/** Validates what the pool's options hold for this backend. */
export const resolve = (options: PoolConfig.PoolOptions): Effect.Effect<PythonOptions, SnakepitError.ConfigError> =>
  Effect.suspend(() => {
    const given = options.backend
    let failure: SnakepitError.ConfigError | undefined
    const refuse = (key: string, expected: string): undefined => {
      failure ??= new SnakepitError.ConfigError({
        key: `pools.${options.name}.${key}`,
        actual: `${JSON.stringify(given[key]) ?? String(given[key])} (${typeof given[key]})`,
        expected
      })
      return undefined
    }
    const text = (key: string): string | undefined => {
      const value = given[key]
      if (value === undefined || (typeof value === "string" && value.length > 0)) return value
      return refuse(key, "a string that is not empty")
    }
    const texts = (key: string): ReadonlyArray<string> | undefined => {
      const value = given[key]
      if (value === undefined) return undefined
      if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value
      return refuse(key, "an array of strings")
    }
    const millis = (key: string, fallback: number): number => {
      const value = given[key]
      if (value === undefined) return fallback
      // `fromInput` answers none for whatever is no duration, whatever its type
      const duration = Duration.fromInput(value as Duration.Input)
      if (duration._tag === "Some" && Duration.isFinite(duration.value) && !Duration.isNegative(duration.value)) {
        return Duration.toMillis(duration.value)
      }
      refuse(key, 'a finite duration that is not negative, like "2 seconds" or 500 (milliseconds)')
      return fallback
    }
    const variables = (): Readonly<Record<string, string>> => {
      const value = given["env"]
      if (value === undefined) return {}
      if (typeof value === "object" && value !== null && Object.values(value).every((v) => typeof v === "string")) {
        return { ...value }
      }
      refuse("env", "an object of strings")
      return {}
    }
    const count = (key: string, minimum: number): number | undefined => {
      const value = given[key]
      if (value === undefined) return undefined
      if (typeof value === "number" && Number.isSafeInteger(value) && value >= minimum) return value
      return refuse(key, `an integer of at least ${minimum}`)
    }
    const zeroCopy = (): SharedMemory.ResolvedOptions => {
      const value = given["zeroCopy"] ?? {}
      const bad = SharedMemory.invalid(value)
      if (bad !== undefined) {
        failure ??= new SnakepitError.ConfigError({
          key: `pools.${options.name}.zeroCopy${bad.key}`,
          actual: bad.actual,
          expected: bad.expected
        })
        return SharedMemory.defaults
      }
      // checked just now
      return SharedMemory.resolve(value as SharedMemory.ZeroCopyOptions)
    }
    const heartbeatInterval = millis("heartbeatInterval", 2_000)
    if (heartbeatInterval < 1) refuse("heartbeatInterval", "a duration of at least 1 ms")
    const maxFrameBytes = given["maxFrameBytes"] ?? 1_073_741_824
    if (
      typeof maxFrameBytes !== "number" ||
      !Number.isSafeInteger(maxFrameBytes) ||
      maxFrameBytes < 1024 ||
      maxFrameBytes > largestFrame
    )
      refuse("maxFrameBytes", `an integer from 1024 to ${largestFrame}`)
    const progress = given["progress"] ?? "terminal"
    if (progress !== "terminal" && progress !== "silent") refuse("progress", '"terminal" or "silent"')
    const start = given["start"] ?? (process.platform === "linux" ? "fork" : "spawn")
    if (start !== "fork" && start !== "spawn") refuse("start", '"fork" or "spawn"')
    if (start === "fork" && process.platform !== "linux") refuse("start", '"spawn", since this is not Linux')
    const resolved: PythonOptions = {
      python: text("python"),
      requirements: texts("requirements"),
      pythonPath: texts("pythonPath") ?? [],
      cwd: text("cwd"),
      env: variables(),
      start: start === "fork" ? "fork" : "spawn",
      preload: texts("preload") ?? [],
      startTimeout: millis("startTimeout", 30_000),
      stopTimeout: millis("stopTimeout", 2_000),
      maxFrameBytes: Number(maxFrameBytes),
      cancelGrace: millis("cancelGrace", 50),
      killGrace: millis("killGrace", 2_000),
      heartbeatInterval,
      heartbeatTimeout: millis("heartbeatTimeout", 10_000),
      heartbeatMisses: count("heartbeatMisses", 1) ?? 3,
      memoryLimit: count("memoryLimit", 16 * 1024 * 1024),
      maxAge: given["maxAge"] === undefined ? undefined : millis("maxAge", 0),
      maxCalls: count("maxCalls", 1),
      maxMemory: count("maxMemory", 1),
      zeroCopy: zeroCopy(),
      progress: progress === "silent" ? "silent" : "terminal"
    }
    return failure === undefined ? Effect.succeed(resolved) : Effect.fail(failure)
  })
