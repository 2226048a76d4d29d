/**
 * One worker of the test layer. It keeps the order of a Python process: calls run in the order they were sent, as many at a time
 * as the worker has slots, and a stream runs at most `streamWindow` chunks ahead of its acks.
 *
 * Nothing is answered inside `start` or `interrupt`, as no process could: calls begin and end in microtasks of their own.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import type { Call } from "../Call.ts"
import * as Callback from "../Callback.ts"
import * as PythonError from "../PythonError.ts"
import {
  CrashClass,
  EncodeError,
  RuntimeFailure,
  SessionLost,
  type SnakepitError,
  UnserializableResult,
  WorkerCrash
} from "../SnakepitError.ts"
import type { TestCallback, TestContext } from "../TestWorker.ts"
import type { ValueAdapter } from "../ValueAdapter.ts"
import type { CallObserver, ToolRegistration, Worker, WorkerEnd } from "../Worker.ts"
import type { SpawnOptions } from "../WorkerSpawner.ts"
import { cross } from "./crossing.ts"
import {
  type Iteration,
  getItem,
  isAsyncIterable,
  iterate,
  type Member,
  member,
  requireMember,
  setItem,
  setMember,
  setType,
  typeOf
} from "./testObjects.ts"
import { show } from "./show.ts"
import { forEachValue } from "./testIteration.ts"
import { attribute, checkName, type TestTargets } from "./testTargets.ts"

/** How many chunks a stream may run ahead of its acks; the worker in Python has the same. */
const streamWindow = 16

/** Thrown through a fake to end its worker. */
class Crash {
  readonly crash: CrashClass

  constructor(crash: CrashClass) {
    this.crash = crash
  }
}

/** A call from `start` to its end. */
interface Run {
  readonly number: number
  readonly observer: CallObserver
  readonly call: Call
  readonly args: ReadonlyArray<unknown>
  readonly kwargs: Readonly<Record<string, unknown>>
  readonly instance: unknown
  /** Why it cannot run, found when its refs were looked up. */
  readonly refused: SessionLost | undefined
  state: "queued" | "running" | "parked" | "dropped"
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** It is to stop. Said apart from the fiber, which may still be in its first step. */
  stopping: boolean
  begunAt: number
  credit: number
  wake: (() => void) | undefined
}

/** A worker that runs the entries of a test layer in this process. */
export class InMemoryWorker implements Worker {
  readonly id: string
  readonly pid = undefined
  readonly device: string | undefined
  readonly concurrency: number
  isOpen = true
  private readonly wanted: SpawnOptions
  private readonly targets: TestTargets
  private readonly adapters: ReadonlyArray<ValueAdapter>
  private readonly inFlight = new Map<number, Run>()
  private readonly objects = new Map<string, Map<number, unknown>>()
  private readonly tools = new Map<string | undefined, Map<string, ToolRegistration>>()
  /** Whether callbacks can still be called, by the call or session that they live as long as. */
  private readonly lifetimes = new Map<string | number, { over: boolean }>()
  private readonly end = Deferred.makeUnsafe<WorkerEnd>()
  private lastNumber = 0
  private lastRef = 0
  private scheduled = false

  constructor(
    wanted: SpawnOptions,
    targets: TestTargets,
    adapters: ReadonlyArray<ValueAdapter>,
    device: string | undefined
  ) {
    this.id = wanted.worker
    this.device = device
    this.wanted = wanted
    this.targets = targets
    this.adapters = adapters
    this.concurrency = wanted.options.profile === "thread" ? wanted.options.threads : 1
  }

