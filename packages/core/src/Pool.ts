/**
 * A pool: workers of one kind, the waiting room in front of them, the sessions on them and their supervision.
 *
 * The placement of calls is `internal/dispatcher.ts`; here the dispatcher is given its workers, and its calls become
 * Effects. `Snakepit.ts` holds the pools of a program.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { Call, CallOptions, Invocation, TraceParent } from "./Call.ts"
import type { Decode } from "./internal/decodeResult.ts"
import type { Deadlines } from "./internal/deadlines.ts"
import { Dispatcher, type Member } from "./internal/dispatcher.ts"
import { type Placement, Sessions } from "./internal/sessions.ts"
import { CallTicket, StreamTicket, type Timings } from "./internal/tickets.ts"
import type { PoolOptions } from "./PoolConfig.ts"
import type { Handle } from "./PyRef.ts"
import { type SnakepitError, WorkerStartError } from "./SnakepitError.ts"
import type { ToolRegistration } from "./Worker.ts"
import { WorkerSpawner } from "./WorkerSpawner.ts"

/** Counters and gauges of one worker. */
export interface WorkerStats {
  readonly worker: string
  readonly pid: number | undefined
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
  readonly session?: Placement | undefined
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
  readonly openSession: (tools: ReadonlyArray<ToolRegistration>) => Effect.Effect<Placement, SnakepitError>
  readonly closeSession: (session: Placement) => Effect.Effect<void>
  readonly stats: Effect.Effect<PoolStats>
}

/**
 * Starts a pool and its workers; it is ready when all of them are. A worker that ends is replaced, with a delay that doubles from
 * 100 ms to 5 s while workers keep ending young. Closing the scope refuses new calls, lets running ones finish within
 * `drainTimeout`, then ends the workers.
 */
