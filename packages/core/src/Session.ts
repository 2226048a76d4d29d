/**
 * A session: Python objects that live between calls. All calls of a session go to the same worker, so an object made by one
 * call can be used by the next. Its scope ends it, and Python forgets its objects.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Tracer from "effect/Tracer"
import { type Arguments, type CallOptions, type Invocation, splitTarget, type Success } from "./Call.ts"
import { type CallSite, noteCallSite } from "./internal/callSite.ts"
import { decodeResult } from "./internal/decodeResult.ts"
import { type Invoker, isPyRef, PyRef } from "./PyRef.ts"
import type { Placement } from "./internal/sessions.ts"
import type { Pool } from "./Pool.ts"
import type { Handle } from "./PyRef.ts"
import { DecodeError, type SnakepitError } from "./SnakepitError.ts"

/** An open session. Made by `Snakepit.session`. */
export class Session {
  readonly id: string
  readonly pool: string
  private readonly invoker: Invoker

  constructor(pool: Pool, placement: Placement, span?: Tracer.Span) {
    this.id = placement.id
    this.pool = pool.options.name
    this.invoker = makeInvoker(pool, placement, span)
  }

  /** Calls a function in this session. */
  call<A, R = never>(
    target: string,
    options: CallOptions & Arguments & Success<A, R>
  ): Effect.Effect<A, SnakepitError, R>
  call(target: string, options?: CallOptions & Arguments): Effect.Effect<unknown, SnakepitError>
  call(
    target: string,
    options: CallOptions & Arguments & Partial<Success<unknown, unknown>> = {}
  ): Effect.Effect<unknown, SnakepitError, unknown> {
    return this.invoker.invoke(describe("function", target, options, noteCallSite(this.call)), options)
  }

  /** Calls a function and keeps its result in Python. */
  ref(target: string, options: CallOptions & Arguments = {}): Effect.Effect<PyRef, SnakepitError> {
    return this.invoker.keep(describe("function", target, options, noteCallSite(this.ref)), options)
  }

  /** Makes an object of a class; it stays in Python. */
  construct(target: string, options: CallOptions & Arguments = {}): Effect.Effect<PyRef, SnakepitError> {
    return this.invoker.keep(describe("class", target, options, noteCallSite(this.construct)), options)
  }

  /** Calls a function that answers a generator or iterable, and streams its values. */
  stream<A, R = never>(
    target: string,
    options: CallOptions & Arguments & Success<A, R>
  ): Stream.Stream<A, SnakepitError, R>
  stream(target: string, options?: CallOptions & Arguments): Stream.Stream<unknown, SnakepitError>
  stream(
    target: string,
    options: CallOptions & Arguments & Partial<Success<unknown, unknown>> = {}
  ): Stream.Stream<unknown, SnakepitError, unknown> {
    return this.invoker.iterate(
      { ...describe("function", target, options, noteCallSite(this.stream)), stream: true },
      options
    )
  }

  /** Reads an attribute of a module, like `math.pi`. */
  attribute<A, R = never>(target: string, options: CallOptions & Success<A, R>): Effect.Effect<A, SnakepitError, R>
  attribute(target: string, options?: CallOptions): Effect.Effect<unknown, SnakepitError>
  attribute(
    target: string,
    options: CallOptions & Partial<Success<unknown, unknown>> = {}
  ): Effect.Effect<unknown, SnakepitError, unknown> {
    return this.invoker.invoke(describe("module_attr", target, {}, noteCallSite(this.attribute)), options)
  }
}

/** The invocation of a dotted target. */
export const describe = (
  callType: Invocation["callType"],
  target: string,
  given: Arguments,
  site: CallSite
): Invocation => {
  const { module, path } = splitTarget(target)
  return {
    target,
    callType,
    module,
    path,
    instance: undefined,
    args: given.args ?? [],
    kwargs: given.kwargs,
    stream: false,
    result: callType === "class" ? "ref" : "value",
    site
  }
}

const makeInvoker = (pool: Pool, placement: Placement, span: Tracer.Span | undefined): Invoker => {
  const makeRef = (handle: Handle): PyRef => new PyRef(handle, invoker)
  const within = (options: CallOptions) => ({
    timeout: options.timeout,
    idempotent: options.idempotent,
    retry: options.retry,
    attributes: options.attributes,
    session: placement,
    sessionSpan: span,
    makeRef
  })
  const invoker: Invoker = {
    id: placement.id,
    invoke: (invocation, options) => pool.run(invocation, within(options), decoderOf(options)),
    iterate: (invocation, options) => decodeItems(pool.stream(invocation, within(options)), options),
    keep: (invocation, options) =>
      pool.run({ ...invocation, result: "ref" }, within(options), (value, root) =>
        isPyRef(value)
          ? Effect.succeed(value)
          : Effect.fail(new DecodeError({ path: root, expected: "a ref", actual: typeof value }))
      ),
    release: (refs) =>
      Effect.sync(() => {
        if (placement.lost === undefined) placement.member.worker.release(placement.id, refs)
      })
  }
  return invoker
}

const identity = <A>(value: A): Effect.Effect<A> => Effect.succeed(value)

/** The decoder that the options ask for. */
export const decoderOf = <A, R>(options: Partial<Success<A, R>>) =>
  options.success === undefined ? identity : decodeResult(options.success)

/** Decodes each value of a stream as the options ask for. */
export const decodeItems = <A, R>(
  stream: Stream.Stream<unknown, SnakepitError>,
  options: Partial<Success<A, R>>
): Stream.Stream<unknown, SnakepitError, R> => {
  if (options.success === undefined) return stream
  const decode = decodeResult(options.success)
  return Stream.mapEffect(Stream.zipWithIndex(stream), ([value, index]) => decode(value, `result[${index}]`))
}
