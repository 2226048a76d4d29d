/**
 * TypeScript that Python calls: functions among the arguments of a call, and tools by name. Partner of
 * `snakepit_worker/callbacks.py`.
 *
 * A function lives as long as the call, or the session, that it was passed to. What it runs ends with the call that waits for it.
 */
import { type Call, Callback, SnakepitError, type Worker } from "@snakepit/core"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { CallbackFunction } from "../MessagePack.ts"
import { field } from "./failures.ts"

interface Registered {
  readonly run: (args: ReadonlyArray<unknown>, kwargs: Readonly<Record<string, unknown>>) => unknown
  readonly context: Context.Context<never>
}

/** What callbacks need of the worker that they are for. */
export interface Host {
  /** A call that the worker has. */
  readonly callOf: (call: number) => Call.Call | undefined
  /** Sends the outcome of one request. Throws when it cannot cross. */
  readonly send: (request: number, exit: unknown) => void
}

export class Callbacks {
  private readonly host: Host
  private readonly functions = new Map<number, Registered>()
  /** Functions by the call or session that they live as long as. */
  private readonly owners = new Map<number | string, Array<number>>()
  /** What runs now, by the call that waits for it. */
  private readonly running = new Map<number, Set<Fiber.Fiber<unknown, unknown>>>()
  private readonly tools = new Map<string, Worker.ToolRegistration>()
  /** What functions failed with, by call and question: it is the call's own failure when Python lets it pass. */
  private readonly failures = new Map<number, Map<number, unknown>>()
  /** Questions that Python waits for the answer of. */
  private readonly asked = new Set<number>()
  private last = 0

  constructor(host: Host) {
    this.host = host
  }

  /** Makes a function callable for as long as its owner, a call or a session, lives. Answers its number. */
  add(fn: CallbackFunction, owner: number | string, context: Context.Context<never>): number {
    const number = ++this.last
    // Python may pass anything: the function's own parameter types are the caller's business
    const apply = fn as (...args: ReadonlyArray<unknown>) => unknown
    this.functions.set(number, {
      run: (args, kwargs) => (Object.keys(kwargs).length === 0 ? apply(...args) : apply(...args, kwargs)),
      context
    })
    const owned = this.owners.get(owner)
    if (owned === undefined) this.owners.set(owner, [number])
    else owned.push(number)
    return number
  }

  addTools(tools: ReadonlyArray<Worker.ToolRegistration>, session: string | undefined): void {
    for (const tool of tools) this.tools.set(toolKey(session, tool.name), tool)
  }

  /** What the functions of a call failed with, by the number of Python's question. */
  failuresOf(call: number): ReadonlyMap<number, unknown> | undefined {
    return this.failures.get(call)
  }

  /** A call has ended: its functions are gone, and what they run is interrupted. */
  endCall(call: number): void {
    if (this.failures.size > 0) this.failures.delete(call)
    if (this.owners.size > 0) this.drop(call)
    if (this.running.size > 0) this.interrupt(call)
  }

  /** A session has ended: its functions and tools are gone. */
  endSession(session: string): void {
    this.drop(session)
    for (const name of [...this.tools.keys()]) if (name.startsWith(toolKey(session, ""))) this.tools.delete(name)
  }

  /** Interrupts what runs for a call. */
  interrupt(call: number): void {
    const running = this.running.get(call)
    if (running === undefined) return
    this.running.delete(call)
    for (const fiber of running) fiber.interruptUnsafe()
  }

  interruptAll(): void {
    for (const call of [...this.running.keys()]) this.interrupt(call)
  }

  /** Python asks for one; `request` is the number of the question, `call` the call that waits for the answer. */
  run(request: number, payload: unknown, call: number | undefined): void {
    const callback = this.find(payload)
    const args = field(payload, "args")
    const kwargs = field(payload, "kwargs")
    if (callback === undefined) {
      return this.answer(
        request,
        Exit.fail(new Error("the call or session that this TypeScript function belongs to has ended")),
        call
      )
    }
    const effect = Callback.run(call === undefined ? undefined : this.host.callOf(call), () =>
      callback.run(Array.isArray(args) ? args : [], typeof kwargs === "object" && kwargs !== null ? { ...kwargs } : {})
    )
    const fiber = Effect.runForkWith(callback.context)(effect)
    if (call !== undefined) {
      const running = this.running.get(call) ?? new Set()
      running.add(fiber)
      this.running.set(call, running)
      fiber.addObserver(() => running.delete(fiber))
    }
    this.asked.add(request)
    fiber.addObserver((exit) => {
      if (this.asked.delete(request)) this.answer(request, exit, call)
    })
  }

