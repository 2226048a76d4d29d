/**
 * The host's side of one live worker: calls out, replies in. The engine file of this package: everything that happens to a
 * call between the pool and the Python process happens here.
 *
 * Guarantees:
 * - Every observer given to `start` hears `onExit` or `onDropped` exactly once, also when the process dies.
 * - The fiber that waits for a reply is resumed inside the event handler that read it.
 * - A call that is interrupted either proves that it stopped, or its process is killed: the rungs of `cancellations.ts`.
 */
import { type Call, type Handle, SnakepitError, type Worker } from "@snakepit/core"
import type { SharedMemory } from "@snakepit/zero-copy"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Decoder, DecodeHooks, EncodeHooks } from "../MessagePack.ts"
import { Callbacks } from "./callbacks.ts"
import { Cancellations, type Ladder, type Rung } from "./cancellations.ts"
import { type Channel, type Channels, closedReason } from "./channel.ts"
import { crashClass } from "./crashClass.ts"
import { decodeError, decodeExit, field } from "./failures.ts"
import { Heartbeat, type HeartbeatOptions } from "./heartbeat.ts"
import { InFlight } from "./inFlight.ts"
import { nativeStacks } from "./nativeStacks.ts"
import { watchOomKills } from "./memoryEvents.ts"
import type { WorkerProcess } from "./process.ts"
import { Requests } from "./requests.ts"
import { sharedPlaces } from "./sharedPlaces.ts"
import { WorkerMemory } from "./workerMemory.ts"
import { threadStates } from "./threadStates.ts"

/** When a worker that works is worn all the same. */
export interface WearLimits {
  /** Milliseconds since its start. */
  readonly age: number | undefined
  /** Calls it was given. */
  readonly calls: number | undefined
  /** Resident bytes of the Python process. */
  readonly memory: number | undefined
}

export interface ClientOptions {
  readonly pool: string
  readonly worker: string
  readonly device: string | undefined
  readonly concurrency: number
  readonly maxFrameBytes: number
  readonly decoder: () => Decoder
  readonly ladder: Ladder
  readonly heartbeat: HeartbeatOptions
  readonly limits: WearLimits
  readonly process: WorkerProcess
  readonly channels: Channels
  /** Hears each warning of Python, with the context of the call that it came up in. */
  readonly onWarning: (warning: PythonWarning, context: Context.Context<never> | undefined) => void
  /** Hears how far the cancellation of a call went. */
  readonly onRung: (rung: Rung, call: Call.Call) => void
  /** What the pool shares with its workers. */
  readonly memory: SharedMemory.PoolMemory
}

/** A warning of Python's `warnings`. */
export interface PythonWarning {
  /** Qualified name of its class; built-ins without module. */
  readonly category: string
  readonly message: string
  readonly file: string
  readonly line: number
}

// An `Exit` as Python packs it: `headPrefix`, the number, `successPrefix` or `failPrefix`, the value or the error. Comparing
// them saves decoding the envelope of nearly every reply; any other spelling of the same message takes the general way.
const headPrefix = Buffer.from("\x83\xa4_tag\xa4Exit\xa9requestId", "latin1")
const successPrefix = Buffer.from("\xa4exit\x82\xa4_tag\xa7Success\xa5value", "latin1")
const failPrefix = Buffer.from("\xa4exit\x82\xa4_tag\xa7Failure\xa5cause\x91\x82\xa4_tag\xa4Fail\xa5error", "latin1")

