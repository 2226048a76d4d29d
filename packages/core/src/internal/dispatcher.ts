/**
 * Which call goes to which worker, and when: the engine of a pool. Plain synchronous code, since every call passes here
 * twice and the fiber that waits is resumed in the event handler that read the reply.
 *
 * Guarantees:
 * - A submitted ticket is settled exactly once, whatever happens to its worker, its caller or the pool.
 * - A worker with a free slot takes a call before any call is queued behind another.
 * - Behind a running call, further calls are sent ahead only as far as the worker gets through in `horizonMillis`, judged
 *   by its own recent pace. When a call turns out long, those sent after it are taken back: to a worker with a free slot,
 *   or to the waiting room. One long call never holds up others while a worker is idle, and none that waits escapes the
 *   queue timeout.
 * - A worker that is stopping a call counts as busy until it has proved that the call stopped.
 * - A call that a crash cut off runs again only as the crash barrier allows; one that had not begun is moved, silently.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import type { Call } from "../Call.ts"
import * as Callback from "../Callback.ts"
import * as CrashBarrier from "../CrashBarrier.ts"
import type { PoolOptions } from "../PoolConfig.ts"
import {
  CallTimeout,
  type CrashMark,
  DeviceNotInPool,
  EncodeError,
  PoisonCall,
  PoolClosed,
  PoolSaturated,
  QueueTimeout,
  SessionBusy,
  SessionLost,
  type SnakepitError,
  type WorkerCrash
} from "../SnakepitError.ts"
import type { CallObserver, Worker } from "../Worker.ts"
import { Chain, type Link } from "./chain.ts"
import type { Deadline, Deadlines } from "./deadlines.ts"
import { type Admission, Devices, isWithin } from "./devices.ts"
import { longestTimer } from "./duration.ts"
import { Poison } from "./poison.ts"

/** How much work may be sent ahead to a busy worker, and how long a call may run before it counts as long. */
const horizonMillis = 2

/** How long a call that seems to wait for itself is left to wait: the callback that made it may answer without its result. */
const noticeMillis = 50

/** Most calls sent ahead, however fast they are: bounds what a crash can touch. */
const maxAhead = 256

type State = "new" | "waiting" | "sent" | "parked" | "backoff" | "settled"

/** What crashes have done to one call so far. */
interface Trouble {
  last: WorkerCrash
  /** The crashes that it is held to have caused. */
  readonly marks: Array<CrashMark>
  retries: number
  /** Waits for the next delay of the backoff. */
  wait: ((crash: WorkerCrash) => Pull.Pull<unknown, never, unknown>) | undefined
  waiting: Fiber.Fiber<unknown, unknown> | undefined
}

/** One submitted call, from admission to its only settlement. */
export abstract class Ticket implements CallObserver, Link<Ticket> {
  chain: Chain<Ticket> | undefined = undefined
  previous: Ticket | undefined = undefined
  next: Ticket | undefined = undefined
  readonly call: Call
  readonly dispatcher: Dispatcher
  readonly timeoutMillis: number | undefined
  state: State = "new"
  /** The member a session binds this call to. */
  pinned: Member | undefined
  member: Member | undefined
  /** The worker's number for this call. */
  number = 0
  submittedAt = 0
  sentAt = 0
  /** The caller is gone or answered: what the worker still says only frees its slot. */
  answered = false
  recalling = false
  /** Values of its stream have come. */
  hasDelivered = false
  trouble: Trouble | undefined = undefined
  /** Its fingerprint, when calls of its target have killed workers. */
  suspect: string | undefined = undefined
  deadline: Deadline | undefined = undefined
  /** It was let through to the device of its worker, which has to be told how it ended. */
  admission: Admission | undefined = undefined

  constructor(dispatcher: Dispatcher, call: Call, timeoutMillis: number | undefined) {
    this.dispatcher = dispatcher
    this.call = call
    this.timeoutMillis = timeoutMillis
  }

  /** Gives the caller the outcome. Called once, and never after {@link Dispatcher.abandon}. */
  abstract deliver(exit: Exit.Exit<unknown, SnakepitError>, pythonMicros: number | undefined): void

