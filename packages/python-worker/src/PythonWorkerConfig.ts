/**
 * Options of pools whose workers are Python processes: documented fields, defaults, one validation. The general options
 * (size, profile, queue) are those of `PoolConfig` in `@snakepit/core`.
 */
import { PoolConfig, type SnakepitError } from "@snakepit/core"
import { Selection } from "@snakepit/hardware"
import { SharedMemory } from "@snakepit/zero-copy"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as EnvironmentOptions from "./EnvironmentOptions.ts"

/** How much workers tell of an exception. What is left out is said in `truncated` of the error. */
export interface ErrorInput {
  /** Frames of one traceback; the outermost third and the innermost rest are kept. Defaults to 15. */
  readonly maxFrames?: number | undefined
  /** Characters of a message, a note or a text among the arguments. Defaults to 8000. */
  readonly maxMessageLength?: number | undefined
  /**
   * Leaves out of paths, messages, arguments and notes what tells whose machine it is: the home folder becomes `~`, the folder of
   * installed packages `<site-packages>`. Defaults to true.
   */
  readonly redactPaths?: boolean | undefined
  /**
   * Folder where each failed call leaves a Python script that reproduces it, with its arguments beside it. Secrets are left out
   * by key and pattern, other data is not. Defaults to none.
   */
  readonly generateRepro?: string | undefined
}

/**
 * Options of one pool of Python processes, as users write them. Those of `EnvironmentOptions` say which Python the workers run
 * on, with which packages: the environment is made before the first worker starts.
 */
export interface PythonPool extends PoolConfig.PoolInput, EnvironmentOptions.EnvironmentOptions {
  /**
   * Folder that holds the environments. Defaults to `.snakepit` beside the nearest `package.json`, in the working directory or above
   * it.
   */
  readonly environmentDirectory?: string | undefined
  /**
   * Whether workers inherit the `PYTHON*` variables of this process and see the user's own `site-packages`. Variables in `env` hold
   * in any case. Defaults to `false`.
   */
  readonly inheritPython?: boolean | undefined
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
  /**
   * With `start: "spawn"`: interpreters that wait, started, to become the next worker, so that a crash costs no start-up of
   * Python. Each takes the memory of an idle worker. Defaults to 0.
   */
  readonly spares?: number | undefined
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
   * Bytes that one worker may use beyond what it starts with; shared memory is not counted. Where cgroup v2 is delegated to this
   * process, each worker gets a group with this `memory.max`: it counts memory in use, of what the worker starts too, and past it
   * the kernel kills them, and their calls fail with `WorkerCrash` of class `oom`. Elsewhere the limit is on address space
   * (`RLIMIT_AS`): past it Python raises `MemoryError`, which arrives as `OutOfMemory`; memory that is reserved and not used
   * counts, and libraries that reserve much of it, as CUDA does, do not start under it. Linux only. Defaults to none.
   */
  readonly memoryLimit?: number | undefined
  /**
   * Age at which a worker is replaced. Workers are replaced one at a time: the new one is ready before the old one takes no more
   * calls; calls that run go on to their end; sessions on the old one have `drainTimeout` to close, then they are lost. Looked
   * at once per `heartbeatInterval`. Defaults to none.
   */
  readonly maxAge?: Duration.Input | undefined
  /** Calls after which the replacement of a worker begins, like `maxAge`: no bound, it serves more until then. Defaults to none. */
  readonly maxCalls?: number | undefined
  /** Resident bytes of the Python process past which it is replaced, like `maxAge`. Defaults to none. */
  readonly maxMemory?: number | undefined
  /**
   * Where workers are placed: `auto` (the best kind of device there is), a kind (`cuda`), a device (`cuda:0`), or a list of kinds
   * and devices, over which they are spread alike: fewest workers first, then most free memory. A worker sees its device and no
   * other, through `CUDA_VISIBLE_DEVICES` or `HIP_VISIBLE_DEVICES`. Defaults to no placement: nothing is detected, nothing hidden.
   */
  readonly devices?: Selection.Preference | ReadonlyArray<Selection.Preference> | undefined
  /** Bytes of an accelerator's memory that have to be free for each worker placed on it; the CPU always fits. Defaults to 0. */
  readonly minFreeMemory?: number | undefined
  /** What to try, in order, when none of `devices` can be had. Defaults to none: the worker does not start. */
  readonly fallback?: ReadonlyArray<Selection.Preference> | undefined
  /** How much workers tell of an exception. */
  readonly errors?: ErrorInput | undefined
  /** How arrays and tables share memory with the workers. By default they do, from 32 KiB on, up to 4 GiB. */
  readonly zeroCopy?: SharedMemory.ZeroCopyOptions | undefined
  /** What to show while packages are installed. Defaults to `terminal`. */
  readonly progress?: "terminal" | "silent" | undefined
}

