/**
 * A pool: workers of one kind, the waiting room in front of them, the sessions on them and their supervision.
 *
 * The placement of calls is `internal/dispatcher.ts`; here the dispatcher is given its workers, and its calls become
 * Effects. `Snakepit.ts` holds the pools of a program.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import type * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { Call, CallOptions, Invocation, TraceParent } from "./Call.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Health from "./Health.ts"
import { CrashHistory } from "./internal/crashHistory.ts"
import type { Decode } from "./internal/decodeResult.ts"
import type { Deadlines } from "./internal/deadlines.ts"
import { Dispatcher, type Member } from "./internal/dispatcher.ts"
import { millisUnsafe } from "./internal/duration.ts"
import { Restarts } from "./internal/restarts.ts"
import { type Placement, Sessions } from "./internal/sessions.ts"
import { CallTicket, StreamTicket, type Timings } from "./internal/tickets.ts"
import type { PoolOptions } from "./PoolConfig.ts"
import type { Handle } from "./PyRef.ts"
import * as RetryPolicy from "./RetryPolicy.ts"
import { CallTimeout, PoolUnhealthy, type SnakepitError, WorkerStartError } from "./SnakepitError.ts"
import type { ToolRegistration } from "./Worker.ts"
import { WorkerSpawner } from "./WorkerSpawner.ts"

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
    const spawner = yield* WorkerSpawner
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const dispatcher = new Dispatcher(options, deadlines, now)
    const barrier = options.crashBarrier
    const crashes = new CrashHistory()
    const changes = yield* PubSub.sliding<void>(1)
    const breaker =
      options.circuitBreaker === undefined
        ? undefined
        : yield* CircuitBreaker.makeResolved(options.name, options.circuitBreaker)
    const sessions = new Sessions(options, dispatcher)
    let spawned = 0

    const workers = yield* Scope.make("parallel")
    yield* Effect.addFinalizer(() => Scope.close(workers, Exit.void))

    const recycling = yield* Semaphore.make(1)
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

    // One worker: from its spawn to its end, or to its replacement. Fails when it does not come up, and never after that.
    const life = (onReady: Effect.Effect<void>): Effect.Effect<Outcome, WorkerStartError> =>
      Effect.suspend(() => {
        const name = `${options.name}-${spawned++}`
        const slot: Slot = { isReady: false, isHandedOver: false, restMillis: 0 }
        return Effect.scoped(lifeOf(name, slot, onReady)).pipe(
          // whatever goes wrong, the slot is filled again: a defect must not make the pool smaller for good
          Effect.catchDefect((defect): Effect.Effect<Outcome, WorkerStartError> =>
            slot.isReady
              ? Effect.as(Effect.ignoreCause(Effect.logError(String(defect))), slot.isHandedOver ? "replaced" : "failed")
              : Effect.fail(
                  new WorkerStartError({ pool: options.name, worker: name, reason: String(defect), stderr: [] })
                )
          ),
          // what the worker had, like its device, is free for others meanwhile
          Effect.tap(() => (slot.restMillis > 0 ? Effect.sleep(slot.restMillis) : Effect.void))
        )
      })

    const lifeOf = (
      name: string,
      slot: Slot,
      onReady: Effect.Effect<void>
    ): Effect.Effect<Outcome, WorkerStartError, Scope.Scope> =>
      Effect.gen(function* () {
        const worker = yield* spawner.spawn({
          pool: options.name,
          worker: name,
          options,
          avoidDevices: dispatcher.devices.suspects
        })
        if (options.tools.length > 0) worker.registerTools(options.tools.map((tool) => tool.registration))
        const member = dispatcher.add(worker)
        PubSub.publishUnsafe(changes, undefined)
        slot.isReady = true
        yield* onReady
        const end = yield* Effect.raceFirst(worker.ended, recycle(member, slot)).pipe(
          Effect.onExit(() => Effect.sync(() => retire(member)))
        )
        if (end === undefined) return "replaced"
        const isAtFault = end.crash !== undefined && member.requests <= 1
        const outcome = slot.isHandedOver ? "replaced" : isAtFault ? "failed" : "worked"
        if (end.crash === undefined) return outcome
        const how = end.signal ?? `exit code ${end.exitCode}`
        // a logger that throws must not end the supervision of this slot
        yield* Effect.ignoreCause(Effect.logWarning(`worker ${worker.id} ended: ${end.crash}, ${how}`))
        restarts.crashed()
        const at = now()
        if (end.crash === "gpu" && worker.device !== undefined && barrier.enabled && barrier.taintDeviceOnGpuFatal) {
          dispatcher.devices.taint(worker.device, at + barrier.taintDuration)
        }
        const alertsBefore = new Set((yield* health).alerts.map(({ alert }) => alert))
        crashes.add({
          pool: options.name,
          worker: worker.id,
          device: worker.device,
          crash: end.crash,
          exitCode: end.exitCode,
          signal: end.signal,
          inFlight: member.crash?.inFlight ?? [],
          stderr: member.crash?.stderr ?? [],
          at
        })
        PubSub.publishUnsafe(changes, undefined)
        for (const alert of (yield* health).alerts) {
          if (!alertsBefore.has(alert.alert))
            yield* Effect.ignoreCause(Effect.logWarning(Health.describe(options.name, alert)))
        }
        if (slot.isHandedOver || !barrier.enabled || !barrier.taintOnExitCodes.includes(end.exitCode ?? NaN))
          return outcome
        yield* Effect.ignoreCause(
          Effect.logWarning(`its place stays empty for ${barrier.taintDuration} ms, as exit code ${end.exitCode} asks`)
        )
        slot.restMillis = barrier.taintDuration
        return outcome
      })

    // Replaces a worker that works, when it asks for it: the replacement is ready before this one takes no more calls. One
    // worker of the pool at a time, so that workers of one age do not all leave at once.
    const recycle = (member: Member, slot: Slot): Effect.Effect<undefined> =>
      Effect.gen(function* () {
        const reason = yield* Effect.raceFirst(member.worker.worn ?? Effect.never, tainted(member))
        yield* Effect.gen(function* () {
          const ready = yield* Latch.make(false)
          // both or neither: the slot has one fiber that fills it, whenever this one is interrupted
          yield* Effect.uninterruptible(
            Effect.tap(Effect.forkIn(Effect.interruptible(keepFilled(0, ready.open)), workers), () =>
              Effect.sync(() => (slot.isHandedOver = true))
            )
          )
          yield* ready.await
        }).pipe(recycling.withPermit)
        yield* Effect.ignoreCause(Effect.logInfo(`worker ${member.worker.id} is replaced: ${reason}`))
        member.retiring = true
        // Its sessions have as long to finish as when the pool closes; its running calls have as long as they take.
        yield* until(() => member.sessions === 0 && member.inFlight.size === 0).pipe(
          Effect.timeoutOption(options.drainTimeout)
        )
        sessions.lose(member, `its worker was replaced: ${reason}`)
        dispatcher.dismiss(member, `its worker was replaced: ${reason}`)
        yield* until(() => member.inFlight.size === 0)
        return undefined
      })

    const retire = (member: Member) => {
      sessions.lose(member)
      dispatcher.remove(member)
      PubSub.publishUnsafe(changes, undefined)
    }

    // Keeps one slot of the pool filled. A worker that did its work before it ended is replaced at once; one that did not is
    // replaced after a delay that grows, and so is any when workers end too often.
    const keepFilled = (failures: number, onReady: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.gen(function* () {
        const delay = restarts.delay(failures)
        if (restarts.tooMany) {
          const error = new PoolUnhealthy({ pool: options.name, ...restarts.summary })
          dispatcher.outage = error
          if (dispatcher.members.length === 0) dispatcher.failWaiting(() => error)
        }
        if (delay > 0) yield* Effect.sleep(delay)
        const outcome = yield* Effect.catchTag(life(onReady), "WorkerStartError", (error) => {
          // one start may fail for reasons of the moment; callers that wait are not to pay for it
          if (failures > 0) {
            dispatcher.outage = error
            if (dispatcher.members.length === 0) dispatcher.failWaiting(() => error)
          }
          return Effect.as(Effect.ignoreCause(Effect.logError(error.message)), "failed" as const)
        })
        return outcome
      }).pipe(Effect.flatMap((outcome) => goOn(outcome, failures, onReady)))

    const goOn = (outcome: Outcome, failures: number, onReady: Effect.Effect<void>): Effect.Effect<void> =>
      outcome === "replaced" ? Effect.void : keepFilled(outcome === "worked" ? 0 : failures + 1, onReady)

    const first = Effect.gen(function* () {
      const ready = yield* Latch.make(false)
      const fiber = yield* Effect.forkIn(
        Effect.flatMap(life(ready.open), (outcome) => goOn(outcome, 0, Effect.void)),
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

/** The reason, once an exception has tainted the member. */
const tainted = (member: Member): Effect.Effect<string> =>
  Effect.callback((resume) => {
    if (member.taint !== undefined) return resume(Effect.succeed(member.taint))
    member.onTaint = (reason) => resume(Effect.succeed(reason))
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

/** What became of a worker: another has its slot already, or the slot is to be filled after success or failure. */
type Outcome = "replaced" | "worked" | "failed"

/** What is known of a worker's slot. */
interface Slot {
  /** The worker has come up. */
  isReady: boolean
  /** Another fiber fills it by now. */
  isHandedOver: boolean
  /** How long it stays empty once the worker is gone. */
  restMillis: number
}

/** Waits for a condition of a worker that leaves. It is looked at now and then, so that no call pays for it. */
const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.andThen(Effect.sleep(10), until(condition))))

/** How many workers start at the same time: each is a process that imports Python modules. */
const startConcurrency = 4

const joinFailure = <E>(fiber: Fiber.Fiber<unknown, E>): Effect.Effect<never, E> =>
  Effect.callback((resume) => {
    const stop = fiber.addObserver((exit) => {
      // before the worker is ready, the fiber ends by failure or interruption only
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