export class WorkerClient implements Worker.Worker {
  readonly id: string
  readonly device: string | undefined
  readonly concurrency: number
  isOpen = true
  /** It was asked to leave, or is ended for the sake of a call: its end is no crash. */
  private leaving = false
  private readonly options: ClientOptions
  private readonly data: Channel
  private readonly control: Channel
  private readonly requests = new Requests()
  private readonly decoder: Decoder
  private readonly controlDecoder: Decoder
  private readonly memory: WorkerMemory
  private readonly inFlight = new InFlight<Worker.CallObserver>()
  private readonly parkedCalls = new Set<number>()
  private readonly controlReplies = new Map<number, (exit: unknown) => void>()
  private readonly callbacks = new Callbacks({
    callOf: (call) => this.inFlight.get(call)?.call,
    send: (request, exit) => {
      if (this.processEnded.signal.aborted) return
      // shared memory that the answer names is held until Python says that it has taken it
      this.memory.pinTo(answerPin(request))
      try {
        this.send(this.control, { _tag: "Exit", requestId: request, exit }, { storage: this.memory })
      } catch (error) {
        this.memory.settle(answerPin(request))
        throw error
      }
    }
  })
  private readonly refMakers = new Map<string, (handle: Handle) => unknown>()
  /** Streams that sent what does not decode: what they fail with once they have stopped. */
  private readonly spoiled = new Map<number, Exit.Exit<unknown, SnakepitError.SnakepitError>>()
  private readonly cancellations: Cancellations
  private readonly end = Deferred.makeUnsafe<Worker.WorkerEnd>()
  private readonly ready: (exit: Exit.Exit<unknown, string>) => void
  private greeted = 0
  private isReady = false
  private fault: string | undefined
  private unresponsive = false
  private nativeStack: ReadonlyArray<string> = []
  private readonly processEnded = new AbortController()
  /** Kills a process that is beyond repair, unless it ends by itself. */
  private lastResort: ReturnType<typeof setTimeout> | undefined
  private killedAt = Infinity
  /** The call for whose sake the process was told to end. */
  private terminated: Call.Call | undefined
  private readonly wear = Deferred.makeUnsafe<string>()
  private readonly startedAt = performance.now()
  private calls = 0
  private heartbeat: Heartbeat | undefined
  private readonly killedForMemory: () => boolean
  /** The worker broke the wire contract: that, and not how its process ended then, is what went wrong. */
  private violation = false
  /** The call that is being encoded: functions found in its arguments are its callbacks. */
  private encoding: Call.Call | undefined
  private encodingNumber = 0
  /** The frame that is being decoded, and its call, once that is known. */
  private frame: { readonly bytes: Buffer; readonly start: number; readonly end: number } = {
    bytes: Buffer.alloc(0),
    start: 0,
    end: 0
  }
  private frameCall: number | undefined
  /** How many places in shared memory that the frame names have been opened. */
  private opened = 0

  constructor(options: ClientOptions, ready: (exit: Exit.Exit<unknown, string>) => void) {
    this.options = options
    this.ready = ready
    this.id = options.worker
    this.device = options.device
    this.concurrency = options.concurrency
    this.cancellations = new Cancellations(options.ladder, {
      raise: (call) => this.requestControl("snakepit.raise", { request_id: call }),
      terminate: (call) => this.terminate(call),
      onRung: (rung, call) => this.reportRung(rung, call)
    })
    this.memory = new WorkerMemory(options.memory, {
      free: (places) => this.sendData("snakepit.free", { places }),
      trim: (places) => this.trim(places),
      forget: (segments) => this.isOpen && this.requestControl("snakepit.forget", { segments })
    })
    this.encodeHooks = {
      callback: (fn) => {
        const call = this.encoding
        return this.callbacks.add(fn, call?.session ?? this.encodingNumber, call?.context ?? Context.empty())
      },
      storage: this.memory
    }
    this.decoder = options.decoder()
    this.controlDecoder = options.decoder()
    this.killedForMemory = watchOomKills(options.process.pid)
    this.data = options.channels.data
    this.control = options.channels.control
    const onBroken = (reason: string, violation: boolean) => this.broken(reason, violation)
    this.data.listen((bytes, start, end) => this.onData(bytes, start, end), onBroken)
    this.control.listen((bytes, start, end) => this.onControl(bytes, start, end), onBroken)
  }

  get pid(): number | undefined {
    return this.options.process.pid
  }