/** The keys of {@link PythonPool} that are not general options. */
export const keys = [
  "pyproject",
  "requirements",
  "python",
  "managedPython",
  "lock",
  "drift",
  "uv",
  "environmentDirectory",
  "inheritPython",
  "pythonPath",
  "cwd",
  "env",
  "start",
  "preload",
  "spares",
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
  "devices",
  "minFreeMemory",
  "fallback",
  "errors",
  "zeroCopy",
  "progress"
] as const

/** {@link ErrorInput}, complete. */
export interface ErrorOptions {
  readonly maxFrames: number
  readonly maxMessageLength: number
  readonly redactPaths: boolean
  readonly generateRepro: string | undefined
}

/** The options, complete. Durations are in milliseconds. */
export interface PythonOptions {
  readonly environment: EnvironmentOptions.EnvironmentOptions & { readonly directory: string | undefined }
  readonly inheritPython: boolean
  readonly pythonPath: ReadonlyArray<string>
  readonly cwd: string | undefined
  readonly env: Readonly<Record<string, string>>
  readonly start: "fork" | "spawn"
  readonly preload: ReadonlyArray<string>
  readonly spares: number
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
  /** Absent when workers are not placed. */
  readonly devices: ReadonlyArray<Selection.Preference> | undefined
  readonly minFreeMemory: number
  readonly fallback: ReadonlyArray<Selection.Preference>
  readonly errors: ErrorOptions
  readonly zeroCopy: SharedMemory.ResolvedOptions
  readonly progress: "terminal" | "silent"
}

const errorKeys: ReadonlyArray<string> = ["maxFrames", "maxMessageLength", "redactPaths", "generateRepro"]

/** A u32 length cannot say more, and neither can a Node Buffer. */
const largestFrame = 4_294_967_295