  /** The caller went away before an outcome. */
  onAbandoned(): void {}

  onChunk(_values: ReadonlyArray<unknown>): void {}

  onParked(): void {
    this.dispatcher.parked(this)
  }

  onExit(exit: Exit.Exit<unknown, SnakepitError>, pythonMicros: number | undefined): void {
    this.dispatcher.finished(this, exit, pythonMicros)
  }

  onDropped(): void {
    this.dispatcher.dropped(this)
  }

  /** Answers the caller now, unless that has been done. */
  answer(exit: Exit.Exit<unknown, SnakepitError>, pythonMicros?: number): void {
    if (this.answered) return
    this.answered = true
    if (this.deadline !== undefined) this.dispatcher.deadlines.cancel(this.deadline)
    this.deliver(exit, pythonMicros)
    this.deadline = undefined
  }

  /** Why the caller gets no result: its deadline has passed. */
  expired(mayHaveExecuted: boolean): CallTimeout {
    return new CallTimeout({ target: this.call.target, timeoutMillis: this.timeoutMillis ?? 0, mayHaveExecuted })
  }
}

/** A worker as the dispatcher sees it. */
export class Member {
  readonly worker: Worker
  private readonly asyncConcurrency: number
  private readonly maxAhead: number
  /** Calls that the worker has, in the order they were sent. */
  readonly inFlight = new Chain<Ticket>()
  /** Calls of sessions on this worker that wait for it. */
  readonly waiting = new Chain<Ticket>()
  /** How many of `inFlight` are on the worker's event loop. */
  parked = 0
  sessions = 0
  requests = 0
  errors = 0
  /** Takes no more calls: it ended, or is about to be replaced. */
  retired = false
  /** What calls of the worker were told about its crash. */
  crash: WorkerCrash | undefined = undefined
  /** How many calls may have run when it crashed: one of them is to blame. */
  suspects = 0
  /** The exception after which it is to be replaced, and whoever waits for one. */
  taint: string | undefined = undefined
  onTaint: ((reason: string) => void) | undefined = undefined
  /** Is about to be replaced: takes calls of the sessions it has, and no others. */
  retiring = false
  /** Mean time between two replies while busy, in milliseconds; starts high, so that a new worker is not trusted ahead. */
  pace = 10
  lastReplyAt = 0

  constructor(worker: Worker, options: PoolOptions) {
    this.worker = worker
    this.asyncConcurrency = options.asyncConcurrency
    // calls sent ahead wait as others do: a pool that lets none wait sends none ahead
    this.maxAhead = Math.min(maxAhead, options.maxQueue)
  }

  /** Calls on the worker's threads, running or sent ahead. */
  get load(): number {
    return this.inFlight.size - this.parked
  }

  get hasFreeSlot(): boolean {
    return this.isOpen && this.load < this.worker.concurrency && this.parked < this.asyncConcurrency
  }

  /** Whether one more call may be sent behind those that run: the worker is fast, and has not come to a stop just now. */
  mayRunAhead(now: number): boolean {
    const ahead = this.load - this.worker.concurrency
    return (
      this.isOpen &&
      ahead < this.maxAhead &&
      (ahead + 1) * this.pace < horizonMillis &&
      now - this.lastReplyAt < horizonMillis &&
      this.parked < this.asyncConcurrency
    )
  }

  get isOpen(): boolean {
    return !this.retired && this.worker.isOpen
  }

  /** Whether it is on the wanted device; see {@link isWithin}. */
  isOn(wanted: string | undefined): boolean {
    return isWithin(this.worker.device, wanted)
  }
}

/** Counters of a pool. */
export interface Counters {
  requests: number
  errors: number
  rejected: number
  timeouts: number
  /** Calls sent again after a crash during which they may have run. */
  retries: number
  /** Calls sent to another worker after a crash before they began. */
  moved: number
}

