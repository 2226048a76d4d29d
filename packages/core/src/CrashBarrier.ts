/**
 * What a pool does about the calls of a worker that crashed: options, and the rule by which a call runs again.
 *
 * A call that cannot have begun is moved to another worker, whatever stands here. A call that may have run is tried again when
 * the policy allows it; a call that killed several workers is refused as `PoisonCall`. `internal/dispatcher.ts` applies this.
 */
import type * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"
import type { OptionReader } from "./internal/optionReader.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import { CrashClass } from "./SnakepitError.ts"

/** Which calls run again after a crash during which they may have run. */
export type Retry = "never" | "idempotent" | "always"

/** Delays before retries after a crash: a schedule of your own, or an exponential one with jitter. */
export type Backoff =
  | Schedule.Schedule<unknown, unknown>
  | { readonly initial?: Duration.Input | undefined; readonly max?: Duration.Input | undefined }

/** The option `crashBarrier` of a pool, as users write it. */
export interface CrashBarrierInput {
  /** Without it, a call whose worker crashed fails with `WorkerCrash` and nothing is remembered. Defaults to true. */
  readonly enabled?: boolean | undefined
  /** Defaults to `idempotent`: calls that say they are. `always` repeats side effects. */
  readonly retry?: Retry | undefined
  /** Retries of one call. Defaults to 2. */
  readonly maxRetries?: number | undefined
  /** Defaults to exponential, 100 milliseconds to 5 seconds, 80 % to 120 % of it. */
  readonly backoff?: Backoff | undefined
  /** Workers that a call, or equal calls, may kill before it is refused as `PoisonCall`. Defaults to 3. */
  readonly poisonAfter?: number | undefined
  /** How long a tainted place or device is left alone. Defaults to 60 seconds. */
  readonly taintDuration?: Duration.Input | undefined
  /**
   * Exit codes after which the worker's place stays empty for `taintDuration`: codes that mean a new start would not help.
   * Defaults to none.
   */
  readonly taintOnExitCodes?: ReadonlyArray<number> | undefined
  /**
   * Python exceptions after which the worker is drained and replaced, by the names in their `mro`: `["MemoryError"]`. Its
   * sessions are lost. Defaults to none.
   */
  readonly taintOnErrorTypes?: ReadonlyArray<string> | undefined
  /** Whether a fatal GPU error taints the worker's device for `taintDuration`: no worker is placed on it. Defaults to true. */
  readonly taintDeviceOnGpuFatal?: boolean | undefined
  /**
   * Crashes that count against the call that ran, towards `poisonAfter`. Defaults to all but `killed` and `protocol`, which come
   * from outside as a rule.
   */
  readonly markOn?: ReadonlyArray<CrashClass> | undefined
}

/** The options, complete. Durations are in milliseconds. */
export interface CrashBarrierOptions {
  readonly enabled: boolean
  readonly retry: Retry
  readonly maxRetries: number
  readonly backoff: Schedule.Schedule<unknown, unknown>
  readonly poisonAfter: number
  readonly taintDuration: number
  readonly taintOnExitCodes: ReadonlyArray<number>
  readonly taintOnErrorTypes: ReadonlyArray<string>
  readonly taintDeviceOnGpuFatal: boolean
  readonly markOn: ReadonlyArray<CrashClass>
}

/** What the rule needs to know about a call that a crash cut off. */
export interface Attempt {
  readonly idempotent: boolean
  /** Its objects died with the worker: another worker cannot serve it. */
  readonly inSession: boolean
  /** Values of its stream that the caller may have seen would come twice. */
  readonly hasDelivered: boolean
  /** Retries so far. */
  readonly retries: number
}

/** Whether a call that may have run is tried again. */
export const allowsRetry = (options: CrashBarrierOptions, attempt: Attempt): boolean =>
  options.enabled &&
  attempt.retries < options.maxRetries &&
  !attempt.inSession &&
  !attempt.hasDelivered &&
  (options.retry === "always" || (options.retry === "idempotent" && attempt.idempotent))

/** Validates the option. */
export const read = (reader: OptionReader, input: CrashBarrierInput | undefined): CrashBarrierOptions => {
  const given = input !== undefined && reader.object("crashBarrier", input, keys) ? input : {}
  return {
    enabled: reader.boolean("crashBarrier.enabled", given.enabled, true),
    retry: reader.oneOf("crashBarrier.retry", given.retry, "idempotent", ["never", "idempotent", "always"]),
    maxRetries: reader.integer("crashBarrier.maxRetries", given.maxRetries, 2, 0),
    backoff: readBackoff(reader, given.backoff),
    poisonAfter: reader.integer("crashBarrier.poisonAfter", given.poisonAfter, 3, 1),
    taintDuration: reader.millis("crashBarrier.taintDuration", given.taintDuration, 60_000),
    taintOnExitCodes: reader.list(
      "crashBarrier.taintOnExitCodes",
      given.taintOnExitCodes,
      [],
      (code): code is number => Number.isInteger(code),
      "a list of exit codes"
    ),
    taintOnErrorTypes: reader.list(
      "crashBarrier.taintOnErrorTypes",
      given.taintOnErrorTypes,
      [],
      (type): type is string => typeof type === "string" && type !== "",
      'a list of Python exception names, like ["MemoryError"]'
    ),
    taintDeviceOnGpuFatal: reader.boolean("crashBarrier.taintDeviceOnGpuFatal", given.taintDeviceOnGpuFatal, true),
    markOn: reader.list(
      "crashBarrier.markOn",
      given.markOn,
      marking,
      (crash): crash is CrashClass => CrashClass.literals.some((known) => known === crash),
      `a list of: ${CrashClass.literals.join(", ")}`
    )
  }
}

const keys = [
  "enabled",
  "retry",
  "maxRetries",
  "backoff",
  "poisonAfter",
  "taintDuration",
  "taintOnExitCodes",
  "taintOnErrorTypes",
  "taintDeviceOnGpuFatal",
  "markOn"
]

const marking = CrashClass.literals.filter((crash) => crash !== "killed" && crash !== "protocol")

const readBackoff = (reader: OptionReader, given: Backoff | undefined): Schedule.Schedule<unknown, unknown> => {
  if (Schedule.isSchedule(given)) return given
  if (given !== undefined && !reader.object("crashBarrier.backoff", given, ["initial", "max"])) return defaultBackoff
  const initial = reader.millis("crashBarrier.backoff.initial", given?.initial, 100)
  return RetryPolicy.delays({ initial, max: reader.millis("crashBarrier.backoff.max", given?.max, 5_000) })
}

const defaultBackoff = RetryPolicy.delays()