  /** Nobody waits for the answer to a question any more. */
  abandon(request: number): void {
    this.asked.delete(request)
  }

  /** Answers a question of Python's. */
  answer(request: number, exit: Exit.Exit<unknown, unknown>, call?: number): void {
    if (exit._tag === "Failure") this.note(request, Cause.squash(exit.cause), call)
    try {
      this.host.send(
        request,
        exit._tag === "Success"
          ? { _tag: "Success", value: exit.value }
          : { _tag: "Failure", cause: exit.cause.reasons.map(encodeReason) }
      )
    } catch (thrown) {
      // the value cannot cross: the callback fails in Python with the reason, the call goes on
      const error = asResult(thrown)
      this.note(request, error, call)
      this.host.send(request, { _tag: "Failure", cause: [encodeReason(Cause.makeFailReason(error))] })
    }
  }

  private note(request: number, error: unknown, call: number | undefined): void {
    if (call === undefined || this.host.callOf(call) === undefined) return
    const failures = this.failures.get(call) ?? new Map<number, unknown>()
    this.failures.set(call, failures)
    failures.set(request, error)
    if (failures.size > keptFailures) for (const oldest of failures.keys()) return void failures.delete(oldest)
  }

  private find(payload: unknown): Registered | undefined {
    const number = field(payload, "callback")
    if (typeof number === "number") return this.functions.get(number)
    const name = field(payload, "tool")
    const session = field(payload, "session_id")
    if (typeof name !== "string") return undefined
    const tool =
      (typeof session === "string" ? this.tools.get(toolKey(session, name)) : undefined) ??
      this.tools.get(toolKey(undefined, name))
    if (tool === undefined) return undefined
    // a tool runs as part of the call that uses it; code on a thread that no call knows of has none
    const call = field(payload, "request_id")
    const context = typeof call === "number" ? this.host.callOf(call)?.context : undefined
    return { run: tool.run, context: context ?? Context.empty() }
  }

  private drop(owner: number | string): void {
    const owned = this.owners.get(owner)
    if (owned === undefined) return
    this.owners.delete(owner)
    for (const number of owned) this.functions.delete(number)
  }
}

/** So many failures are kept for each call; Python code that catches them by the thousand keeps the last. */
const keptFailures = 64

const toolKey = (session: string | undefined, name: string): string => `${session ?? ""} ${name}`

const encodeReason = (reason: Cause.Reason<unknown>): unknown => {
  switch (reason._tag) {
    case "Fail":
      return { _tag: "Fail", error: describeError(reason.error) }
    case "Die":
      return { _tag: "Die", defect: String(reason.defect) }
    case "Interrupt":
      return { _tag: "Interrupt", fiberId: null }
  }
}

/** The answer of a function is `result` to who wrote it, who knows nothing of the message around it. */
const asResult = (error: unknown): unknown => {
  if (!(error instanceof SnakepitError.EncodeError)) return error
  const path = error.path.replace(/^message(\.exit\.value)?/, "result")
  // of a cycle, what was found is a path too
  const actual = error.actual.replace(/^(a reference back to )message\.exit\.value/, "$1result")
  return new SnakepitError.EncodeError({ path, actual, reason: error.reason })
}

const describeError = (error: unknown): unknown => {
  const tag = field(error, "_tag")
  const message = field(error, "message")
  const name = typeof tag === "string" ? tag : error instanceof Error ? error.name : undefined
  return {
    _tag: name ?? "Error",
    // an error that says nothing is told by its name
    message: typeof message === "string" && message !== "" ? message : (name ?? String(error))
  }
}
