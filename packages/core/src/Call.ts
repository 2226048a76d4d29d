/**
 * One call as data: what is reached in Python and with which arguments. `Snakepit.ts` makes these from what users write,
 * the pool places them, a worker sends them. Nothing here runs anything.
 */
import type * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Schedule from "effect/Schedule"
import type * as Schema from "effect/Schema"
import type { CallSite } from "./internal/callSite.ts"
import type { Handle } from "./PyRef.ts"
import type { SnakepitError } from "./SnakepitError.ts"

/** What a call does with its target; see the runtime contract in `protocol/README.md`. */
export type CallType =
  | "function"
  | "class"
  | "method"
  | "get_attr"
  | "set_attr"
  | "module_attr"
  | "item"
  | "iterate"
  | "enter"
  | "exit"

/** The place in a trace that Python continues from. */
export interface TraceParent {
  readonly traceId: string
  readonly spanId: string
  readonly sampled: boolean
}

/** Arguments for Python. */
export interface Arguments {
  /** Positional arguments. Functions among them arrive as Python callables. */
  readonly args?: ReadonlyArray<unknown> | undefined
  /** Keyword arguments. */
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined
}

/** Options that every kind of call has. */
export interface CallOptions {
  /** Deadline, from submission to decoded result; `Infinity` for none. Defaults to the pool's `callTimeout`. */
  readonly timeout?: Duration.Input | undefined
  /** Whether running the call twice does no harm. Defaults to false. */
  readonly idempotent?: boolean | undefined
  /**
   * When the call is tried again after it failed, as `RetryPolicy.make` answers it. The timeout holds for all attempts together.
   * Streams take no notice. Defaults to never.
   */
  readonly retry?: Schedule.Schedule<unknown, SnakepitError> | undefined
  /** Attributes for the call's span. */
  readonly attributes?: Readonly<Record<string, unknown>> | undefined
}

/** The schema that decodes and types the result. Without it the result is `unknown`. */
export interface Success<A, R> {
  readonly success: Schema.Decoder<A, R>
}

/** What is to be done in Python, apart from who asks and for how long it may take. */
export interface Invocation {
  /** Dotted path as the user wrote it; for messages, spans and statistics. */
  readonly target: string
  readonly callType: CallType
  /** Python module, and the dotted path inside it; the path is "" when `instance` says it all. */
  readonly module: string
  readonly path: string
  readonly instance: Handle | undefined
  readonly args: ReadonlyArray<unknown>
  readonly kwargs: Readonly<Record<string, unknown>> | undefined
  /** Whether the results are values of a generator or iterable, sent one by one. */
  readonly stream: boolean
  /** `ref` keeps the result in Python and answers a ref to it. */
  readonly result: "value" | "ref"
  /** Where TypeScript code made the call: what the stack of its error begins with. */
  readonly site?: CallSite | undefined
}

/** One request, complete. */
export interface Call extends Invocation {
  readonly idempotent: boolean
  readonly session: string | undefined
  /** Only workers on this device may run it: `cuda:0`, or any of a kind: `cuda`. */
  readonly device?: string | undefined
  /** Unix time in milliseconds. */
  readonly deadline: number | undefined
  readonly trace: TraceParent | undefined
  /** The caller's context: functions among the arguments run in it. */
  readonly context: Context.Context<never>
  /** Makes the user's ref of a handle that came back. */
  readonly makeRef: ((handle: Handle) => unknown) | undefined
}

/** Splits `"numpy.linalg.solve"` into the module `numpy.linalg` and the path `solve`; a bare name is a built-in. */
export const splitTarget = (target: string): { readonly module: string; readonly path: string } => {
  const dot = target.lastIndexOf(".")
  return dot < 0 ? { module: "builtins", path: target } : { module: target.slice(0, dot), path: target.slice(dot + 1) }
}
