/**
 * A Python object that stays in Python. Refs exist in sessions: the object lives in the session's worker, and the ref is how
 * calls reach it. It ends with {@link PyRef.release}, with its session, or with its worker; using it later fails
 * with `SessionLost`, never with another object's data.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { Arguments, CallOptions, Invocation, Success } from "./Call.ts"
import { noteCallSite } from "./internal/callSite.ts"
import type { SnakepitError } from "./SnakepitError.ts"

/** What identifies a ref on the wire. */
export interface Handle {
  readonly session: string
  readonly worker: string
  readonly id: number
  /** Qualified name of the object's class. */
  readonly type: string
}

/** Runs calls inside one session; what a ref needs to know of its session. */
export interface Invoker {
  readonly id: string
  /** The result is what `options.success` decodes to, and needs what its decoding needs. */
  readonly invoke: (
    invocation: Invocation,
    options: CallOptions & Partial<Success<unknown, unknown>>
  ) => Effect.Effect<unknown, SnakepitError, unknown>
  readonly iterate: (
    invocation: Invocation,
    options: CallOptions & Partial<Success<unknown, unknown>>
  ) => Stream.Stream<unknown, SnakepitError, unknown>
  /** Runs a call whose result stays in Python. */
  readonly keep: (invocation: Invocation, options: CallOptions) => Effect.Effect<PyRef, SnakepitError>
  readonly release: (refs: ReadonlyArray<number>) => Effect.Effect<void>
}

const TypeId = "~@snakepit/core/PyRef"

/** Whether a value is a ref. */
export const isPyRef = (u: unknown): u is PyRef => typeof u === "object" && u !== null && TypeId in u

/** A handle to a Python object that lives in a session's worker. */
export class PyRef {
  readonly [TypeId] = TypeId
  readonly handle: Handle
  private readonly invoker: Invoker

  constructor(handle: Handle, invoker: Invoker) {
    this.handle = handle
    this.invoker = invoker
  }

  /** Qualified name of the object's class. */
  get pythonType(): string {
    return this.handle.type
  }

  /** Calls a method. */
  call<A, R = never>(
    method: string,
    options: CallOptions & Arguments & Success<A, R>
  ): Effect.Effect<A, SnakepitError, R>
  call(method: string, options?: CallOptions & Arguments): Effect.Effect<unknown, SnakepitError>
  call(
    method: string,
    options: CallOptions & Arguments & Partial<Success<unknown, unknown>> = {}
  ): Effect.Effect<unknown, SnakepitError, unknown> {
    return this.invoker.invoke(this.on("method", method, options, this.call), options)
  }

  /** Calls a method and keeps its result in Python. */
  ref(method: string, options: CallOptions & Arguments = {}): Effect.Effect<PyRef, SnakepitError> {
    return this.invoker.keep(this.on("method", method, options, this.ref), options)
  }

  /** Calls a method that answers a generator or iterable, and streams its values. */
  stream<A, R = never>(
    method: string,
    options: CallOptions & Arguments & Success<A, R>
  ): Stream.Stream<A, SnakepitError, R>
  stream(method: string, options?: CallOptions & Arguments): Stream.Stream<unknown, SnakepitError>
  stream(
    method: string,
    options: CallOptions & Arguments & Partial<Success<unknown, unknown>> = {}
  ): Stream.Stream<unknown, SnakepitError, unknown> {
    return this.invoker.iterate({ ...this.on("method", method, options, this.stream), stream: true }, options)
  }

  /** Reads an attribute. */
  get<A, R = never>(attribute: string, options: CallOptions & Success<A, R>): Effect.Effect<A, SnakepitError, R>
  get(attribute: string, options?: CallOptions): Effect.Effect<unknown, SnakepitError>
  get(
    attribute: string,
    options: CallOptions & Partial<Success<unknown, unknown>> = {}
  ): Effect.Effect<unknown, SnakepitError, unknown> {
    return this.invoker.invoke(this.on("get_attr", attribute, {}, this.get), options)
  }

  /** Writes an attribute. */
  set(attribute: string, value: unknown, options: CallOptions = {}): Effect.Effect<void, SnakepitError> {
    return Effect.asVoid(this.run(this.on("set_attr", attribute, { args: [value] }, this.set), options))
  }

  /** Reads `object[key]`. */
  item<A, R = never>(key: unknown, options: CallOptions & Success<A, R>): Effect.Effect<A, SnakepitError, R>
  item(key: unknown, options?: CallOptions): Effect.Effect<unknown, SnakepitError>
  item(
    key: unknown,
    options: CallOptions & Partial<Success<unknown, unknown>> = {}
  ): Effect.Effect<unknown, SnakepitError, unknown> {
    return this.invoker.invoke(this.on("item", "", { args: [key] }, this.item), options)
  }

  /** Writes `object[key] = value`. */
  setItem(key: unknown, value: unknown, options: CallOptions = {}): Effect.Effect<void, SnakepitError> {
    return Effect.asVoid(this.run(this.on("item", "", { args: [key, value] }, this.setItem), options))
  }

  /** Iterates over the object. */
  iterate<A, R = never>(options: CallOptions & Success<A, R>): Stream.Stream<A, SnakepitError, R>
  iterate(options?: CallOptions): Stream.Stream<unknown, SnakepitError>
  iterate(
    options: CallOptions & Partial<Success<unknown, unknown>> = {}
  ): Stream.Stream<unknown, SnakepitError, unknown> {
    return this.invoker.iterate({ ...this.on("iterate", "", {}, this.iterate), stream: true }, options)
  }

  /**
   * Enters the object as a context manager (`with object as entered`) and answers what `__enter__` returned, as a ref. Leaving
   * the scope calls `__exit__`, with a `CallbackError` of the error's message when the scope ends in failure; what it answers
   * suppresses nothing. When `__exit__` itself raises, the scope dies of that exception, unless it was failing already.
   */
  enter(options: CallOptions = {}): Effect.Effect<PyRef, SnakepitError, Scope.Scope> {
    const leave = this.on("exit", "", {}, this.enter)
    return Effect.acquireRelease(this.invoker.keep(this.on("enter", "", {}, this.enter), options), (_, exit) =>
      this.run({ ...leave, args: exit._tag === "Failure" ? [String(exit.cause)] : [] }, {}).pipe(
        // a finalizer has no error channel, and an `__exit__` that failed (a commit, say) must not pass for success
        exit._tag === "Success" ? Effect.orDie : Effect.ignore
      )
    )
  }

  /** Lets Python forget the object. Later uses of this ref fail with `SessionLost`. */
  get release(): Effect.Effect<void> {
    return this.invoker.release([this.handle.id])
  }

  private run(invocation: Invocation, options: CallOptions): Effect.Effect<unknown, SnakepitError> {
    // without `success` nothing is decoded, so nothing is required
    return this.invoker.invoke(invocation, options) as Effect.Effect<unknown, SnakepitError>
  }

  private on(
    callType: Invocation["callType"],
    path: string,
    given: Arguments,
    caller: (...args: never) => unknown
  ): Invocation {
    return {
      target: path === "" ? `${this.handle.type}[${callType}]` : `${this.handle.type}.${path}`,
      callType,
      module: "builtins",
      path,
      instance: this.handle,
      args: given.args ?? [],
      kwargs: given.kwargs,
      stream: false,
      result: "value",
      site: noteCallSite(caller)
    }
  }

  /** `PyRef(module.Class #1)`. */
  toString(): string {
    return `PyRef(${this.handle.type} #${this.handle.id})`
  }

  toJSON(): unknown {
    return { _id: "PyRef", ...this.handle }
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString()
  }
}
