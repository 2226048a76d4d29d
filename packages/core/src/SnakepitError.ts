/**
 * Everything that a call can fail with: the closed union {@link SnakepitError}.
 *
 * Python's own exceptions stand in `PythonError.ts`. Here are the failures of workers, pools, sessions and values. Each
 * message says what happened, what was expected and what to do. An error that ends a call after it reached a worker
 * says in `mayHaveExecuted` whether the Python code can have run.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { taggedError } from "./internal/taggedError.ts"
import type { PythonError } from "./PythonError.ts"

// ---------------------------------------------------------------------------------------------------------------------
// Values
// ---------------------------------------------------------------------------------------------------------------------

/** An argument cannot cross to Python. Nothing was sent. */
export class EncodeError extends taggedError<EncodeError>()("EncodeError", {
  /** Where the value stands, like `args[0].rows[3]`. */
  path: Schema.String,
  /** What was found there. */
  actual: Schema.String,
  /** Why it cannot cross and what would. */
  reason: Schema.String
}) {
  override get message() {
    return `${this.path} cannot cross to Python: got ${this.actual}. ${this.reason}`
  }
}

/** A value from Python is not what was expected: it does not match the `success` schema, or its bytes do not decode. */
export class DecodeError extends taggedError<DecodeError>()("DecodeError", {
  path: Schema.String,
  expected: Schema.String,
  actual: Schema.String,
  mayHaveExecuted: Schema.Boolean.pipe(Schema.withConstructorDefault(Effect.succeed(true)))
}) {
  override get message() {
    return `${this.path} does not decode: expected ${this.expected}, got ${this.actual}`
  }
}

