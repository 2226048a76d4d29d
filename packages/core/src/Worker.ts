/**
 * The contract between the pool and one live worker. It is synchronous and made of plain callbacks, since every call
 * passes through it: the fiber that waits for a reply is resumed in the event handler that read it.
 *
 * `WorkerSpawner.ts` boots workers. Implementations: `TestWorker.ts` here, and `@snakepit/python-worker`.
 */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Call } from "./Call.ts"
import type { CrashClass, SnakepitError } from "./SnakepitError.ts"

/** How a worker ended. */
export interface WorkerEnd {
  /** `undefined`: it was asked to, or was ended because a call did not stop. */
  readonly crash: CrashClass | undefined
  readonly exitCode: number | null
  readonly signal: string | null
}

/** What a worker tells about one call. Exactly one of `onExit` and `onDropped` is called, last. */
export interface CallObserver {
  readonly call: Call
  /** Values of a stream. Each chunk wants one {@link Worker.ack}. */
  onChunk(values: ReadonlyArray<unknown>): void
  /** The call goes on beside the worker's threads (an event loop runs it): its slot is free. */
  onParked(): void
  /** The call ended. `pythonMicros` is the time in the target, when the call was traced. */
  onExit(exit: Exit.Exit<unknown, SnakepitError>, pythonMicros: number | undefined): void
  /** The call was taken back before it began: it has had no effect. */
  onDropped(): void
}

/** One live worker. */
export interface Worker {
  readonly id: string
  readonly pid: number | undefined
  /** The device that its calls run on, like `cuda:0`. Taints, circuits and health of devices go by it. */
  readonly device?: string | undefined
  /** How many calls run at the same time, those on the event loop aside. */
  readonly concurrency: number
  /** False from the moment it can take no more calls. */
  readonly isOpen: boolean
  /** Starts a call, or queues it behind those it has, and answers its number. Throws `EncodeError`; nothing was sent then. */
  start(observer: CallObserver): number
  /** Stops a call by whatever it takes. `onExit` or `onDropped` tells when it has stopped. */
  interrupt(call: number): void
  /** Takes back those of the calls that have not begun: `onDropped` tells which. The others go on. */
  recall(calls: ReadonlyArray<number>): void
  /** The consumer is done with one chunk of the stream. */
  ack(call: number): void
  /** Releases refs of a session, or all of it. */
  release(session: string, refs?: ReadonlyArray<number>): void
  /** Makes tools callable from Python, for one session or for all calls. */
  registerTools(tools: ReadonlyArray<ToolRegistration>, session?: string): void
  /** Completes with the reason when the worker should be replaced though it works: its age, its calls, its memory. */
  readonly worn?: Effect.Effect<string> | undefined
  /** Completes when the worker is gone. Calls it had are settled by then. */
  readonly ended: Effect.Effect<WorkerEnd>
}

/** A tool as a worker sees it. */
export interface ToolRegistration {
  readonly name: string
  readonly description: string
  /** JSON schema of the keyword arguments. */
  readonly parameters: unknown
  /** Runs the tool; never fails with a defect, whatever the arguments. */
  readonly run: (
    args: ReadonlyArray<unknown>,
    kwargs: Readonly<Record<string, unknown>>
  ) => Effect.Effect<unknown, unknown>
}
