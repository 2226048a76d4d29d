/** A worker that does what a test tells it to, and tickets that remember what they were told. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { sampleCall } from "../../../../test/sampleCall.ts"
import { Deadlines } from "../../src/internal/deadlines.ts"
import { Dispatcher, type Member, Ticket } from "../../src/internal/dispatcher.ts"
import * as PoolConfig from "../../src/PoolConfig.ts"
import { EncodeError, type SnakepitError, WorkerCrash } from "../../src/SnakepitError.ts"
import type { CallObserver, ToolRegistration, Worker, WorkerEnd } from "../../src/Worker.ts"

const defaults = Effect.runSync(PoolConfig.resolve("test", { size: 1 }))

export const poolOptions = (changes: Partial<PoolConfig.PoolOptions> = {}): PoolConfig.PoolOptions => ({
  ...defaults,
  ...changes
})

/** A ticket that writes down its outcomes: there may be one, and no more. */
export class TestTicket extends Ticket {
  readonly outcomes: Array<Exit.Exit<unknown, SnakepitError>> = []
  abandoned = false

  override deliver(exit: Exit.Exit<unknown, SnakepitError>): void {
    this.outcomes.push(exit)
  }

  /** The tag of the failure, `Success`, `Interrupt`, or undefined while there is no outcome. */
  get outcome(): string | undefined {
    const [exit] = this.outcomes
    if (exit === undefined) return undefined
    if (exit._tag === "Success") return "Success"
    const [reason] = exit.cause.reasons
    return reason?._tag === "Fail" ? reason.error._tag : reason?._tag
  }

  /** What it failed with. */
  get error(): SnakepitError | undefined {
    const [exit] = this.outcomes
    const [reason] = exit?._tag === "Failure" ? exit.cause.reasons : []
    return reason?._tag === "Fail" ? reason.error : undefined
  }
}

/** A worker without a mind of its own. Like a process, it never answers inside a call of the pool. */
export class ScriptedWorker implements Worker {
  readonly id: string
  readonly pid = undefined
  readonly device: string | undefined
  readonly concurrency: number
  isOpen = true
  readonly ended = Effect.never as Effect.Effect<WorkerEnd>
  /** Calls it has, in the order they were sent. */
  readonly calls = new Map<number, CallObserver>()
  readonly parkedCalls = new Set<number>()
  readonly interrupted: Array<number> = []
  readonly recalled: Array<number> = []
  readonly acked: Array<number> = []
  readonly released: Array<readonly [string, ReadonlyArray<number> | undefined]> = []
  readonly registered: Array<readonly [ReadonlyArray<string>, string | undefined]> = []
  /** Targets that it refuses to encode. */
  refuses = ""
  private lastNumber = 0

  constructor(id: string, concurrency = 1, device?: string) {
    this.id = id
    this.device = device
    this.concurrency = concurrency
  }

  start(observer: CallObserver): number {
    if (observer.call.target === this.refuses) {
      throw new EncodeError({ path: "args[0]", actual: "a symbol", reason: "It cannot." })
    }
    this.calls.set(++this.lastNumber, observer)
    return this.lastNumber
  }

  interrupt(call: number): void {
    if (this.calls.has(call)) this.interrupted.push(call)
  }

  recall(calls: ReadonlyArray<number>): void {
    this.recalled.push(...calls)
  }

  ack(call: number): void {
    this.acked.push(call)
  }

  release(session: string, refs?: ReadonlyArray<number>): void {
    this.released.push([session, refs])
  }

  registerTools(tools: ReadonlyArray<ToolRegistration>, session?: string): void {
    this.registered.push([tools.map((tool) => tool.name), session])
  }

  // What tests make it do

  get targets(): ReadonlyArray<string> {
    return [...this.calls.values()].map((observer) => observer.call.target)
  }

  /** Numbers of the calls that have begun, parked ones included. */
  get begun(): ReadonlyArray<number> {
    let free = this.concurrency
    return [...this.calls.keys()].filter((number) => this.parkedCalls.has(number) || free-- > 0)
  }

  reply(number = this.begun[0], exit: Exit.Exit<unknown, SnakepitError> = Exit.succeed(null)): void {
    this.take(number)?.onExit(exit, undefined)
  }

  park(number = this.begun.find((begun) => !this.parkedCalls.has(begun))): void {
    if (number === undefined) return
    this.parkedCalls.add(number)
    this.calls.get(number)?.onParked()
  }

  drop(number: number): void {
    this.take(number)?.onDropped()
  }

  /** Does what was asked of it by `interrupt`. */
  stopInterrupted(): void {
    for (const number of this.interrupted.splice(0)) {
      if (this.begun.includes(number)) this.reply(number, Exit.failCause(Cause.interrupt()))
      else this.drop(number)
    }
  }

  /** Does what was asked of it by `recall`: calls that have begun stay. */
  dropRecalled(): void {
    const begun = this.begun
    for (const number of this.recalled.splice(0)) if (!begun.includes(number)) this.drop(number)
  }

  /** Settles what it has, as a worker does that dies. */
  die(): void {
    this.isOpen = false
    const begun = this.begun
    for (const number of [...this.calls.keys()]) {
      if (begun.includes(number)) this.reply(number, Exit.fail(crashOf(this.id)))
      else this.drop(number)
    }
  }

  private take(number: number | undefined): CallObserver | undefined {
    if (number === undefined) return undefined
    const observer = this.calls.get(number)
    this.calls.delete(number)
    this.parkedCalls.delete(number)
    return observer
  }
}

const crashOf = (worker: string): WorkerCrash =>
  new WorkerCrash({
    pool: "test",
    worker,
    crash: "segfault",
    exitCode: null,
    signal: "SIGSEGV",
    stderr: [],
    inFlight: [],
    mayHaveExecuted: true
  })

/** A dispatcher with scripted workers. */
export class Harness {
  readonly dispatcher: Dispatcher
  readonly tickets: Array<TestTicket> = []
  private spawned = 0

  constructor(options: Partial<PoolConfig.PoolOptions> = {}) {
    this.dispatcher = new Dispatcher(poolOptions(options), new Deadlines())
  }

  add(concurrency = 1, device?: string): { readonly worker: ScriptedWorker; readonly member: Member } {
    const worker = new ScriptedWorker(`w${++this.spawned}`, concurrency, device)
    return { worker, member: this.dispatcher.add(worker) }
  }

  /** A worker whose recent calls were so short that others may be sent ahead. */
  addFast(): { readonly worker: ScriptedWorker; readonly member: Member } {
    const added = this.add()
    added.member.pace = 0.01
    return added
  }

  submit(
    target: string,
    { device, pinned, session, timeout }: { device?: string; pinned?: Member; session?: string; timeout?: number } = {}
  ): TestTicket {
    const ticket = new TestTicket(this.dispatcher, sampleCall(target, { session, device }), timeout)
    ticket.pinned = pinned
    this.tickets.push(ticket)
    this.dispatcher.submit(ticket)
    return ticket
  }

  abandon(ticket: TestTicket): void {
    if (ticket.outcomes.length === 0) ticket.abandoned = true
    this.dispatcher.abandon(ticket)
  }
}
