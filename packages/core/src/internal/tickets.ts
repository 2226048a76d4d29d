/** The two kinds of ticket: one reply that resumes a fiber, and a stream of chunks that a consumer pulls. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import type { Call } from "../Call.ts"
import type { SnakepitError } from "../SnakepitError.ts"
import type { Decode } from "./decodeResult.ts"
import { type Dispatcher, Ticket } from "./dispatcher.ts"
import { tellStory } from "./errorStory.ts"

/** What tracing wants to know of a settled call. Times are in milliseconds. */
export interface Timings {
  readonly worker: string | undefined
  readonly queueMillis: number
  readonly pythonMillis: number | undefined
}

const timings = (ticket: Ticket, pythonMicros: number | undefined): Timings => ({
  worker: ticket.member?.worker.id,
  queueMillis: ticket.submittedAt === 0 || ticket.sentAt === 0 ? 0 : ticket.sentAt - ticket.submittedAt,
  pythonMillis: pythonMicros === undefined ? undefined : pythonMicros / 1000
})

/** Lets the errors of a call tell where it was made; a worker that did not start is no story of one call, and all wait for it. */
const told = (cause: Cause.Cause<SnakepitError>, call: Call): Cause.Cause<SnakepitError> => {
  for (const reason of cause.reasons) {
    if (reason._tag === "Fail" && reason.error._tag !== "WorkerStartError") tellStory(reason.error, call)
  }
  return cause
}

/** A call with one reply. */
export class CallTicket<A, R> extends Ticket {
  private readonly resume: (effect: Effect.Effect<A, SnakepitError, R>) => void
  private readonly decode: Decode<A, R>
  private readonly onSettled: ((timings: Timings) => void) | undefined

  constructor(
    dispatcher: Dispatcher,
    call: Call,
    timeoutMillis: number | undefined,
    decode: Decode<A, R>,
    resume: (effect: Effect.Effect<A, SnakepitError, R>) => void,
    onSettled: ((timings: Timings) => void) | undefined
  ) {
    super(dispatcher, call, timeoutMillis)
    this.decode = decode
    this.resume = resume
    this.onSettled = onSettled
  }

  override onAbandoned(): void {
    this.onSettled?.(timings(this, undefined))
  }

  override deliver(exit: Exit.Exit<unknown, SnakepitError>, pythonMicros: number | undefined): void {
    if (this.onSettled !== undefined) this.onSettled(timings(this, pythonMicros))
    this.resume(exit._tag === "Success" ? this.decoded(exit.value) : Exit.failCause(told(exit.cause, this.call)))
  }

  /** What the schema makes of the result; one that takes its time has what is left of the deadline. */
  private decoded(value: unknown): Effect.Effect<A, SnakepitError, R> {
    const { deadline } = this
    try {
      const decoded = this.decode(value, "result")
      if (deadline === undefined || Exit.isExit(decoded)) return decoded
      return Effect.timeoutOrElse(decoded, {
        duration: Math.max(0, deadline.at - performance.now()),
        orElse: () => Exit.failCause(told(Cause.fail(this.expired(true)), this.call))
      })
    } catch (defect) {
      // a schema that cannot be used: the caller's, and neither the worker's nor that of the calls beside it
      return Exit.die(defect)
    }
  }
}

/** A call whose values come in chunks. The worker runs a few chunks ahead of the consumer, never more. */
export class StreamTicket extends Ticket {
  private readonly chunks: Array<ReadonlyArray<unknown>> = []
  private end: Exit.Exit<unknown, SnakepitError> | undefined
  private waiter: ((effect: Effect.Effect<void>) => void) | undefined
  private readonly onSettled: ((timings: Timings) => void) | undefined

  constructor(
    dispatcher: Dispatcher,
    call: Call,
    timeoutMillis: number | undefined,
    onSettled: ((timings: Timings) => void) | undefined
  ) {
    super(dispatcher, call, timeoutMillis)
    this.onSettled = onSettled
  }

  override onChunk(values: ReadonlyArray<unknown>): void {
    if (this.answered) return
    this.hasDelivered = true
    this.chunks.push(values)
    this.wake()
  }

  override onAbandoned(): void {
    this.onSettled?.(timings(this, undefined))
  }

  override deliver(exit: Exit.Exit<unknown, SnakepitError>, pythonMicros: number | undefined): void {
    if (this.onSettled !== undefined) this.onSettled(timings(this, pythonMicros))
    this.end = exit._tag === "Success" ? exit : Exit.failCause(told(exit.cause, this.call))
    this.wake()
  }

  private wake(): void {
    const waiter = this.waiter
    this.waiter = undefined
    if (waiter !== undefined) waiter(Effect.void)
  }

  /** The next chunk; fails with the stream's failure, or with `Cause.Done` at its end, after all chunks before it. */
  readonly pull: Pull.Pull<readonly [unknown, ...Array<unknown>], SnakepitError> = Effect.suspend(() => {
    const chunk = this.chunks.shift()
    if (chunk !== undefined) {
      if (this.state === "sent" || this.state === "parked") this.member?.worker.ack(this.number)
      return isNonEmpty(chunk) ? Effect.succeed(chunk) : this.pull
    }
    if (this.end !== undefined) return this.end._tag === "Success" ? Cause.done() : Exit.failCause(this.end.cause)
    return Effect.flatMap(
      Effect.callback<void>((resume) => {
        this.waiter = resume
      }),
      () => this.pull
    )
  })
}

const isNonEmpty = (values: ReadonlyArray<unknown>): values is readonly [unknown, ...Array<unknown>] =>
  values.length > 0
