/**
 * A pool: workers of one kind, the waiting room in front of them, the sessions on them and their supervision.
 *
 * The placement of calls is `internal/dispatcher.ts`, which `internal/supervision.ts` gives its workers; here its calls become
 * Effects. `Snakepit.ts` holds the pools of a program.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { Call, CallOptions, Invocation, TraceParent } from "./Call.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Health from "./Health.ts"
import { CrashHistory } from "./internal/crashHistory.ts"
import type { Decode } from "./internal/decodeResult.ts"
import type { Deadlines } from "./internal/deadlines.ts"
import { Dispatcher } from "./internal/dispatcher.ts"
import { millisUnsafe } from "./internal/duration.ts"
import { Restarts } from "./internal/restarts.ts"
import { type Placement, Sessions } from "./internal/sessions.ts"
import { supervise } from "./internal/supervision.ts"
import { CallTicket, StreamTicket, type Timings } from "./internal/tickets.ts"
import type { PoolOptions } from "./PoolConfig.ts"
import type { Handle } from "./PyRef.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import { CallTimeout, type SnakepitError, type WorkerStartError } from "./SnakepitError.ts"
import type { ToolRegistration } from "./Worker.ts"
import type { WorkerSpawner } from "./WorkerSpawner.ts"

/** Counters and gauges of one worker. */
export interface WorkerStats {
  readonly worker: string
  readonly pid: number | undefined
  /** The device that it was placed on. */
  readonly device: string | undefined
  /** Calls it was given since it started, and how many of them failed. */
  readonly requests: number
  readonly errors: number
  /** Calls it has now, and calls of its sessions that wait for it. */
  readonly inFlight: number
  readonly queued: number
  readonly sessions: number
  readonly state: "idle" | "busy" | "closing"
}

/** Counters and gauges of one pool. */
export interface PoolStats {
  readonly pool: string
  readonly size: number
  /** Calls submitted, those that failed, those refused by a full waiting room, and those that ran out of time. */
  readonly requests: number
  readonly errors: number
  readonly rejected: number
  readonly timeouts: number
  /** Calls sent again after a crash during which they may have run, and those moved because they had not begun. */
  readonly retries: number
  readonly moved: number
  /** Calls that wait for a worker. */
  readonly queued: number
  /** Workers with at least one call, and with none. */
  readonly busy: number
  readonly idle: number
  readonly sessions: number
  readonly workers: ReadonlyArray<WorkerStats>
}

/** What the pool is told about one call beside the invocation. */
export interface RunOptions extends CallOptions {
  /** Only workers on this device may run the call. A session has its own. */
  readonly device?: string | undefined
  readonly session?: Placement | undefined
  /** The span of the session: parent of its calls, unless they stand in another span. */
  readonly sessionSpan?: Tracer.Span | undefined
  readonly makeRef?: ((handle: Handle) => unknown) | undefined
}

/** One pool. */
export interface Pool {
  readonly options: PoolOptions
  readonly run: <A, R>(
    invocation: Invocation,
    options: RunOptions,
    decode: Decode<A, R>
  ) => Effect.Effect<A, SnakepitError, R>
  readonly stream: (invocation: Invocation, options: RunOptions) => Stream.Stream<unknown, SnakepitError>
  readonly openSession: (
    tools: ReadonlyArray<ToolRegistration>,
    device?: string
  ) => Effect.Effect<Placement, SnakepitError>
  readonly closeSession: (session: Placement) => Effect.Effect<void>
  readonly stats: Effect.Effect<PoolStats>
  readonly health: Effect.Effect<Health.PoolHealth>
  /** Emits when workers came or went: the health may have changed. */
  readonly changes: Stream.Stream<void>
  /** Crashes of the last hour, oldest first; the latest 1000 of them at most. */
  readonly crashes: (filter?: Health.CrashFilter) => Effect.Effect<ReadonlyArray<Health.CrashRecord>>
}

/**
 * Starts a pool and its workers; it is ready when all of them are. A worker that ends is replaced: at once when it had done
 * work, else after a delay that doubles from 100 ms to 5 s, and after 5 s when workers end too often. Closing the scope refuses new calls, lets running ones finish within
 * `drainTimeout`, then ends the workers.
 */