/** Validates what the pool's options hold for this backend. */
export const resolve = (options: PoolConfig.PoolOptions): Effect.Effect<PythonOptions, SnakepitError.ConfigError> =>
  Effect.suspend(() => {
    const given = options.backend
    const reader = new PoolConfig.OptionReader(`pools.${options.name}`)
    const { boolean, integer, list, millis, oneOf, refuse, text, timerMillis } = reader
    const texts = <A>(key: string, fallback: A): ReadonlyArray<string> | A =>
      list(
        key,
        given[key],
        fallback,
        PoolConfig.isText,
        "an array of strings that are not empty and have no null character"
      )
    const preferences = <A>(key: string, fallback: A, least: number): ReadonlyArray<Selection.Preference> | A => {
      const value = given[key]
      const wanted = value === undefined || Array.isArray(value) ? value : [value]
      const expected = 'devices: "auto", "cuda", "rocm", "mps", "cpu", "cuda:0", "cuda:0:1" or "rocm:0", one or a list'
      const found = list(key, wanted, fallback, Selection.isPreference, expected)
      if (Array.isArray(wanted) && wanted.length < least) refuse(key, value, expected)
      return found
    }
    const native = process.platform === "linux" ? "fork" : "spawn"
    const start = oneOf("start", given["start"], native, ["fork", "spawn"])
    if (start === "fork" && native !== "fork") refuse("start", start, '"spawn", since this is not Linux')
    if (start === "fork" && Number(given["spares"] ?? 0) > 0) {
      refuse("spares", given["spares"], '0, since `start` is "fork": a fork server needs no spares')
    }
    const resolved: PythonOptions = {
      environment: {
        ...EnvironmentOptions.read(reader, given),
        directory: text("environmentDirectory", given["environmentDirectory"])
      },
      inheritPython: boolean("inheritPython", given["inheritPython"], false),
      pythonPath: texts("pythonPath", []),
      cwd: text("cwd", given["cwd"]),
      env: variables(reader, given["env"]),
      start,
      preload: texts("preload", []),
      spares: integer("spares", given["spares"], 0, 0),
      startTimeout: millis("startTimeout", given["startTimeout"], 30_000),
      stopTimeout: timerMillis("stopTimeout", given["stopTimeout"], 2_000),
      maxFrameBytes: integer("maxFrameBytes", given["maxFrameBytes"], 1_073_741_824, 1024, largestFrame),
      cancelGrace: timerMillis("cancelGrace", given["cancelGrace"], 50),
      killGrace: timerMillis("killGrace", given["killGrace"], 2_000),
      heartbeatInterval: timerMillis("heartbeatInterval", given["heartbeatInterval"], 2_000, 1),
      heartbeatTimeout: millis("heartbeatTimeout", given["heartbeatTimeout"], 10_000),
      heartbeatMisses: integer("heartbeatMisses", given["heartbeatMisses"], 3, 1),
      memoryLimit: integer("memoryLimit", given["memoryLimit"], undefined, 16 * 1024 * 1024),
      maxAge: millis("maxAge", given["maxAge"], undefined, 1),
      maxCalls: integer("maxCalls", given["maxCalls"], undefined, 1),
      maxMemory: integer("maxMemory", given["maxMemory"], undefined, 1),
      devices: preferences("devices", undefined, 1),
      minFreeMemory: integer("minFreeMemory", given["minFreeMemory"], 0, 0),
      fallback: preferences("fallback", [], 0),
      errors: errorOptions(reader, given["errors"]),
      zeroCopy: zeroCopyOptions(reader, given["zeroCopy"]),
      progress: oneOf("progress", given["progress"], "terminal", ["terminal", "silent"])
    }
    return reader.result(resolved)
  })

const errorOptions = (reader: PoolConfig.OptionReader, value: unknown): ErrorOptions => {
  const isGiven = value !== undefined && reader.object("errors", value, errorKeys)
  const given = isGiven ? (value as Readonly<Record<string, unknown>>) : {} // the reader has seen that it is an object
  return {
    maxFrames: reader.integer("errors.maxFrames", given["maxFrames"], 15, 1),
    maxMessageLength: reader.integer("errors.maxMessageLength", given["maxMessageLength"], 8_000, 80),
    redactPaths: reader.boolean("errors.redactPaths", given["redactPaths"], true),
    generateRepro: reader.text("errors.generateRepro", given["generateRepro"])
  }
}

const zeroCopyOptions = (reader: PoolConfig.OptionReader, value: unknown = {}): SharedMemory.ResolvedOptions => {
  const bad = SharedMemory.invalid(value)
  if (bad === undefined) return SharedMemory.resolve(value as SharedMemory.ZeroCopyOptions) // checked just now
  reader.refuse(`zeroCopy${bad.key}`, bad.value, bad.expected)
  return SharedMemory.defaults
}

const variables = (reader: PoolConfig.OptionReader, value: unknown): Readonly<Record<string, string>> => {
  if (value === undefined) return {}
  if (!PoolConfig.isObject(value)) {
    reader.refuse("env", value, "an object of strings")
    return {}
  }
  const read: Record<string, string> = {}
  for (const [name, text] of Object.entries(value)) {
    if (!/^[^=\0]+$/.test(name))
      reader.refuse("env", name, 'names that are not empty and hold neither "=" nor a null character')
    if (typeof text === "string" && !text.includes("\0")) read[name] = text
    else reader.refuse(`env.${name}`, text, "a string without a null character")
  }
  return read
}