export const make = (
  options: PoolOptions,
  deadlines: Deadlines
): Effect.Effect<Pool, WorkerStartError, Scope.Scope | WorkerSpawner> =>
  Effect.gen(function* () {
    const spawner = yield* WorkerSpawner
    const dispatcher = new Dispatcher(options, deadlines)
    const sessions = new Sessions(options, dispatcher)
    let spawned = 0

    const workers = yield* Scope.make("parallel")
    yield* Effect.addFinalizer(() => Scope.close(workers, Exit.void))

    // One worker: from its spawn to its end, then what it leaves behind is settled. Fails when it does not come up.
    const life = (onReady: Effect.Effect<void>) =>
      Effect.gen(function* () {
        const name = `${options.name}-${spawned++}`
        const worker = yield* Effect.catchDefect(
          spawner.spawn({ pool: options.name, worker: name, options }),
          // whatever goes wrong, this slot tries again: a defect must not end its supervision
          (defect) =>
            Effect.fail(new WorkerStartError({ pool: options.name, worker: name, reason: String(defect), stderr: [] }))
        )
        if (options.tools.length > 0) worker.registerTools(options.tools.map((tool) => tool.registration))
        const member = dispatcher.add(worker)
        yield* onReady
        const end = yield* Effect.onExit(worker.ended, () => Effect.sync(() => retire(member)))
        if (end.crash !== undefined) {
          const how = end.signal ?? `exit code ${end.exitCode}`
          // a logger that throws must not end the supervision of this slot
          yield* Effect.ignoreCause(Effect.logWarning(`worker ${worker.id} ended: ${end.crash}, ${how}`))
        }
      }).pipe(Effect.scoped)

    const retire = (member: Member) => {
      sessions.lose(member)
      dispatcher.remove(member)
    }

    // Keeps one slot of the pool filled. A worker that lived for a while resets the backoff.
    const backoff = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")]).pipe(
      Schedule.jittered
    )
    const keepFilled = Effect.gen(function* () {
      const started = performance.now()
      yield* Effect.catchTag(life(Effect.void), "WorkerStartError", (error) => {
        dispatcher.outage = error
        if (dispatcher.members.length === 0) dispatcher.failWaiting(() => error)
        return Effect.andThen(Effect.ignoreCause(Effect.logError(error.message)), Effect.fail(error))
      })
      if (performance.now() - started < 10_000) return yield* Effect.fail("young" as const)
    }).pipe(Effect.retry(backoff), Effect.orDie, Effect.forever) // the schedule never ends, so nothing is left to die of

    const first = Effect.gen(function* () {
      const ready = yield* Latch.make(false)
      const fiber = yield* Effect.forkIn(
        Effect.andThen(life(ready.open), Effect.andThen(Effect.sleep("100 millis"), keepFilled)),
        workers
      )
      yield* Effect.raceFirst(ready.await, joinFailure(fiber))
    })
    yield* Effect.all(
      Array.from({ length: options.size }, () => first),
      { concurrency: startConcurrency, discard: true }
    )

    // Registered last, so it runs first when the scope closes: drain, then `workers` closes.
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
      deadline: timeoutMillis === undefined ? undefined : Date.now() + timeoutMillis,
      trace,
      context,
      makeRef: given.makeRef
    })

    const timeoutOf = (given: RunOptions): number | undefined => {
      if (given.timeout === undefined) return options.callTimeout
      const millis = Duration.toMillis(Duration.fromInputUnsafe(given.timeout))
      return millis === Infinity ? undefined : millis
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

    const run: Pool["run"] = (invocation, given, decode) =>
      Effect.withFiber((fiber) => {
        if (fiber.cache.tracer === undefined) {
          return execute(invocation, given, decode, fiber.context, parentOf(fiber), undefined)
        }
        // the span is opened here, and its parent-to-be for Python with it; `useSpan` ends it with the effect's exit
        return Effect.useSpan(
          "snakepit.call",
          { attributes: attributesOf(invocation, given), kind: "client" },
          (span) =>
            execute(invocation, given, decode, within(fiber, span), traceOf(span), (timings) => annotate(span, timings))
        )
      })

    const stream: Pool["stream"] = (invocation, given) =>
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
            Effect.makeSpanScoped("snakepit.stream", { attributes: attributesOf(invocation, given), kind: "client" }),
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
      ...given.attributes
    })

    return {
      options,
      run,
      stream,
      openSession: (tools) => Effect.suspend(() => sessions.open(tools)),
      closeSession: (session) => Effect.sync(() => sessions.close(session)),
      stats: Effect.sync(() => statsOf(dispatcher, sessions))
    }
  })

/** How many workers start at the same time: each is a process that imports Python modules. */
const startConcurrency = 4

const joinFailure = <E>(fiber: Fiber.Fiber<unknown, E>): Effect.Effect<never, E> =>
  Effect.callback((resume) => {
    const stop = fiber.addObserver((exit) => {
      // the fiber keeps its slot filled for ever, so it ends by failure or interruption only
      resume(Exit.isFailure(exit) ? Exit.failCause(exit.cause) : Exit.die(new Error("the slot's fiber ended")))
    })
    return Effect.sync(stop)
  })

const drain = (dispatcher: Dispatcher, timeoutMillis: number): Effect.Effect<void> =>
  Effect.callback<void>((resume) => dispatcher.close(() => resume(Effect.void))).pipe(
    Effect.timeoutOption(timeoutMillis),
    Effect.andThen(Effect.sync(() => dispatcher.cutOff()))
  )

const parentOf = (fiber: Fiber.Fiber<unknown, unknown>): TraceParent | undefined => {
  const span = fiber.cache.span
  return span === undefined ? undefined : traceOf(span)
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
    requests: member.requests,
    errors: member.errors,
    inFlight: member.inFlight.size,
    queued: member.waiting.size,
    sessions: member.sessions,
    state: !member.isOpen ? "closing" : member.inFlight.size > 0 ? "busy" : "idle"
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