/** The engine. One per pool; not shared between event loops. */
export class Dispatcher {
  readonly options: PoolOptions
  readonly deadlines: Deadlines
  readonly members: Array<Member> = []
  readonly devices: Devices
  readonly counters: Counters = { requests: 0, errors: 0, rejected: 0, timeouts: 0, retries: 0, moved: 0 }
  /** Calls of no session that wait for a worker. */
  private readonly waiting = new Chain<Ticket>()
  /** Calls that wait for a certain worker, or for one on a certain device: apart, so that no other waits behind them. */
  private waitingApart = 0
  private readonly waitingPlaced = new Map<string, Chain<Ticket>>()
  private rescueTimer: ReturnType<typeof setTimeout> | undefined
  private queueTimer: ReturnType<typeof setTimeout> | undefined
  /** Calls that wait for their next try. */
  private readonly backingOff = new Set<Ticket>()
  private readonly poison: Poison
  private closed = false
  private onIdle: (() => void) | undefined
  private readonly arrivals = new Set<() => void>()
  /** Why there is no worker, when none could be started: callers fail with it at once. */
  outage: SnakepitError | undefined

  constructor(options: PoolOptions, deadlines: Deadlines, now: () => number = Date.now) {
    this.options = options
    this.deadlines = deadlines
    this.devices = new Devices(options.name, options.circuitBreaker, now)
    this.poison = new Poison(options.crashBarrier.poisonAfter)
  }

  get isClosed(): boolean {
    return this.closed
  }

  get queued(): number {
    return this.waiting.size + this.waitingApart
  }

  /** Every place where calls wait. */
  private get rooms(): ReadonlyArray<Chain<Ticket>> {
    return [this.waiting, ...this.waitingPlaced.values(), ...this.members.map((member) => member.waiting)]
  }