  get ended(): Effect.Effect<Worker.WorkerEnd> {
    return Deferred.await(this.end)
  }

  get worn(): Effect.Effect<string> {
    return Deferred.await(this.wear)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // From the pool
  // -------------------------------------------------------------------------------------------------------------------

  start(observer: Worker.CallObserver): number {
    this.memory.flushIfMany()
    const number = this.inFlight.reserve()
    const call = observer.call
    const encoder = this.data.encoder
    const mark = encoder.begin()
    this.encoding = call
    this.encodingNumber = number
    this.memory.pinTo(number)
    try {
      this.requests.write(encoder, number, call, this.encodeHooks)
    } catch (error) {
      encoder.rollback(mark)
      this.callbacks.endCall(number)
      this.memory.settle(number)
      throw error
    }
    const length = encoder.end(mark)
    if (length > this.options.maxFrameBytes) {
      encoder.rollback(mark)
      this.callbacks.endCall(number)
      this.memory.settle(number)
      throw this.tooLarge("args", length)
    }
    if (call.makeRef !== undefined && call.session !== undefined) this.refMakers.set(call.session, call.makeRef)
    this.inFlight.set(number, observer)
    this.data.flushSoon()
    if (++this.calls === this.options.limits.calls) this.wearOut(`it was given ${this.calls} calls, its maxCalls`)
    return number
  }

  interrupt(call: number): void {
    if (this.inFlight.get(call) === undefined || this.cancellations.has(call)) return
    this.sendControl({ _tag: "Interrupt", requestId: call })
    this.callbacks.interrupt(call)
    this.cancellations.begin(call)
  }

  /**
   * Ends the process of a call that does not stop. It takes no more calls, so it has to end even if the call does so first: Python code
   * may handle SIGTERM, and go on or raise.
   */
  private terminate(call: number): void {
    if (!this.isOpen) return // it is ending already
    this.isOpen = false
    this.leaving = true
    this.reportRung("terminated", call)
    // the call may have ended when it is killed
    this.terminated = this.inFlight.get(call)?.call
    this.options.process.kill("SIGTERM")
    this.killWithin(this.options.ladder.terminated)
  }

  /** Kills the process after so many milliseconds, or earlier if that was said before. */
  private killWithin(millis: number): void {
    const at = performance.now() + millis
    if (at >= this.killedAt) return
    this.killedAt = at
    clearTimeout(this.lastResort)
    this.lastResort = setTimeout(() => {
      if (this.terminated !== undefined) this.options.onRung("killed", this.terminated)
      this.options.process.kill("SIGKILL")
    }, millis)
  }

  private reportRung(rung: Rung, number: number): void {
    const call = this.inFlight.get(number)?.call
    if (call !== undefined) this.options.onRung(rung, call)
  }

  recall(calls: ReadonlyArray<number>): void {
    this.requestControl("snakepit.recall", { request_ids: calls }, (exit) => {
      const dropped = field(exit, "value")
      if (!Array.isArray(dropped)) return
      for (const call of dropped) if (typeof call === "number") this.drop(call)
    })
  }

  ack(call: number): void {
    this.sendControl({ _tag: "Ack", requestId: call })
  }

  release(session: string, refs?: ReadonlyArray<number>): void {
    if (!this.isOpen) return
    this.sendData("snakepit.release", refs === undefined ? { session_id: session } : { session_id: session, refs })
    if (refs !== undefined) return
    this.refMakers.delete(session)
    this.callbacks.endSession(session)
  }

  registerTools(tools: ReadonlyArray<Worker.ToolRegistration>, session?: string): void {
    this.callbacks.addTools(tools, session)
    this.sendData("snakepit.tools", {
      ...(session === undefined ? {} : { session_id: session }),
      tools: tools.map(({ description, name, parameters }) => ({ name, description, parameters }))
    })
  }

  /** Asks the worker to finish what runs and leave. */
  shutdown(): void {
    if (this.leaving || !this.isOpen) return
    this.isOpen = false
    this.leaving = true
    this.requestControl("snakepit.shutdown", {})
  }

  /** Signals the worker's process group. */
  kill(signal: NodeJS.Signals): void {
    this.options.process.kill(signal)
  }

  /** Whether the worker answers on its control channel. */
  readonly ping: Effect.Effect<void> = Effect.callback((resume) => this.sendPing(() => resume(Effect.void)))
  private readonly pongs: Array<() => void> = []

  private sendPing(onPong: () => void): void {
    this.pongs.push(onPong)
    this.sendControl({ _tag: "Ping" })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Liveness and wear
  // -------------------------------------------------------------------------------------------------------------------

  private watch(): void {
    this.heartbeat = new Heartbeat(
      this.options.heartbeat,
      (onPong) => {
        this.sendPing(onPong)
        this.measure()
      },
      (millis) => this.onSilent(millis)
    )
  }

  /** The worker hangs: its stacks are asked for, those of Python by a signal that needs no interpreter lock, and it is killed. */
  private onSilent(millis: number): void {
    const { pid } = this.options.process
    this.isOpen = false
    this.unresponsive = true
    const states = threadStates(pid)
    // the signal below may cut short what the call waits for, so what the call still answers is not to be trusted
    this.data.destroy()
    this.fault = [`it did not answer for ${Math.round(millis)} ms`, ...states].join("; ")
    // nobody would read those of a worker that has no call
    const hasCalls = this.inFlight.entries().length > 0
    const asked = hasCalls ? nativeStacks(pid, nativeStackMillis, this.processEnded.signal) : Promise.resolve([])
    // whatever becomes of the debugger
    this.killWithin(nativeStackMillis + stackGraceMillis)
    asked.then((lines) => {
      this.nativeStack = lines
      if (this.processEnded.signal.aborted) return
      try {
        // to the process alone: those that it started do not know the signal, and would die of it
        process.kill(pid, "SIGUSR2")
      } catch {
        // it has just ended
      }
      // the dump is written inside the signal's handler, so this is the time for its way here
      this.killWithin(stackGraceMillis)
    })
  }

  private measure(): void {
    const { age, memory } = this.options.limits
    const lived = performance.now() - this.startedAt
    if (age !== undefined && lived >= age) this.wearOut(`it is ${Math.round(lived)} ms old; its maxAge is ${age} ms`)
    if (memory === undefined) return
    this.requestControl("snakepit.memory", {}, (exit) => {
      const resident = field(field(exit, "value"), "rss_bytes")
      if (typeof resident === "number" && resident > memory) {
        this.wearOut(`its memory is ${resident} bytes; its maxMemory is ${memory}`)
      }
    })
  }

  private wearOut(reason: string): void {
    // not here and now: this runs while a call is being placed
    setImmediate(() => Deferred.doneUnsafe(this.wear, Exit.succeed(reason)))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // From the worker
  // -------------------------------------------------------------------------------------------------------------------

  private onData(bytes: Buffer, start: number, end: number): void {
    if (this.quickExit(bytes, start, end)) return
    const message = this.decodeMessage(this.decoder, bytes, start, end)
    if (message instanceof Undecodable) return this.onUndecodable(bytes, start, end, message.error)
    switch (field(message, "_tag")) {
      case "Exit": {
        const number = numberOf(message, "requestId")
        if (number === 0) return this.onHello(field(message, "exit"))
        const observer = this.inFlight.get(number)
        if (observer === undefined) return // a reply to housekeeping
        const micros = field(message, "pythonMicros")
        this.settle(
          number,
          decodeExit(field(message, "exit"), observer.call.target, this.callbacks.failuresOf(number)),
          typeof micros === "number" ? micros : undefined,
          field(message, "kept")
        )
        return
      }
      case "Chunk": {
        const number = numberOf(message, "requestId")
        const values = field(message, "values")
        if (!Array.isArray(values) || values.length === 0) {
          throw new Error(`expected at least one value in a Chunk, got ${describe(values)}`)
        }
        if (!this.spoiled.has(number)) this.inFlight.get(number)?.onChunk(values)
        return
      }
      case "Request":
        return this.onRequest(message)
      case "Defect":
        throw new Error(`the worker reports: ${String(field(message, "defect"))}`)
      default:
        throw new Error(`expected Exit, Chunk, Request or Defect on the data channel, got ${describe(message)}`)
    }
  }

  /** Handles the reply of nearly every call; answers whether it was one. */
  private quickExit(bytes: Buffer, start: number, end: number): boolean {
    if (!startsWith(bytes, start, end, headPrefix)) return false
    let position = start + headPrefix.length
    const token = bytes[position] ?? 0
    const number = readUint(bytes, position, end)
    if (number === undefined) return false
    position += 1 + uintSize(token)
    const isSuccess = startsWith(bytes, position, end, successPrefix)
    if (number === 0 || (!isSuccess && !startsWith(bytes, position, end, failPrefix))) return false
    position += isSuccess ? successPrefix.length : failPrefix.length
    const observer = this.inFlight.get(number)
    if (observer === undefined) return true
    let exit: Exit.Exit<unknown, SnakepitError.SnakepitError>
    this.frameCall = number
    this.opened = 0
    try {
      const value = this.decoder.decode(bytes, position, end, this.decodeHooks)
      exit = isSuccess
        ? Exit.succeed(value)
        : Exit.fail(decodeError(value, observer.call.target, this.callbacks.failuresOf(number)))
    } catch (error) {
      this.discardRest(bytes, position, end)
      exit = Exit.fail(this.undecodable(error, isSuccess ? "result" : "error"))
    }
    this.settle(number, exit, undefined)
    return true
  }

  private onControl(bytes: Buffer, start: number, end: number): void {
    const message = this.decodeMessage(this.controlDecoder, bytes, start, end)
    if (message instanceof Undecodable) throw message.error
    switch (field(message, "_tag")) {
      case "Pong":
        return this.pongs.shift()?.()
      case "Exit": {
        const number = numberOf(message, "requestId")
        if (number === 0) return this.onHello(field(message, "exit"))
        if (field(message, "started") === false) return this.drop(number)
        const reply = this.controlReplies.get(number)
        this.controlReplies.delete(number)
        return reply?.(field(message, "exit"))
      }
      case "Defect":
        throw new Error(`the worker reports: ${String(field(message, "defect"))}`)
      default:
        throw new Error(`expected Pong, Exit or Defect on the control channel, got ${describe(message)}`)
    }
  }

  private onHello(exit: unknown): void {
    // the worker compares versions, and turns away a host that it does not understand
    if (field(exit, "_tag") !== "Success") throw new Error(`the worker refused the handshake: ${JSON.stringify(exit)}`)
    this.greeted++
    if (this.greeted < 2) return
    const version = field(exit, "value")
    // the handshake is read by the main thread: that the other one answers too is not known before it has
    this.sendPing(() => {
      this.isReady = true
      this.watch()
      this.ready(Exit.succeed(version))
    })
  }

  private onRequest(message: unknown): void {
    const payload = field(message, "payload")
    const number = numberOf(message, "id")
    const call = field(payload, "request_id")
    switch (field(message, "tag")) {
      case "snakepit.parked": {
        if (typeof call !== "number") return
        this.parkedCalls.add(call)
        return this.inFlight.get(call)?.onParked()
      }
      case "snakepit.callback":
        return this.callbacks.run(number, payload, typeof call === "number" ? call : undefined)
      case "snakepit.grant":
        return this.callbacks.answer(
          number,
          Exit.succeed(this.memory.grant(field(payload, "bytes"), field(payload, "most")))
        )
      case "snakepit.taken": {
        const answer = numberOf(payload, "answer")
        this.callbacks.abandon(answer)
        return this.memory.settle(answerPin(answer), field(payload, "kept"))
      }
      case "snakepit.released":
        return this.memory.released(field(payload, "regions"))
      case "snakepit.warning": {
        const [category, text, file, line] = ["category", "message", "file", "line"].map((name) => field(payload, name))
        const context = typeof call === "number" ? this.inFlight.get(call)?.call.context : undefined
        return this.options.onWarning(
          { category: String(category), message: String(text), file: String(file), line: Number(line) },
          context
        )
      }
      default:
        throw new Error(`expected a callback or a notice, got ${describe(field(message, "tag"))}`)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // What the codec asks
  // -------------------------------------------------------------------------------------------------------------------

  private readonly encodeHooks: EncodeHooks

  private readonly decodeHooks: DecodeHooks = {
    ref: (session, worker, id, type) => {
      const handle: Handle = { session, worker, id, type }
      return this.refMakers.get(session)?.(handle) ?? handle
    },
    shared: (place) => {
      const bytes = this.memory.open(this.inFlight.get(this.callOfFrame())?.call.context, place)
      this.opened++
      return bytes
    }
  }

  /** The call that the frame being decoded belongs to. */
  private callOfFrame(): number {
    const { bytes, end, start } = this.frame
    if (this.frameCall !== undefined) return this.frameCall
    const head = bytes.subarray(start, Math.min(end, start + requestHeadBytes)).toString("latin1")
    const number =
      numberAfter("\xa9requestId", head, bytes, start, end) ?? numberAfter("\xaarequest_id", head, bytes, start, end)
    return (this.frameCall = number ?? -1)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Settling
  // -------------------------------------------------------------------------------------------------------------------

  /**
   * Tells the worker which places are free, and asks for the room for results that it does not use; a busy one may answer later
   * than is waited for.
   */
  private trim(places: ReadonlyArray<readonly [number, number]>): Promise<void> {
    if (!this.isOpen) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, trimMillis)
      this.requestControl("snakepit.trim", { places }, (exit) => {
        clearTimeout(timer)
        this.memory.returned(field(exit, "value"))
        resolve()
      })
    })
  }

  private settle(
    number: number,
    exit: Exit.Exit<unknown, SnakepitError.SnakepitError>,
    pythonMicros: number | undefined,
    kept?: unknown
  ): void {
    this.memory.settle(number, kept)
    const spoiled = this.spoiled.size > 0 ? this.spoiled.get(number) : undefined
    if (spoiled !== undefined) this.spoiled.delete(number)
    this.forget(number)?.onExit(spoiled ?? exit, pythonMicros)
  }

  private drop(number: number): void {
    this.memory.settle(number)
    this.forget(number)?.onDropped()
  }

  private forget(number: number): Worker.CallObserver | undefined {
    const observer = this.inFlight.take(number)
    if (observer === undefined) return undefined
    if (this.parkedCalls.size > 0) this.parkedCalls.delete(number)
    this.callbacks.endCall(number)
    this.cancellations.end(number)
    return observer
  }

  /** A channel ended or carried nonsense: nothing more can come, so the process has to end, and its end settles the calls. */
  private broken(reason: string, violation: boolean): void {
    if (!this.isReady) this.ready(Exit.fail(reason))
    if (!this.isOpen) return
    this.isOpen = false
    this.fault = reason
    this.violation = violation
    // a process that died by itself has closed its sockets: its own exit code tells more than ours would
    this.killWithin(closeGraceMillis)
    this.lastResort?.unref()
  }

  /** The process has ended. Reads what it had sent before, then settles what is left. */
  onProcessEnd(how: Worker.WorkerEnd): void {
    this.isOpen = false
    this.processEnded.abort()
    this.heartbeat?.stop()
    clearTimeout(this.lastResort)
    const stderr = this.options.process.stderr
    const crash = this.unresponsive ? "unresponsive" : crashClass(how, stderr.all, this.killedForMemory)
    this.data.afterClose(closeGraceMillis, () => {
      this.data.destroy()
      this.control.destroy()
      this.settleAll({ ...how, crash: this.violation ? "protocol" : crash })
    })
  }

  private settleAll(end: Worker.WorkerEnd): void {
    const crash = end.crash ?? "exit"
    const calls = this.inFlight.entries()
    const inFlight = calls.map(([, observer]) => observer.call.target)
    const error = (mayHaveExecuted: boolean) => {
      const made = new SnakepitError.WorkerCrash({
        pool: this.options.pool,
        worker: this.id,
        crash,
        exitCode: end.exitCode,
        signal: end.signal,
        stderr: [
          ...this.options.process.stderr.all,
          ...(this.fault === undefined || this.fault === closedReason
            ? []
            : [`snakepit: the connection ended: ${this.fault}`])
        ],
        pythonStack: [...this.options.process.stderr.stacks.threads],
        nativeStack: [...this.nativeStack],
        inFlight,
        mayHaveExecuted
      })
      // Until its stack is read, an error keeps what the functions on it ran on: half a megabyte of a worker that is gone.
      void made.stack
      return made
    }
    // Calls run in the order they were sent and each reply leaves before the next call begins, so of those that no
    // reply came for, only the first of each thread can have begun, and those on the event loop.
    let mayHaveBegun = this.concurrency
    for (const [number] of calls) {
      const parked = this.parkedCalls.has(number)
      if (parked || mayHaveBegun > 0) {
        if (!parked) mayHaveBegun--
        this.settle(number, Exit.fail(error(true)), undefined)
      } else this.drop(number)
    }
    this.callbacks.interruptAll()
    this.memory.end()
    Deferred.doneUnsafe(this.end, Exit.succeed({ ...end, crash: this.leaving ? undefined : crash }))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Messages
  // -------------------------------------------------------------------------------------------------------------------

  private sendData(tag: string, payload: unknown): void {
    this.send(this.data, { _tag: "Request", id: this.inFlight.reserve(), tag, payload, headers: [] })
  }

  private requestControl(tag: string, payload: unknown, reply?: (exit: unknown) => void): void {
    const id = this.inFlight.reserve()
    if (reply !== undefined) this.controlReplies.set(id, reply)
    this.sendControl({ _tag: "Request", id, tag, payload, headers: [] })
  }

  private sendControl(message: unknown): void {
    this.send(this.control, message)
  }

  private send(channel: Channel, message: unknown, hooks: EncodeHooks = {}): void {
    const encoder = channel.encoder
    const mark = encoder.begin()
    try {
      encoder.value(message, "message", hooks)
    } catch (error) {
      encoder.rollback(mark)
      throw error
    }
    const length = encoder.end(mark)
    if (length > this.options.maxFrameBytes) {
      encoder.rollback(mark)
      throw this.tooLarge("message", length)
    }
    channel.flushSoon()
  }

  private tooLarge(path: string, length: number): SnakepitError.EncodeError {
    return new SnakepitError.EncodeError({
      path,
      actual: `a frame of ${length} bytes`,
      reason: `A frame has at most maxFrameBytes = ${this.options.maxFrameBytes} bytes`
    })
  }

  private decodeMessage(decoder: Decoder, bytes: Buffer, start: number, end: number): unknown {
    this.frame = { bytes, start, end }
    this.frameCall = undefined
    this.opened = 0
    try {
      return decoder.decode(bytes, start, end, this.decodeHooks)
    } catch (error) {
      this.discardRest(bytes, start, end)
      return new Undecodable(error)
    }
  }

  /** Frees the places in shared memory that stand behind the value that did not decode: a decoder comes to them in their order. */
  private discardRest(bytes: Buffer, start: number, end: number): void {
    for (const [from, to] of sharedPlaces(bytes, start, end).slice(this.opened)) {
      try {
        this.memory.discard(this.decoder.decode(bytes, from, to, this.decodeHooks))
      } catch {
        // it is no place
      }
    }
  }

  /** A value that does not decode fails the call, stream or callback it is for; its neighbours are not to suffer. */
  private onUndecodable(bytes: Buffer, start: number, end: number, error: unknown): void {
    const head = bytes.subarray(start, Math.min(end, start + headBytes)).toString("latin1")
    const tag = /^.\xa4_tag[\xa0-\xbf](Chunk|Exit|Request)/s.exec(head)?.[1]
    if (tag === "Request") {
      const callback = numberAfter("\xa2id", head, bytes, start, end)
      if (callback !== undefined) return this.callbacks.answer(callback, Exit.fail(error))
    }
    const number = numberAfter("\xa9requestId", head, bytes, start, end)
    if (number === undefined || tag === undefined) throw error
    const failure = Exit.fail(this.undecodable(error, "result"))
    if (tag === "Exit") return this.settle(number, failure, undefined)
    if (this.inFlight.get(number) === undefined) return
    // the generator runs on: it has to be stopped, and until then its worker is not free
    this.spoiled.set(number, failure)
    this.interrupt(number)
  }

  private undecodable(error: unknown, root: string): SnakepitError.SnakepitError {
    if (error instanceof SnakepitError.DecodeError) {
      const inside = error.path.replace(/^(exit\.value|values\[0\])\.?/, "")
      const path = inside === "" ? root : inside.startsWith("[") ? root + inside : `${root}.${inside}`
      return new SnakepitError.DecodeError({ path, expected: error.expected, actual: error.actual })
    }
    return new SnakepitError.ProtocolError({ reason: String(error), mayHaveExecuted: true })
  }
}

const closeGraceMillis = 100

const stackGraceMillis = 250

/** How long a debugger may take for the native stacks; it has to read the symbols of all libraries. */
const nativeStackMillis = 3_000

/** Tag and number of a message stand within so many bytes of its beginning. */
const headBytes = 64

/** The number of the call stands within so many bytes of the beginning of a callback's request. */
const requestHeadBytes = 128

/** How long is waited for a worker to say which room it does not use. */
const trimMillis = 200

/** What an answer to a callback is pinned to: calls have the positive numbers, callbacks count by themselves. */
const answerPin = (request: number): number => -request

const numberOf = (message: unknown, name: string): number => {
  const value = field(message, name)
  if (typeof value !== "number") throw new Error(`expected an integer as ${name}, got ${describe(value)}`)
  return value
}

const describe = (value: unknown): string => {
  const tag = field(value, "_tag")
  return typeof tag === "string" ? `a message ${tag}` : (JSON.stringify(value) ?? String(value))
}

/** The integer behind a key, in a frame that may be wrong in any way. */
const numberAfter = (key: string, head: string, bytes: Buffer, start: number, end: number): number | undefined => {
  const found = head.indexOf(key)
  if (found < 0) return undefined
  const at = start + found + key.length
  return readUint(bytes, at, end)
}

/** Whether a frame goes on with these bytes, and with something behind them. */
const startsWith = (bytes: Buffer, position: number, end: number, prefix: Buffer): boolean => {
  if (end - position <= prefix.length) return false
  for (let i = 0; i < prefix.length; i++) if (bytes[position + i] !== prefix[i]) return false
  return true
}

/** Bytes of a MessagePack integer behind its token: 0 for those that are their token, and for what is none. */
const uintSize = (token: number): number => (token >= 0xcc && token <= 0xcf ? 1 << (token - 0xcc) : 0)

/** The non-negative integer at a place, if one stands there whole. */
const readUint = (bytes: Buffer, at: number, end: number): number | undefined => {
  const token = at < end ? (bytes[at] ?? 0xc0) : 0xc0
  if (token < 0x80) return token
  const size = uintSize(token)
  if (size === 0 || at + size >= end) return undefined
  const low = bytes.readUIntBE(at + 1 + Math.max(0, size - 4), Math.min(size, 4))
  return size === 8 ? bytes.readUInt32BE(at + 1) * 0x1_0000_0000 + low : low
}

/** In place of a message that could not be decoded. */
class Undecodable {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}