export const make = (
  options: PoolOptions,
  deadlines: Deadlines
): Effect.Effect<Pool, WorkerStartError, Scope.Scope | WorkerSpawner> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const dispatcher = new Dispatcher(options, deadlines, now)
    const crashes = new CrashHistory()
    const changes = yield* PubSub.sliding<void>(1)
    const breaker =
      options.circuitBreaker === undefined
        ? undefined
        : yield* CircuitBreaker.makeResolved(options.name, options.circuitBreaker)
    const sessions = new Sessions(options, dispatcher)
    const restarts = new Restarts(options.maxRestarts, options.restartWindow)

    const health = Effect.gen(function* () {
      const at = now()
      return Health.judge({
        pool: options.name,
        workers: dispatcher.members.filter((member) => member.isOpen).length,
        size: options.size,
        isClosed: dispatcher.isClosed,
        crashes: crashes.find({ since: at - Health.crashWindowMillis }, at),
        restartsTooOften: restarts.tooMany,
        circuit: breaker === undefined ? undefined : yield* breaker.state,
        devices: dispatcher.devices.standing
      })
    })

    const changed = () => void PubSub.publishUnsafe(changes, undefined)

    const crashed = (record: Health.CrashRecord) =>
      Effect.gen(function* () {
        const before = new Set((yield* health).alerts.map(({ alert }) => alert))
        crashes.add(record)
        changed()
        for (const alert of (yield* health).alerts) {
          if (!before.has(alert.alert)) {
            yield* Effect.ignoreCause(Effect.logWarning(Health.describe(options.name, alert)))
          }
        }
      })

    yield* supervise({ options, dispatcher, sessions, restarts, changed, crashed })

    // Registered last, so it runs first when the scope closes: drain, then the workers end.
    yield* Effect.addFinalizer(() => drain(dispatcher, options.drainTimeout))
    yield* sessions.expire.pipe(Effect.forkScoped)

    const makeCall = (
      invocation: Invocation,
      given: RunOptions,
      context: Context.Context<never>,
      trace: TraceParent | undefined,
      timeoutMillis: number | undefined
    ): Call => ({
      target: invocation.target,
      callType: invocation.callType,
      module: invocation.module,
      path: invocation.path,
      instance: invocation.instance,
      args: invocation.args,
      kwargs: invocation.kwargs,
      stream: invocation.stream,
      result: invocation.result,
      site: invocation.site,
      idempotent: given.idempotent === true,
      session: given.session?.id,
      device: given.session === undefined ? given.device : undefined,
      deadline: timeoutMillis === undefined ? undefined : Date.now() + timeoutMillis,
      trace,
      context,
      makeRef: given.makeRef
    })

    const timeoutOf = (given: RunOptions): number | undefined => {
      if (given.timeout === undefined) return options.callTimeout
      const millis = millisUnsafe("timeout", given.timeout)
      return millis === Infinity ? undefined : Math.max(0, millis)
    }

    const execute = <A, R>(
      invocation: Invocation,
      given: RunOptions,
      decode: Decode<A, R>,
      context: Context.Context<never>,
      trace: TraceParent | undefined,
      onSettled: ((timings: Timings) => void) | undefined
    ): Effect.Effect<A, SnakepitError, R> =>
      Effect.callback((resume) => {
        const timeout = timeoutOf(given)
        const call = makeCall(invocation, given, context, trace, timeout)
        const ticket = new CallTicket(dispatcher, call, timeout, decode, resume, onSettled)
        if (given.session === undefined) dispatcher.submit(ticket)
        else sessions.submit(given.session, ticket)
        return Effect.sync(() => dispatcher.abandon(ticket))
      })

    const once: Pool["run"] = (invocation, given, decode) =>
      Effect.withFiber((fiber) => {
        if (fiber.cache.tracer === undefined) {
          return execute(invocation, given, decode, fiber.context, parentOf(fiber), undefined)
        }
        // the span is opened here, and its parent-to-be for Python with it; `useSpan` ends it with the effect's exit
        return Effect.useSpan(
          "snakepit.call",
          { attributes: attributesOf(invocation, given), kind: "client", ...positionOf(fiber, given) },
          (span) =>
            execute(invocation, given, decode, within(fiber, span), traceOf(span), (timings) => annotate(span, timings))
        )
      })

    // Policies stand around the call, and cost nothing where there are none. The breaker sees one outcome for all retries.
    const run: Pool["run"] = (invocation, given, decode) => {
      const call =
        given.retry === undefined
          ? once(invocation, given, decode)
          : Effect.provideService(
              retrying(given.retry, timeoutOf(given), invocation.target, (left) =>
                once(invocation, { ...given, ...left }, decode)
              ),
              RetryPolicy.Idempotent,
              given.idempotent === true
            )
      const guarding = circuit()
      return guarding === undefined ? call : guarding.guard(call)
    }

    // where workers run on devices, each device has its own: one that fails must not close the others
    const circuit = () => (dispatcher.devices.names.length === 0 ? breaker : undefined)

    const stream: Pool["stream"] = (invocation, given) => {
      const guarding = circuit()
      return guarding === undefined
        ? streamOnce(invocation, given)
        : Stream.unwrap(Effect.as(guarding.check, streamOnce(invocation, given)))
    }

    const streamOnce: Pool["stream"] = (invocation, given) =>
      Stream.fromPull(
        Effect.withFiber((fiber) => {
          const open = (
            context: Context.Context<never>,
            trace: TraceParent | undefined,
            onSettled: ((timings: Timings) => void) | undefined
          ) =>
            Effect.map(
              Effect.acquireRelease(
                Effect.sync(() => {
                  const timeout = timeoutOf(given)
                  const ticket = new StreamTicket(
                    dispatcher,
                    makeCall(invocation, given, context, trace, timeout),
                    timeout,
                    onSettled
                  )
                  if (given.session === undefined) dispatcher.submit(ticket)
                  else sessions.submit(given.session, ticket)
                  return ticket
                }),
                (ticket) => Effect.sync(() => dispatcher.abandon(ticket))
              ),
              (ticket) => ticket.pull
            )
          if (fiber.cache.tracer === undefined) return open(fiber.context, parentOf(fiber), undefined)
          return Effect.flatMap(
            Effect.makeSpanScoped("snakepit.stream", {
              attributes: attributesOf(invocation, given),
              kind: "client",
              ...positionOf(fiber, given)
            }),
            (span) => open(within(fiber, span), traceOf(span), (timings) => annotate(span, timings))
          )
        })
      ).pipe(Stream.scoped)

    const attributesOf = (invocation: Invocation, given: RunOptions): Record<string, unknown> => ({
      "rpc.system": "snakepit",
      "rpc.method": invocation.target,
      "snakepit.call_type": invocation.callType,
      "snakepit.pool": options.name,
      ...(given.session === undefined ? {} : { "snakepit.session": given.session.id }),
      ...(given.device === undefined ? {} : { "snakepit.device": given.device }),
      ...given.attributes
    })

    return {
      options,
      run,
      stream,
      openSession: (tools, device) => Effect.suspend(() => sessions.open(tools, device)),
      closeSession: (session) => Effect.sync(() => sessions.close(session)),
      stats: Effect.sync(() => statsOf(dispatcher, sessions)),
      health,
      changes: Stream.fromPubSub(changes),
      crashes: (filter = {}) => Effect.sync(() => crashes.find(filter, now()))
    }
  })