  get inFlight(): number {
    let sum = 0
    for (const member of this.members) sum += member.inFlight.size
    return sum
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Callers
  // -------------------------------------------------------------------------------------------------------------------

  /** Takes a call in. Settles it at once when it cannot be taken. */
  submit(ticket: Ticket): void {
    if (this.closed) return ticket.answer(Exit.fail(new PoolClosed({ pool: this.options.name })))
    this.counters.requests++
    if (ticket.timeoutMillis !== undefined) {
      ticket.deadline = this.deadlines.add(ticket.timeoutMillis, () => this.expire(ticket))
    }
    if (this.members.length === 0 && this.outage !== undefined) return this.refuse(ticket, this.outage)
    ticket.submittedAt = performance.now()
    if (!this.poison.isEmpty) {
      ticket.suspect = this.poison.suspect(ticket.call)
      const crashes = ticket.suspect === undefined ? undefined : this.poison.verdict(ticket.suspect)
      if (crashes !== undefined) {
        return this.refuse(ticket, new PoisonCall({ target: ticket.call.target, crashes, mayHaveExecuted: false }))
      }
    }
    this.place(ticket, ticket.submittedAt)
  }

  /** The caller is gone. Nothing is delivered any more; a running call is stopped. */
  abandon(ticket: Ticket): void {
    if (ticket.answered) return
    ticket.answered = true
    if (ticket.deadline !== undefined) this.deadlines.cancel(ticket.deadline)
    ticket.onAbandoned()
    this.report(ticket, undefined, true)
    this.stop(ticket)
  }

  private expire(ticket: Ticket): void {
    ticket.deadline = undefined
    if (ticket.answered) return
    this.counters.timeouts++
    this.counters.errors++
    if (ticket.member !== undefined) ticket.member.errors++
    const mayHaveExecuted = ticket.state !== "waiting" || ticket.trouble !== undefined
    this.report(ticket, "CallTimeout", false)
    this.stop(ticket)
    ticket.answer(Exit.fail(ticket.expired(mayHaveExecuted)))
  }

  private stop(ticket: Ticket): void {
    if (ticket.state === "waiting") {
      this.unqueue(ticket)
      ticket.state = "settled"
    } else if (ticket.state === "backoff") {
      this.backingOff.delete(ticket)
      ticket.state = "settled"
      ticket.trouble?.waiting?.interruptUnsafe()
    } else if (ticket.state === "sent" || ticket.state === "parked") {
      ticket.member?.worker.interrupt(ticket.number)
    }
  }

  /** Waits until a worker is up; fails at once when the pool is closed, or none can be started. */
  readonly someMember = (device?: string): Effect.Effect<void, SnakepitError> =>
    Effect.callback((resume) => {
      if (this.closed) return resume(Effect.fail(new PoolClosed({ pool: this.options.name })))
      const missing = this.missing(device)
      if (missing !== undefined) return resume(Effect.fail(missing))
      if (this.members.some((member) => member.isOpen && !member.retiring && member.isOn(device))) {
        return resume(Effect.void)
      }
      if (this.outage !== undefined) return resume(Effect.fail(this.outage))
      const wake = () => resume(this.someMember(device))
      this.arrivals.add(wake)
      return Effect.sync(() => this.arrivals.delete(wake))
    })

  /** Why no worker of this pool will ever serve the device. */
  private missing(device: string | undefined): DeviceNotInPool | undefined {
    const devices = this.devices.names
    if (device === undefined || devices.some((known) => isWithin(known, device))) return undefined
    return new DeviceNotInPool({ pool: this.options.name, device, devices })
  }

  /** Tells those who wait for a worker that something has changed. */
  private announce(): void {
    const waiting = [...this.arrivals]
    this.arrivals.clear()
    for (const wake of waiting) wake()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Placement
  // -------------------------------------------------------------------------------------------------------------------

  private place(ticket: Ticket, now: number): void {
    const pinned = ticket.pinned
    if (pinned !== undefined) {
      if (!pinned.isOpen) return this.refuse(ticket, lost(ticket, "its worker ended"))
      const open = this.devices.circuitOf(pinned.worker.device)
      if (open !== undefined) return this.refuse(ticket, open)
      if (pinned.hasFreeSlot) return this.send(pinned, ticket, now)
      if (this.options.affinity === "strictFailFast") {
        return this.refuse(ticket, new SessionBusy({ session: ticket.call.session ?? "", worker: pinned.worker.id }))
      }
      return pinned.mayRunAhead(now) ? this.send(pinned, ticket, now) : this.wait(ticket, now)
    }
    const wanted = ticket.call.device
    const member = this.choose(now, wanted)
    if (member !== undefined) return this.send(member, ticket, now)
    const missing = this.missing(wanted) ?? this.devices.outage(wanted)
    return missing === undefined ? this.wait(ticket, now) : this.refuse(ticket, missing)
  }

  /** The least loaded member with a free slot, else the fastest one that calls may be sent ahead to. */
  private choose(now: number, device: string | undefined): Member | undefined {
    let best: Member | undefined
    for (const member of this.members) {
      if (!this.mayTake(member, device)) continue
      if (member.hasFreeSlot && (best === undefined || member.load < best.load)) best = member
    }
    // A call that waits comes before this one, so running ahead is for an empty waiting room only.
    if (best !== undefined || this.waiting.size > 0) return best
    if (device !== undefined && (this.waitingPlaced.get(device)?.size ?? 0) > 0) return best
    for (const member of this.members) {
      if (!this.mayTake(member, device)) continue
      if (member.mayRunAhead(now) && (best === undefined || member.load * member.pace < best.load * best.pace))
        best = member
    }
    return best
  }

  /** Whether a member may be given calls of no session that want a device, or none. */
  private mayTake(member: Member, wanted: string | undefined): boolean {
    return !member.retiring && member.isOn(wanted) && !this.devices.refuses(member.worker.device, wanted)
  }

  private send(member: Member, ticket: Ticket, now: number): void {
    if (member.inFlight.size === member.parked) member.lastReplyAt = now
    let number: number
    try {
      number = member.worker.start(ticket)
    } catch (error) {
      // `start` throws `EncodeError` by contract, before anything was sent; anything else is a bug, and shown as one
      if (error instanceof EncodeError) return this.refuse(ticket, error)
      ticket.state = "settled"
      return ticket.answer(Exit.die(error))
    }
    ticket.member = member
    ticket.number = number
    ticket.state = "sent"
    ticket.sentAt = now
    ticket.admission = this.devices.admit(member.worker.device)
    member.inFlight.add(ticket)
    member.requests++
    if (member.load > member.worker.concurrency) this.armRescue()
  }

  private refuse(ticket: Ticket, error: SnakepitError): void {
    ticket.state = "settled"
    this.counters.errors++
    // a call that a crash cut off may have run, whatever keeps it from running again: its crash is the truth
    ticket.answer(Exit.fail(ticket.trouble?.last ?? error))
  }

  private wait(ticket: Ticket, now: number): void {
    // a call that was taken in once has its place, also when its worker gives it back
    if (ticket.sentAt === 0 && this.queued >= this.options.maxQueue) {
      this.counters.rejected++
      return this.refuse(
        ticket,
        new PoolSaturated({ pool: this.options.name, waiting: this.queued, limit: this.options.maxQueue })
      )
    }
    ticket.state = "waiting"
    const room = this.room(ticket)
    room.add(ticket)
    if (room !== this.waiting) this.waitingApart++
    if (this.waitsForItself(ticket)) this.deadlines.add(noticeMillis, () => this.refuseIfItWaitsForItself(ticket))
    if (this.queueTimer === undefined) {
      // a call that came back from a worker has used up some of its time
      const left = ticket.submittedAt + this.options.queueTimeout - now
      this.armQueueTimer(Math.min(Math.max(0, left), longestTimer))
    }
  }

  /** Whether all slots of the worker that a call waits for are held by calls that wait for it: callbacks of theirs make it. */
  private waitsForItself({ call, pinned }: Ticket): boolean {
    if (pinned === undefined) return false
    let held = 0
    let callback = Context.get(call.context, Callback.Current)
    while (callback !== undefined && !callback.isOver) {
      for (const other of pinned.inFlight) if (other.call === callback.call && other.state === "sent") held++
      callback = Context.get(callback.call.context, Callback.Current)
    }
    return held >= pinned.worker.concurrency
  }

  private refuseIfItWaitsForItself(ticket: Ticket): void {
    if (ticket.state !== "waiting" || !this.waitsForItself(ticket)) return
    this.unqueue(ticket)
    const { call, pinned } = ticket
    this.refuse(
      ticket,
      new SessionBusy({ session: call.session ?? "", worker: pinned?.worker.id ?? "", waitsForItself: true })
    )
  }

  private unqueue(ticket: Ticket): void {
    const room = this.room(ticket)
    if (room.delete(ticket) && room !== this.waiting) this.waitingApart--
  }

  /** Where a call waits. */
  private room({ call: { device }, pinned }: Ticket): Chain<Ticket> {
    if (pinned !== undefined) return pinned.waiting
    if (device === undefined) return this.waiting
    let room = this.waitingPlaced.get(device)
    if (room === undefined) {
      room = new Chain<Ticket>()
      this.waitingPlaced.set(device, room)
    }
    return room
  }

  /** The call of no session that waits longest for this member. */
  private longestWaiting(member: Member): Ticket | undefined {
    let longest = this.mayTake(member, undefined) ? this.waiting.head : undefined
    if (this.waitingApart === 0) return longest
    for (const [device, room] of this.waitingPlaced) {
      const head = room.head
      if (head === undefined || !this.mayTake(member, device)) continue
      if (longest === undefined || head.submittedAt < longest.submittedAt) longest = head
    }
    return longest
  }

  /** Gives a member with room the calls that waited longest, of its own sessions and of no session alike. */
  private feed(member: Member): void {
    const now = performance.now()
    while (this.queued > 0 && (member.hasFreeSlot || member.mayRunAhead(now))) {
      const own = member.waiting.head
      const any = this.longestWaiting(member)
      const next = own === undefined || (any !== undefined && any.submittedAt < own.submittedAt) ? any : own
      if (next === undefined) return
      this.unqueue(next)
      next.state = "new"
      this.send(member, next, now)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Workers
  // -------------------------------------------------------------------------------------------------------------------

  add(worker: Worker): Member {
    this.outage = undefined
    const member = new Member(worker, this.options)
    this.members.push(member)
    this.devices.add(worker.device)
    this.feed(member)
    this.rescue()
    this.announce()
    return member
  }

  /** Forgets a worker that ended. Its calls were settled by it; those of its sessions that wait are lost. */
  remove(member: Member): void {
    this.dismiss(member, "its worker ended")
    const index = this.members.indexOf(member)
    if (index >= 0) {
      this.members.splice(index, 1)
      this.devices.remove(member.worker.device)
      // where no other device is left, a tainted one has to do
      if (this.queued > 0) for (const other of this.members) this.feed(other)
    }
    this.checkIdle()
  }

  /** Tells the device of a call how it ended; when that opens its circuit and no other is left, nothing that waits can be served. */
  private report(ticket: Ticket, tag: string | undefined, ignored: boolean): void {
    const admission = ticket.admission
    if (admission === undefined) return
    ticket.admission = undefined
    if (!this.devices.settle(admission, tag, ignored)) return
    for (const [wanted, room] of [[undefined, this.waiting] as const, ...this.waitingPlaced]) {
      const outage = this.devices.outage(wanted)
      if (outage === undefined) continue
      for (const waiting of room) {
        this.unqueue(waiting)
        this.refuse(waiting, outage)
      }
    }
  }

  /** Gives a worker no more calls, of its sessions neither; those it has go on. */
  dismiss(member: Member, reason: string): void {
    member.retired = true
    for (const ticket of member.waiting) {
      this.unqueue(ticket)
      if (this.options.affinity === "hint") {
        // the session goes on elsewhere, and so does a call that waited
        ticket.pinned = undefined
        ticket.state = "new"
        this.place(ticket, performance.now())
      } else this.refuse(ticket, lost(ticket, reason))
    }
  }

  finished(ticket: Ticket, exit: Exit.Exit<unknown, SnakepitError>, pythonMicros: number | undefined): void {
    const member = ticket.member
    if (member === undefined || !member.inFlight.delete(ticket)) return
    const now = performance.now()
    const wasParked = ticket.state === "parked"
    if (wasParked) member.parked--
    else {
      // A long call counts as `ceiling`, so that a worker that has become fast again is soon trusted again.
      const ceiling = 10
      member.pace += (Math.min(now - member.lastReplyAt, ceiling) - member.pace) * 0.2
      member.lastReplyAt = now
    }
    ticket.state = "settled"
    if (ticket.admission !== undefined) {
      const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : undefined
      this.report(ticket, error?._tag === "Some" ? error.value._tag : undefined, false)
    }
    const outcome = Exit.isFailure(exit) ? this.failed(member, ticket, exit, wasParked) : exit
    if (ticket.suspect !== undefined && outcome === exit && member.crash === undefined)
      this.poison.forget(ticket.suspect)
    if (this.queued > 0) this.feed(member)
    else if (this.rescueTimer !== undefined && member.load === 0) this.rescue()
    if (outcome !== undefined) ticket.answer(outcome, pythonMicros)
    if (this.onIdle !== undefined) this.checkIdle()
  }

  /** What the caller of a failed call is told; `undefined` when the call is tried again. */
  private failed(
    member: Member,
    ticket: Ticket,
    exit: Exit.Failure<unknown, SnakepitError>,
    wasParked: boolean
  ): Exit.Exit<unknown, SnakepitError> | undefined {
    const error = Cause.findErrorOption(exit.cause)
    let outcome: Exit.Exit<unknown, SnakepitError> | undefined = exit
    if (error._tag === "Some" && this.options.crashBarrier.enabled) {
      if (error.value._tag === "WorkerCrash") outcome = this.crashed(member, ticket, error.value, exit, wasParked)
      else if ("mro" in error.value) this.taintAfter(member, error.value.mro)
    }
    if (outcome !== undefined && !ticket.answered) {
      member.errors++
      this.counters.errors++
    }
    return outcome
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Crash barrier
  // -------------------------------------------------------------------------------------------------------------------

  private crashed(
    member: Member,
    ticket: Ticket,
    crash: WorkerCrash,
    exit: Exit.Exit<unknown, SnakepitError>,
    wasParked: boolean
  ): Exit.Exit<unknown, SnakepitError> | undefined {
    if (member.crash === undefined) {
      member.crash = crash
      // this call, the first that the worker settles, has just left the list
      const running = member.load + (wasParked ? 0 : 1)
      member.suspects = Math.min(member.worker.concurrency, running) + member.parked + (wasParked ? 1 : 0)
    }
    // a call that nobody waits for is being stopped, and its worker killed for that: no fault of the call's
    if (ticket.answered || !crash.mayHaveExecuted) return exit
    const trouble = (ticket.trouble ??= { last: crash, marks: [], retries: 0, wait: undefined, waiting: undefined })
    trouble.last = crash
    // an end that nobody saw, since the fork server was gone too, is held against no call
    const isUnseen = crash.crash === "exit" && crash.exitCode === null && crash.signal === null
    if (!isUnseen && member.suspects === 1 && this.options.crashBarrier.markOn.includes(crash.crash)) {
      trouble.marks.push({ worker: crash.worker, crash: crash.crash, at: Date.now() })
      const crashes = this.poison.mark(ticket.call, trouble.marks)
      if (crashes.length >= this.options.crashBarrier.poisonAfter) {
        return Exit.fail(new PoisonCall({ target: ticket.call.target, crashes, mayHaveExecuted: true }))
      }
      ticket.suspect = this.poison.suspect(ticket.call)
    }
    const mayRetry =
      !this.closed &&
      CrashBarrier.allowsRetry(this.options.crashBarrier, {
        idempotent: ticket.call.idempotent,
        inSession: ticket.call.session !== undefined,
        hasDelivered: ticket.hasDelivered,
        retries: trouble.retries
      })
    if (!mayRetry) return exit
    this.backOff(ticket, trouble)
    return undefined
  }

  /** Places the call again after the next delay; the delay runs on the caller's clock. */
  private backOff(ticket: Ticket, trouble: Trouble): void {
    trouble.retries++
    ticket.state = "backoff"
    ticket.member = undefined
    ticket.recalling = false
    this.backingOff.add(ticket)
    const delay =
      trouble.wait === undefined
        ? Effect.flatMap(Schedule.toStepWithSleep(this.options.crashBarrier.backoff), (wait) => {
            trouble.wait = wait
            return wait(trouble.last)
          })
        : trouble.wait(trouble.last)
    trouble.waiting = Effect.runForkWith(ticket.call.context)(delay)
    trouble.waiting.addObserver((exit) => {
      // whoever stopped the wait has dealt with the call
      if (!this.backingOff.delete(ticket)) return
      if (Exit.isFailure(exit)) return this.refuse(ticket, trouble.last) // the schedule has ended
      if (this.members.length === 0 && this.outage !== undefined) return this.refuse(ticket, this.outage)
      this.counters.retries++
      ticket.state = "new"
      // its place in the waiting room is that of a call that comes now
      ticket.submittedAt = performance.now()
      this.place(ticket, ticket.submittedAt)
    })
  }

  private taintAfter(member: Member, mro: ReadonlyArray<string>): void {
    const tainting = this.options.crashBarrier.taintOnErrorTypes
    if (tainting.length === 0 || member.taint !== undefined) return
    const type = mro.find((name) => tainting.includes(name))
    if (type === undefined) return
    member.taint = `it is tainted by a ${type}`
    member.retiring = true
    this.recallAhead(member)
    member.onTaint?.(member.taint)
  }

  parked(ticket: Ticket): void {
    if (ticket.state !== "sent" || ticket.member === undefined) return
    ticket.state = "parked"
    ticket.member.parked++
    this.feed(ticket.member)
  }

  /** A call came back unbegun: it was recalled, or its caller left before it began. */
  dropped(ticket: Ticket): void {
    const member = ticket.member
    if (member === undefined || !member.inFlight.delete(ticket)) return
    ticket.member = undefined
    ticket.recalling = false
    this.report(ticket, undefined, true)
    if (ticket.answered) {
      ticket.state = "settled"
      if (this.queued > 0) this.feed(member)
      this.checkIdle()
    } else if (this.closed) {
      this.refuse(ticket, new PoolClosed({ pool: this.options.name }))
      this.checkIdle()
    } else {
      if (!member.worker.isOpen) this.counters.moved++
      ticket.state = "new"
      this.place(ticket, performance.now())
    }
  }

  /**
   * Takes calls back from workers whose running call turned out long: another worker may be free for them, and if none is,
   * they wait where a queue timeout finds them.
   */
  private rescue(): void {
    const now = performance.now()
    for (const member of this.members) {
      const concurrency = member.worker.concurrency
      if (member.load <= concurrency || now - member.lastReplyAt < horizonMillis) continue
      this.recallAhead(member)
    }
  }

  private recallAhead(member: Member): void {
    const numbers: Array<number> = []
    let position = 0
    for (const ticket of member.inFlight) {
      if (ticket.state !== "sent" || position++ < member.worker.concurrency) continue
      if (ticket.recalling) continue
      ticket.recalling = true
      numbers.push(ticket.number)
    }
    if (numbers.length > 0) member.worker.recall(numbers)
  }

  private armRescue(): void {
    if (this.rescueTimer !== undefined) return
    this.rescueTimer = setTimeout(() => {
      this.rescueTimer = undefined
      this.rescue()
      if (this.members.some((member) => member.load > member.worker.concurrency)) this.armRescue()
    }, horizonMillis)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Time and closing
  // -------------------------------------------------------------------------------------------------------------------

  private armQueueTimer(delay: number): void {
    this.queueTimer = setTimeout(() => {
      this.queueTimer = undefined
      const horizon = performance.now() - this.options.queueTimeout
      for (const room of this.rooms) {
        for (const ticket of room) {
          // Each room is in order of arrival, but for calls that came back from a worker: those keep their first time.
          if (ticket.submittedAt > horizon) continue
          this.unqueue(ticket)
          this.counters.timeouts++
          this.refuse(
            ticket,
            new QueueTimeout({
              pool: this.options.name,
              target: ticket.call.target,
              queueTimeoutMillis: this.options.queueTimeout,
              session: ticket.call.session
            })
          )
        }
      }
      if (this.queued > 0) this.armQueueTimer(Math.max(5, Math.min(this.options.queueTimeout / 20, 1000)))
    }, delay)
  }

  /** Fails the calls that wait, with the reason why no worker can serve them. */
  failWaiting(error: (ticket: Ticket) => SnakepitError): void {
    this.announce()
    for (const room of this.rooms) {
      for (const ticket of room) {
        this.unqueue(ticket)
        this.refuse(ticket, error(ticket))
      }
    }
  }

  /** Takes no more calls and fails those that wait; running ones go on. `onIdle` is called when none is left. */
  close(onIdle: () => void): void {
    this.closed = true
    clearTimeout(this.queueTimer)
    this.failWaiting(() => new PoolClosed({ pool: this.options.name }))
    for (const ticket of this.backingOff) {
      this.stop(ticket)
      this.refuse(ticket, new PoolClosed({ pool: this.options.name }))
    }
    this.onIdle = onIdle
    this.checkIdle()
  }

  /** Answers every call that is still running with `PoolClosed`, and stops it. */
  cutOff(): void {
    clearTimeout(this.rescueTimer)
    for (const member of this.members) {
      for (const ticket of member.inFlight) {
        if (ticket.answered) continue
        this.stop(ticket)
        ticket.answer(Exit.fail(new PoolClosed({ pool: this.options.name })))
      }
    }
  }

  private checkIdle(): void {
    if (this.onIdle === undefined || this.inFlight > 0) return
    const onIdle = this.onIdle
    this.onIdle = undefined
    clearTimeout(this.rescueTimer)
    onIdle()
  }
}

const lost = (ticket: Ticket, reason: string): SessionLost =>
  new SessionLost({ session: ticket.call.session ?? "", reason, mayHaveExecuted: false })