  get ended(): Effect.Effect<WorkerEnd> {
    return Deferred.await(this.end)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // From the pool
  // -------------------------------------------------------------------------------------------------------------------

  start(observer: CallObserver): number {
    const call = observer.call
    const number = this.lastNumber + 1
    let refused: SessionLost | undefined
    // Refs are looked up now, not when the call begins: a release that follows the call comes after it.
    const find = (ref: { readonly session: string; readonly worker: string; readonly id: number }): unknown => {
      const found = this.find(ref, call.session)
      if (found instanceof SessionLost) refused ??= found
      return found
    }
    const toPython = (value: unknown, root: string): unknown =>
      cross(value, root, {
        adapters: this.adapters,
        callable: (fn) => this.callback(fn, call, number),
        ref: (ref) => find(ref.handle),
        unknown: refuseArgument
      })
    const instance = call.instance === undefined ? undefined : find(call.instance)
    const kwargs = toPython(call.kwargs ?? {}, "kwargs") as Readonly<Record<string, unknown>> // a copy of an object of arguments
    const args = toPython(call.args, "args") as ReadonlyArray<unknown> // a copy of an array
    this.lastNumber = number
    this.inFlight.set(number, {
      number,
      observer,
      call,
      args,
      kwargs,
      instance,
      refused,
      state: "queued",
      fiber: undefined,
      stopping: false,
      begunAt: 0,
      credit: streamWindow,
      wake: undefined
    })
    this.schedule()
    return number
  }

  interrupt(call: number): void {
    const run = this.inFlight.get(call)
    if (run === undefined) return
    if (run.state === "queued") this.takeBack([run])
    else stop(run)
  }

  recall(calls: ReadonlyArray<number>): void {
    this.takeBack(
      calls.flatMap((call) => {
        const run = this.inFlight.get(call)
        return run?.state === "queued" ? [run] : []
      })
    )
  }

  ack(call: number): void {
    const run = this.inFlight.get(call)
    if (run === undefined) return
    run.credit++
    run.wake?.()
  }

  release(session: string, refs?: ReadonlyArray<number>): void {
    if (refs !== undefined) {
      for (const ref of refs) this.objects.get(session)?.delete(ref)
      return
    }
    this.objects.delete(session)
    this.tools.delete(session)
    this.endLifetime(session)
  }

  registerTools(tools: ReadonlyArray<ToolRegistration>, session?: string): void {
    const known = this.tools.get(session) ?? new Map<string, ToolRegistration>()
    for (const tool of tools) known.set(tool.name, tool)
    this.tools.set(session, known)
  }

  /** Takes no more calls, stops those that run, and ends. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    this.isOpen = false
    const runs = [...this.inFlight.values()]
    this.takeBack(runs.filter((run) => run.state === "queued"))
    const fibers = runs.flatMap((run) => (run.fiber === undefined ? [] : [run.fiber]))
    return Fiber.interruptAll(fibers).pipe(
      Effect.andThen(Effect.promise(() => Promise.resolve())), // their calls end in microtasks, before the worker does
      Effect.andThen(Effect.sync(() => this.finish({ crash: undefined, exitCode: 0, signal: null })))
    )
  })

  // -------------------------------------------------------------------------------------------------------------------
  // Order
  // -------------------------------------------------------------------------------------------------------------------

  private schedule(): void {
    if (this.scheduled) return
    this.scheduled = true
    queueMicrotask(() => {
      this.scheduled = false
      let busy = 0
      for (const run of this.inFlight.values()) if (run.state === "running") busy++
      for (const run of [...this.inFlight.values()]) {
        if (busy >= this.concurrency) return
        if (run.state !== "queued") continue
        busy++
        this.begin(run)
      }
    })
  }

  private takeBack(runs: ReadonlyArray<Run>): void {
    for (const run of runs) run.state = "dropped"
    queueMicrotask(() => {
      for (const run of runs) this.drop(run)
    })
  }

  private drop(run: Run): void {
    if (!this.inFlight.delete(run.number)) return
    this.endLifetime(run.number)
    run.observer.onDropped()
  }

  private begin(run: Run): void {
    run.state = "running"
    run.begunAt = performance.now()
    const { context, trace } = run.call
    const fork = Effect.runForkWith(
      trace === undefined ? context : Context.add(context, Tracer.ParentSpan, Tracer.externalSpan(trace))
    )
    run.fiber = fork(Effect.suspend(() => this.evaluate(run)))
    run.fiber.addObserver((exit) => queueMicrotask(() => this.finished(run, exit)))
    if (run.stopping) run.fiber.interruptUnsafe()
  }

  private park(run: Run): void {
    if (run.state !== "running") return
    run.state = "parked"
    run.observer.onParked()
    this.schedule()
  }

  private finished(run: Run, exit: Exit.Exit<unknown, unknown>): void {
    const crash = crashOf(exit)
    if (crash === undefined) this.settle(run, this.toExit(run, exit))
    else this.finish({ crash, ...processEnd(crash) })
  }

  private settle(run: Run, exit: Exit.Exit<unknown, SnakepitError>): void {
    if (!this.inFlight.delete(run.number)) return
    this.endLifetime(run.number)
    const micros = Math.round((performance.now() - run.begunAt) * 1000)
    run.observer.onExit(exit, run.call.trace?.sampled === true ? micros : undefined)
    this.schedule()
  }

  /** The worker is gone: settles what is left. */
  private finish(end: WorkerEnd): void {
    this.isOpen = false
    const inFlight = [...this.inFlight.values()].map((run) => run.call.target)
    for (const run of [...this.inFlight.values()]) {
      if (run.state === "queued" || run.state === "dropped") this.drop(run)
      else {
        this.settle(run, Exit.fail(this.lost(end, inFlight)))
        stop(run)
      }
    }
    Deferred.doneUnsafe(this.end, Exit.succeed(end))
  }

  private lost(end: WorkerEnd, inFlight: ReadonlyArray<string>): WorkerCrash {
    return new WorkerCrash({
      pool: this.wanted.pool,
      worker: this.id,
      crash: end.crash ?? "exit",
      exitCode: end.exitCode,
      signal: end.signal,
      stderr: [],
      inFlight: [...inFlight],
      mayHaveExecuted: true
    })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // One call
  // -------------------------------------------------------------------------------------------------------------------

  private evaluate(run: Run): Effect.Effect<unknown, unknown> {
    if (run.refused !== undefined) return Effect.fail(run.refused)
    if (run.call.callType === "class" && run.call.session === undefined) return Effect.fail(needsSession())
    return Effect.flatMap(this.wait(run, this.invoke(run)), (value) => this.reply(run, value))
  }

  /** What a fake answered, when it is there. */
  private wait(run: Run, answer: unknown): Effect.Effect<unknown, unknown> {
    if (Effect.isEffect(answer)) return answer as Effect.Effect<unknown, unknown> // a fake's effect needs no services: its type says so
    if (!(answer instanceof Promise)) return Effect.succeed(answer)
    this.park(run)
    return Effect.tryPromise({ try: () => answer, catch: (error) => error })
  }

  private invoke(run: Run): unknown {
    const { allowPrivate } = this.wanted.options
    const { args, call, instance } = run
    switch (call.callType) {
      case "function":
      case "class":
        return this.apply(run, this.targets.find(call, allowPrivate))
      case "module_attr":
        return this.targets.find(call, allowPrivate).value
      case "method":
        return this.apply(run, attribute(instance, call.path, allowPrivate))
      case "get_attr":
        return attribute(instance, call.path, allowPrivate).value
      case "set_attr":
        checkName(call.path, call.path, allowPrivate)
        return setMember(instance, call.path, args[0])
      case "item":
        return this.item(run)
      case "iterate":
        return this.applyIf(run, "__iter__") ?? instance
      case "enter":
        return this.apply(run, requireMember(instance, "__enter__"))
      case "exit":
        return this.apply(run, requireMember(instance, "__exit__"))
    }
  }

  private item(run: Run): unknown {
    const { args, instance } = run
    const own = member(instance, args.length === 1 ? "__getitem__" : "__setitem__")
    if (own !== undefined) return this.apply(run, own)
    return args.length === 1 ? getItem(instance, args[0]) : setItem(instance, args[0], args[1])
  }

  private applyIf(run: Run, name: string): unknown {
    const found = member(run.instance, name)
    return found === undefined ? undefined : this.apply(run, found)
  }

  private apply(run: Run, { owner, value }: Member): unknown {
    if (typeof value !== "function") {
      throw PythonError.of("TypeError", `'${typeOf(value)}' object is not callable (target '${run.call.target}')`)
    }
    return Reflect.apply(value, owner, [run.args, run.kwargs, this.contextOf(run)])
  }

  private reply(run: Run, value: unknown): Effect.Effect<unknown, unknown> {
    const { callType, result, stream, target } = run.call
    if (stream) {
      let index = 0
      return Effect.as(
        this.forEach(run, value, (item) => this.emit(run, item, index++)),
        null
      )
    }
    if (callType === "iterate") {
      const items: Array<unknown> = []
      return Effect.map(
        this.forEach(run, value, (item) => Effect.sync(() => items.push(item))),
        () => this.toTypeScript(run.call, items, "result")
      )
    }
    if (callType === "class") setType(value, target)
    return Effect.sync(() =>
      result === "ref" ? this.keep(run.call, value) : this.toTypeScript(run.call, value, "result")
    )
  }

  private forEach(
    run: Run,
    value: unknown,
    each: (item: unknown) => Effect.Effect<unknown, unknown>
  ): Effect.Effect<void, unknown> {
    const iteration: Iteration = iterate(value)
    if (isAsyncIterable(iteration)) this.park(run)
    return forEachValue(iteration, each)
  }

  private emit(run: Run, value: unknown, index: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (run.credit === 0) {
        return Effect.flatMap(
          Effect.callback<void>((resume) => {
            run.wake = () => {
              run.wake = undefined
              resume(Effect.void)
            }
          }),
          () => this.emit(run, value, index)
        )
      }
      run.credit--
      run.observer.onChunk([this.toTypeScript(run.call, value, `result[${index}]`)])
      return Effect.void
    })
  }