/**
 * Tries a call again as its policy says. One deadline holds for all attempts and the delays between them: an attempt gets what
 * is left of it.
 */
const retrying = <A, R>(
  policy: Schedule.Schedule<unknown, SnakepitError>,
  timeoutMillis: number | undefined,
  target: string,
  attempt: (left: { readonly timeout?: number }) => Effect.Effect<A, SnakepitError, R>
): Effect.Effect<A, SnakepitError, R> => {
  if (timeoutMillis === undefined) return Effect.retry(attempt({}), policy)
  return Effect.suspend(() => {
    const end = performance.now() + timeoutMillis
    const left = Effect.suspend(() => attempt({ timeout: Math.max(0, end - performance.now()) }))
    return Effect.timeoutOrElse(Effect.retry(left, policy), {
      // an attempt that runs into the deadline tells more than this, so it is left the time to
      duration: timeoutMillis + 50,
      orElse: () => Effect.fail(new CallTimeout({ target, timeoutMillis, mayHaveExecuted: true }))
    })
  })
}

const drain = (dispatcher: Dispatcher, timeoutMillis: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => dispatcher.close(() => resume(Effect.void))).pipe(
    Effect.timeoutOption(timeoutMillis),
    Effect.andThen(Effect.sync(() => dispatcher.cutOff()))
  )

const parentOf = (fiber: Fiber.Fiber<unknown, unknown>): TraceParent | undefined => {
  const span = fiber.cache.span
  return span === undefined ? undefined : traceOf(span)
}

/**
 * Where the span of a session's call stands: inside the session's, which the caller's span may be around; linked to it when the
 * caller has opened another span since.
 */
const positionOf = (fiber: Fiber.Fiber<unknown, unknown>, { sessionSpan }: RunOptions): Tracer.SpanOptionsNoTrace => {
  if (sessionSpan === undefined) return {}
  return Option.getOrUndefined(sessionSpan.parent) === fiber.cache.span
    ? { parent: sessionSpan }
    : { links: [{ span: sessionSpan, attributes: {} }] }
}

/** The caller's context with the call's span in it: what Python calls back is part of the call. */
const within = (fiber: Fiber.Fiber<unknown, unknown>, span: Tracer.Span): Context.Context<never> =>
  Context.add(fiber.context, Tracer.ParentSpan, span)

const traceOf = (span: Tracer.AnySpan): TraceParent => ({
  traceId: span.traceId,
  spanId: span.spanId,
  sampled: span.sampled
})

const annotate = (span: Tracer.Span, timings: Timings): void => {
  if (timings.worker !== undefined) span.attribute("snakepit.worker", timings.worker)
  span.attribute("snakepit.queue_ms", timings.queueMillis)
  if (timings.pythonMillis !== undefined) span.attribute("snakepit.python_ms", timings.pythonMillis)
}

const statsOf = (dispatcher: Dispatcher, sessions: Sessions): PoolStats => {
  const workers = dispatcher.members.map((member): WorkerStats => ({
    worker: member.worker.id,
    pid: member.worker.pid,
    device: member.worker.device,
    requests: member.requests,
    errors: member.errors,
    inFlight: member.inFlight.size,
    queued: member.waiting.size,
    sessions: member.sessions,
    state: !member.isOpen || member.retiring ? "closing" : member.inFlight.size > 0 ? "busy" : "idle"
  }))
  return {
    pool: dispatcher.options.name,
    size: dispatcher.options.size,
    ...dispatcher.counters,
    queued: dispatcher.queued,
    busy: workers.filter((worker) => worker.state === "busy").length,
    idle: workers.filter((worker) => worker.state === "idle").length,
    sessions: sessions.size,
    workers
  }
}