/** The call succeeded in Python, and its result has no form in TypeScript. */
export class UnserializableResult extends taggedError<UnserializableResult>()("UnserializableResult", {
  path: Schema.String,
  pythonType: Schema.String,
  repr: Schema.String,
  reason: Schema.String,
  mayHaveExecuted: Schema.Boolean.pipe(Schema.withConstructorDefault(Effect.succeed(true)))
}) {
  override get message() {
    return `${this.path} cannot cross to TypeScript: got ${this.pythonType} (${this.repr}). ${this.reason}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Workers
// ---------------------------------------------------------------------------------------------------------------------

/** How a worker process ended. */
export const CrashClass = Schema.Literals([
  "segfault",
  "abort",
  "killed",
  "oom",
  "floating_point",
  "gpu",
  "exit",
  "unresponsive",
  "protocol"
])
export type CrashClass = typeof CrashClass.Type

/** One thread of a Python process at its death. */
export const PythonThread = Schema.Struct({
  /** The thread that was running when the process died, or when it was asked. */
  current: Schema.Boolean,
  /** Outermost first. */
  frames: Schema.Array(Schema.Struct({ file: Schema.String, line: Schema.Int, function: Schema.String }))
})
export type PythonThread = typeof PythonThread.Type

/** The worker process ended while it had this call. */
export class WorkerCrash extends taggedError<WorkerCrash>()("WorkerCrash", {
  pool: Schema.String,
  worker: Schema.String,
  crash: CrashClass,
  /** Exit code, when the process ended by itself. */
  exitCode: Schema.NullOr(Schema.Int),
  /** Signal name, when a signal ended it. */
  signal: Schema.NullOr(Schema.String),
  /** The last lines the worker wrote to stderr, oldest first. */
  stderr: Schema.Array(Schema.String),
  /** The Python stack of each thread, where the process could still tell: after a segfault or abort, and when unresponsive. */
  pythonStack: Schema.Array(PythonThread).pipe(Schema.withConstructorDefault(Effect.succeed([]))),
  /**
   * The native stacks of all threads of an unresponsive worker, a line for each frame, as the debugger of the machine writes them
   * (`eu-stack` or `gdb`); empty where there is none, or where it may not look.
   */
  nativeStack: Schema.Array(Schema.String).pipe(Schema.withConstructorDefault(Effect.succeed([]))),
  /** Targets of the calls that the worker had when it ended. */
  inFlight: Schema.Array(Schema.String),
  mayHaveExecuted: Schema.Boolean
}) {
  override get message() {
    const how = this.signal === null ? `exit code ${this.exitCode ?? "unknown"}` : `signal ${this.signal}`
    const last = this.stderr.findLast((line) => line.trim() !== "")
    const tail = last === undefined ? "" : `; last stderr line: ${last}`
    const ran = this.mayHaveExecuted ? "the call may have run" : "the call had not begun"
    return `worker ${this.worker} of pool "${this.pool}" ended (${this.crash}, ${how}); ${ran}${tail}`
  }
}

/** A worker did not come up. */
export class WorkerStartError extends taggedError<WorkerStartError>()("WorkerStartError", {
  pool: Schema.String,
  worker: Schema.String,
  reason: Schema.String,
  stderr: Schema.Array(Schema.String)
}) {
  override get message() {
    const tail = this.stderr.length === 0 ? "" : `\n${this.stderr.join("\n")}`
    return `worker ${this.worker} of pool "${this.pool}" did not start: ${this.reason}${tail}`
  }
}

/** One worker that a call killed. */
export const CrashMark = Schema.Struct({
  worker: Schema.String,
  crash: CrashClass,
  /** Unix time in milliseconds. */
  at: Schema.Number
})
export type CrashMark = typeof CrashMark.Type

/** This call, or calls equal to it, killed so many workers that it is not run again for an hour. */
export class PoisonCall extends taggedError<PoisonCall>()("PoisonCall", {
  target: Schema.String,
  /** The workers it killed, oldest first. */
  crashes: Schema.Array(CrashMark),
  /** False when it was refused at once because of the crashes before it. */
  mayHaveExecuted: Schema.Boolean
}) {
  override get message() {
    const history = this.crashes.map((mark) => `${mark.worker} (${mark.crash})`).join(", ")
    return (
      `${this.target} with these arguments killed ${this.crashes.length} workers and is not run again: ${history}. ` +
      "Mend the Python code, or see `crashBarrier.poisonAfter`"
    )
  }
}

/** The circuit is open: too many calls failed, and this one was not tried. */
export class CircuitOpen extends taggedError<CircuitOpen>()("CircuitOpen", {
  pool: Schema.String,
  /** The device whose circuit it is; absent when it is the pool's. */
  device: Schema.optional(Schema.String),
  /** When the next call may be let through; 0 while probes are running. */
  retryAfterMillis: Schema.Number
}) {
  override get message() {
    const when =
      this.retryAfterMillis > 0 ? `in ${Math.ceil(this.retryAfterMillis)} ms` : "when the probes that run have ended"
    const whose = this.device === undefined ? `"${this.pool}"` : `device ${this.device} in "${this.pool}"`
    return `the circuit of ${whose} is open: its last calls failed. The next one is let through ${when}`
  }
}

/** The call's deadline passed. The Python code is being stopped, and its worker is not used before it has stopped. */
export class CallTimeout extends taggedError<CallTimeout>()("CallTimeout", {
  target: Schema.String,
  timeoutMillis: Schema.Number,
  mayHaveExecuted: Schema.Boolean
}) {
  override get message() {
    const where = this.mayHaveExecuted ? "while Python was running it" : "before a worker took it"
    return `${this.target} did not finish within ${this.timeoutMillis} ms: the deadline passed ${where}`
  }
}

/** A frame broke the wire contract. The connection it came on is closed. */
export class ProtocolError extends taggedError<ProtocolError>()("ProtocolError", {
  reason: Schema.String,
  mayHaveExecuted: Schema.Boolean
}) {
  override get message() {
    return `the worker connection broke the wire contract: ${this.reason}`
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Pools and sessions
// ---------------------------------------------------------------------------------------------------------------------

/** The pool's waiting room is full: the call was refused at once. */
export class PoolSaturated extends taggedError<PoolSaturated>()("PoolSaturated", {
  pool: Schema.String,
  waiting: Schema.Int,
  limit: Schema.Int
}) {
  override get message() {
    return (
      `pool "${this.pool}" is saturated: ${this.waiting} calls wait, at most ${this.limit} may. ` +
      "Slow down, retry later, or raise `size` or `maxQueue`"
    )
  }
}

/** No worker took the call within the pool's queue timeout. It has not run. */
export class QueueTimeout extends taggedError<QueueTimeout>()("QueueTimeout", {
  pool: Schema.String,
  target: Schema.String,
  queueTimeoutMillis: Schema.Number,
  /** The session whose worker it waited for; absent when any worker would have done. */
  session: Schema.optional(Schema.String)
}) {
  override get message() {
    if (this.session !== undefined) {
      return (
        `${this.target} waited ${this.queueTimeoutMillis} ms for the one worker of session ${this.session}, which was busy. ` +
        "Raise `queueTimeout`, make the calls before it shorter, or spread the work over several sessions"
      )
    }
    return (
      `${this.target} waited ${this.queueTimeoutMillis} ms for a worker of pool "${this.pool}" and got none. ` +
      "Raise `size` or `queueTimeout`, or make the calls before it shorter"
    )
  }
}

/** The pool is closed or closing. The call has not run. */
export class PoolClosed extends taggedError<PoolClosed>()("PoolClosed", {
  pool: Schema.String
}) {
  override get message() {
    return `pool "${this.pool}" is closed: its scope has ended`
  }
}

/** The pool's workers end too often; it goes on trying to start one. The call has not run. */
export class PoolUnhealthy extends taggedError<PoolUnhealthy>()("PoolUnhealthy", {
  pool: Schema.String,
  /** Crashes within the window. */
  crashes: Schema.Int,
  windowMillis: Schema.Number
}) {
  override get message() {
    return (
      `pool "${this.pool}" is unhealthy: its workers crashed ${this.crashes} times in ${this.windowMillis} ms. ` +
      "It goes on trying; see the crashes before this one for the cause"
    )
  }
}

/** No pool has this name. */
export class PoolNotFound extends taggedError<PoolNotFound>()("PoolNotFound", {
  pool: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message() {
    return `there is no pool "${this.pool}"; the configuration names: ${this.known.join(", ")}`
  }
}

/** A call asked for a device that no worker of the pool was placed on. It has not run. */
export class DeviceNotInPool extends taggedError<DeviceNotInPool>("@snakepit/core/DeviceNotInPool")("DeviceNotInPool", {
  pool: Schema.String,
  device: Schema.String,
  /** The devices that its workers were placed on so far. */
  devices: Schema.Array(Schema.String)
}) {
  override get message() {
    const known =
      this.devices.length === 0
        ? "its workers are placed on none (option `devices`)"
        : `known are ${this.devices.join(", ")}`
    return `pool "${this.pool}" has no worker on device "${this.device}": ${known}`
  }
}

/** The session, or the ref, does not exist any more: its worker ended, or it was released, or it expired. */
export class SessionLost extends taggedError<SessionLost>()("SessionLost", {
  session: Schema.String,
  reason: Schema.String,
  mayHaveExecuted: Schema.Boolean
}) {
  override get message() {
    return `session ${this.session} cannot serve this call: ${this.reason}`
  }
}

/**
 * The session's worker is busy, and waiting for it is of no use: the affinity is `strictFailFast`, or the worker waits for this
 * very call. The call has not run.
 */
export class SessionBusy extends taggedError<SessionBusy>()("SessionBusy", {
  session: Schema.String,
  worker: Schema.String,
  /** A callback made this call, and the call that waits for the callback holds the worker: it would wait for ever. */
  waitsForItself: Schema.Boolean.pipe(Schema.withConstructorDefault(Effect.succeed(false)))
}) {
  override get message() {
    if (this.waitsForItself) {
      return (
        `worker ${this.worker} of session ${this.session} runs the call whose callback makes this one, so that each waits for the ` +
        'other. Make it outside of the session or in another one, or use the profile "thread" or an `async def`'
      )
    }
    return `worker ${this.worker} of session ${this.session} is busy, and the session's affinity is strictFailFast`
  }
}