  private toExit(run: Run, exit: Exit.Exit<unknown, unknown>): Exit.Exit<unknown, SnakepitError> {
    if (exit._tag === "Success") return Exit.succeed(exit.value)
    for (const reason of exit.cause.reasons) {
      if (reason._tag === "Fail") return Exit.fail(asError(reason.error, run.call))
      if (reason._tag === "Die") return Exit.fail(asError(reason.defect, run.call))
    }
    if (!this.isOpen) return Exit.fail(this.lost({ crash: undefined, exitCode: 0, signal: null }, [run.call.target]))
    return Exit.failCause(Cause.interrupt())
  }

  // -------------------------------------------------------------------------------------------------------------------
  // What calls know beside their arguments
  // -------------------------------------------------------------------------------------------------------------------

  private contextOf(run: Run): TestContext {
    const { session, target } = run.call
    return {
      target,
      worker: this.id,
      session,
      crash: (crash = "segfault") => {
        if (!CrashClass.literals.includes(crash)) {
          throw new TypeError(`context.crash: expected one of ${CrashClass.literals.join(", ")}, got ${show(crash)}`)
        }
        throw new Crash(crash)
      },
      tool: (name, kwargs = {}) =>
        Effect.suspend(() => {
          const visible = new Map([...(this.tools.get(undefined) ?? []), ...(this.tools.get(session) ?? [])])
          const tool = visible.get(name)
          if (tool === undefined) {
            const known = visible.size === 0 ? "none" : [...visible.keys()].sort().join(", ")
            return Effect.fail(PythonError.of("KeyError", `no tool '${name}'; registered: ${known}`))
          }
          // an object of arguments crosses as an object
          const sent = this.toTypeScript(run.call, kwargs, "kwargs") as Readonly<Record<string, unknown>>
          return this.fromCallback(
            Callback.run(run.call, () => tool.run([], sent)),
            run.call
          )
        })
    }
  }

