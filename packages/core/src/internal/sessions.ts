/**
 * Which session stands on which worker. A session binds its calls to the worker that holds its Python objects; when that
 * worker ends, or nobody calls for the idle timeout, the session is lost, and so are its objects.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { PoolOptions } from "../PoolConfig.ts"
import { QueueTimeout, SessionLimit, SessionLost, type SnakepitError } from "../SnakepitError.ts"
import type { ToolRegistration } from "../Worker.ts"
import type { Dispatcher, Member, Ticket } from "./dispatcher.ts"

/** One open session. */
export interface Placement {
  readonly id: string
  /** Its worker; changes only under the affinity `hint`. */
  member: Member
  /** All workers that it has been on: they may hold objects of it. */
  readonly members: Set<Member>
  lastUsed: number
  readonly tools: ReadonlyArray<ToolRegistration>
  /** Why it serves no calls any more. */
  lost: string | undefined
}

export class Sessions {
  private readonly options: PoolOptions
  private readonly dispatcher: Dispatcher
  private readonly placements = new Map<string, Placement>()

  constructor(options: PoolOptions, dispatcher: Dispatcher) {
    this.options = options
    this.dispatcher = dispatcher
  }

  get size(): number {
    return this.placements.size
  }

  open(tools: ReadonlyArray<ToolRegistration>): Effect.Effect<Placement, SnakepitError> {
    if (this.placements.size >= this.options.maxSessions) {
      return Effect.fail(new SessionLimit({ pool: this.options.name, limit: this.options.maxSessions }))
    }
    const member = this.leastUsed()
    if (member === undefined) return this.openLater(tools)
    // Session ids are capabilities: whoever knows one reaches its objects, so they cannot be guessed.
    const placement: Placement = {
      id: crypto.randomUUID(),
      member,
      members: new Set(),
      lastUsed: Date.now(),
      tools,
      lost: undefined
    }
    this.bind(placement, member)
    this.placements.set(placement.id, placement)
    return Effect.succeed(placement)
  }

  /** No worker is up at this moment: waits for one as a call would. */
  private openLater(tools: ReadonlyArray<ToolRegistration>): Effect.Effect<Placement, SnakepitError> {
    const { name, queueTimeout } = this.options
    return this.dispatcher.someMember.pipe(
      Effect.timeoutOrElse({
        duration: queueTimeout,
        orElse: () =>
          Effect.fail(new QueueTimeout({ pool: name, target: "opening a session", queueTimeoutMillis: queueTimeout }))
      }),
      Effect.flatMap(() => this.open(tools))
    )
  }

  /** Submits a call of a session to the session's worker. */
  submit(placement: Placement, ticket: Ticket): void {
    placement.lastUsed = Date.now()
    if (placement.lost !== undefined) {
      ticket.answer(
        Exit.fail(new SessionLost({ session: placement.id, reason: placement.lost, mayHaveExecuted: false }))
      )
      return
    }
    if (this.options.affinity === "hint" && !placement.member.hasFreeSlot) {
      const other = this.leastUsed()
      if (other !== undefined && other.hasFreeSlot) {
        placement.member.sessions--
        this.bind(placement, other)
      }
    }
    ticket.pinned = placement.member
    this.dispatcher.submit(ticket)
  }

  close(placement: Placement, reason = "it is closed"): void {
    if (!this.placements.delete(placement.id)) return
    placement.lost = reason
    placement.member.sessions--
    for (const member of placement.members) if (member.isOpen) member.worker.release(placement.id)
  }

  /** The worker ended, or leaves: its sessions are lost, unless they only hinted at it. */
  lose(member: Member, reason = "its worker ended, and its objects with it"): void {
    for (const placement of [...this.placements.values()]) {
      if (placement.member !== member) continue
      const other = this.options.affinity === "hint" ? this.leastUsed(member) : undefined
      if (other === undefined) this.close(placement, reason)
      else this.bind(placement, other)
    }
  }

  /** Closes sessions that nobody has called for the idle timeout. */
  readonly expire: Effect.Effect<never> = Effect.suspend(() => {
    const horizon = Date.now() - this.options.sessionIdleTimeout
    const busy = this.busy()
    for (const placement of [...this.placements.values()]) {
      if (busy.has(placement.id)) placement.lastUsed = Date.now()
      else if (placement.lastUsed <= horizon) {
        this.close(placement, `nobody called it for ${this.options.sessionIdleTimeout} ms, its idle timeout`)
      }
    }
    return Effect.sleep(Math.min(30_000, Math.max(10, this.options.sessionIdleTimeout / 4)))
  }).pipe(Effect.forever)

  /** Sessions that have a call, running or waiting. */
  private busy(): ReadonlySet<string | undefined> {
    const ids = new Set<string | undefined>()
    for (const member of this.dispatcher.members) {
      for (const ticket of member.inFlight) ids.add(ticket.call.session)
      for (const ticket of member.waiting) ids.add(ticket.call.session)
    }
    return ids
  }

  private bind(placement: Placement, member: Member): void {
    placement.member = member
    placement.members.add(member)
    member.sessions++
    if (placement.tools.length > 0) member.worker.registerTools(placement.tools, placement.id)
  }

  private leastUsed(except?: Member): Member | undefined {
    let best: Member | undefined
    for (const member of this.dispatcher.members) {
      if (!member.isOpen || member.retiring || member === except) continue
      if (
        best === undefined ||
        member.sessions < best.sessions ||
        (member.sessions === best.sessions && member.load < best.load)
      )
        best = member
    }
    return best
  }
}
