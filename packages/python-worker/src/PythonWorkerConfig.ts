/**
 * Options of pools whose workers are Python processes: documented fields, defaults, one validation. The general options
 * (size, profile, queue) are those of `PoolConfig` in `@snakepit/core`.
 */
import { type PoolConfig, SnakepitError } from "@snakepit/core"
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
  "startTimeout",
  "stopTimeout",
  "maxFrameBytes",
  "cancelGrace",
  "killGrace",
  "progress"
] as const

/** The options, complete. Durations are in milliseconds. */
export interface PythonOptions {
  readonly python: string | undefined
  readonly requirements: ReadonlyArray<string> | undefined
  readonly pythonPath: ReadonlyArray<string>
  readonly cwd: string | undefined
  readonly env: Readonly<Record<string, string>>
  readonly startTimeout: number
  readonly stopTimeout: number
  readonly maxFrameBytes: number
  readonly cancelGrace: number
  readonly killGrace: number
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
    const resolved: PythonOptions = {
      python: text("python"),
      requirements: texts("requirements"),
      pythonPath: texts("pythonPath") ?? [],
      cwd: text("cwd"),
      env: variables(),
      startTimeout: millis("startTimeout", 30_000),
      stopTimeout: millis("stopTimeout", 2_000),
      maxFrameBytes: Number(maxFrameBytes),
      cancelGrace: millis("cancelGrace", 50),
      killGrace: millis("killGrace", 2_000),
      progress: progress === "silent" ? "silent" : "terminal"
    }
    return failure === undefined ? Effect.succeed(resolved) : Effect.fail(failure)
  })