  private callback(fn: CallableFunction, call: Call, number: number): TestCallback {
    const owner = call.session ?? number
    const lifetime = this.lifetimes.get(owner) ?? { over: false }
    this.lifetimes.set(owner, lifetime)
    return (...args) =>
      Effect.suspend(() => {
        if (lifetime.over)
          return Effect.fail(
            callbackError(new Error("the call or session that this TypeScript function belongs to has ended"))
          )
        const sent = args.map((arg, index) => this.toTypeScript(call, arg, `args[${index}]`))
        const result = Callback.run(call, () => Reflect.apply(fn, undefined, sent))
        return this.fromCallback(Effect.provideContext(result, call.context), call)
      })
  }

  /** The outcome of TypeScript code that a fake called, as Python would see it. */
  private fromCallback(
    effect: Effect.Effect<unknown, unknown>,
    call: Call
  ): Effect.Effect<unknown, PythonError.PythonError> {
    return effect.pipe(
      Effect.map((value) =>
        cross(value, "result", {
          adapters: this.adapters,
          callable: undefined,
          ref: (ref) => this.find(ref.handle, call.session),
          unknown: refuseArgument
        })
      ),
      Effect.catchCause((cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
        return Effect.fail(callbackError(Cause.squash(cause)))
      })
    )
  }