/** The pool holds as many sessions as it may. */
export class SessionLimit extends taggedError<SessionLimit>()("SessionLimit", {
  pool: Schema.String,
  limit: Schema.Int
}) {
  override get message() {
    return `pool "${this.pool}" has ${this.limit} open sessions, the most it may. Close sessions or raise \`maxSessions\``
  }
}

/** Failures of Snakepit itself, as opposed to exceptions that Python code raised. */
export const RuntimeFailure = Schema.Union([
  EncodeError,
  DecodeError,
  UnserializableResult,
  WorkerCrash,
  WorkerStartError,
  PoisonCall,
  CircuitOpen,
  CallTimeout,
  ProtocolError,
  PoolSaturated,
  QueueTimeout,
  PoolClosed,
  PoolUnhealthy,
  PoolNotFound,
  DeviceNotInPool,
  SessionLost,
  SessionBusy,
  SessionLimit
])
export type RuntimeFailure = typeof RuntimeFailure.Type

/** Everything that a call can fail with. */
export type SnakepitError = PythonError | RuntimeFailure

/** A configuration that does not hold. It stops the start: callers never see it. */
export class ConfigError extends taggedError<ConfigError>()("ConfigError", {
  /** Path of the key, like `pools.default.size`. */
  key: Schema.String,
  actual: Schema.String,
  expected: Schema.String
}) {
  override get message() {
    return `configuration key \`${this.key}\`: expected ${this.expected}, got ${this.actual}`
  }
}