  private endLifetime(owner: string | number): void {
    const lifetime = this.lifetimes.get(owner)
    if (lifetime === undefined) return
    lifetime.over = true
    this.lifetimes.delete(owner)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Objects
  // -------------------------------------------------------------------------------------------------------------------

  private find(
    ref: { readonly session: string; readonly worker: string; readonly id: number },
    session: string | undefined
  ): unknown {
    const gone = (reason: string) => new SessionLost({ session: ref.session, reason, mayHaveExecuted: false })
    if (ref.session !== session) return gone(`its ref was used in a call of ${session ?? "no session"}`)
    if (ref.worker !== this.id) return gone(`the ref belongs to worker ${ref.worker}, this is ${this.id}`)
    const objects = this.objects.get(ref.session)
    if (objects === undefined) return gone("the session is not open on this worker")
    return objects.has(ref.id) ? objects.get(ref.id) : gone(`ref ${ref.id} was released`)
  }

  private keep(call: Call, value: unknown): unknown {
    const session = call.session
    if (session === undefined) throw needsSession()
    const objects = this.objects.get(session) ?? new Map<number, unknown>()
    this.objects.set(session, objects)
    const id = ++this.lastRef
    objects.set(id, value)
    const handle = { session, worker: this.id, id, type: typeOf(value) }
    return call.makeRef === undefined ? handle : call.makeRef(handle)
  }

  private toTypeScript(call: Call, value: unknown, root: string): unknown {
    return cross(value, root, {
      adapters: this.adapters,
      callable: undefined,
      ref: (ref) => ref,
      unknown: (found, path, actual, reason) => {
        if (call.session !== undefined) return this.keep(call, found)
        throw new UnserializableResult({ path, pythonType: typeOf(found), repr: actual, reason })
      }
    })
  }
}

const stop = (run: Run): void => {
  run.stopping = true
  run.fiber?.interruptUnsafe()
}

const refuseArgument = (_value: unknown, path: string, actual: string, reason: string): never => {
  throw new EncodeError({ path, actual, reason })
}

const needsSession = () =>
  new SessionLost({
    session: "",
    reason: "the result would be a ref, and refs live in sessions: make the call in one",
    mayHaveExecuted: false
  })

const callbackError = (original: unknown): PythonError.PythonError =>
  PythonError.of(
    "CallbackError",
    original instanceof Error ? original.message || original.name : String(original), // as for a worker with a wire
    { original }
  )

const crashOf = (exit: Exit.Exit<unknown, unknown>): CrashClass | undefined => {
  if (exit._tag === "Success") return undefined
  for (const reason of exit.cause.reasons) {
    const thrown = reason._tag === "Die" ? reason.defect : reason._tag === "Fail" ? reason.error : undefined
    if (thrown instanceof Crash) return thrown.crash
  }
  return undefined
}

/** How a process ends that crashes in this way. */
const processEnd = (crash: CrashClass): { readonly exitCode: number | null; readonly signal: string | null } => {
  switch (crash) {
    case "segfault":
      return { exitCode: null, signal: "SIGSEGV" }
    case "abort":
      return { exitCode: null, signal: "SIGABRT" }
    case "floating_point":
      return { exitCode: null, signal: "SIGFPE" }
    case "killed":
    case "oom":
    case "unresponsive":
    case "protocol":
      return { exitCode: null, signal: "SIGKILL" }
    case "exit":
    case "gpu":
      return { exitCode: 1, signal: null }
  }
}

const isRuntimeFailure = Schema.is(RuntimeFailure)

/** What a fake threw or failed with, as the caller sees it. */
const asError = (error: unknown, call: Call): SnakepitError => {
  if (isRuntimeFailure(error)) return error
  const python = PythonError.isPythonError(error) ? error : ownError(error, call)
  return python.call === undefined
    ? PythonError.makeUnsafe(python._tag, {
        ...python,
        message: python.message,
        cause: python.cause,
        call: describeCall(call)
      })
    : python
}

const ownError = (error: unknown, call: Call): PythonError.PythonError => {
  const message = !(error instanceof Error)
    ? String(error)
    : error.name === "Error"
      ? error.message
      : `${error.name}: ${error.message}`
  return PythonError.of("RuntimeError", message, {
    notes: [
      `the test layer's function for ${call.target} threw this; PythonError.of makes an exception of Python`,
      ...(error instanceof Error && error.stack !== undefined ? [error.stack] : [])
    ]
  })
}

const describeCall = (call: Call): PythonError.CallContext => ({
  target: call.target,
  callType: call.callType,
  arguments: [
    ...call.args.map((arg, index) => ({ name: String(index), type: typeOf(arg) })),
    ...Object.entries(call.kwargs ?? {}).map(([name, arg]) => ({ name, type: typeOf(arg) }))
  ]
})
