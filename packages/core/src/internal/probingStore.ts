/**
 * The state of one circuit, with several probes: a store for `effect/persistence/CircuitBreaker`. Effect's memory store admits one
 * probe at a time and closes after its success; here up to `probes` run at once, and `successes` of them close the circuit.
 *
 * A generation is one stay in one state: outcomes of calls that an earlier stay admitted change nothing.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import {
  type Admission,
  CircuitBreakerError,
  type CircuitBreakerStore,
  CircuitHalfOpen,
  CircuitOpen,
  type State,
  type Transition
} from "effect/persistence/CircuitBreaker"

type Record = Parameters<CircuitBreakerStore["Service"]["record"]>[0]

type StateName = "Closed" | "Open" | "HalfOpen"

type Change =
  | { readonly from: "HalfOpen"; readonly to: "Closed" }
  | { readonly from: "Closed" | "HalfOpen"; readonly to: "Open" }

/** A call that was let through. */
interface Admitted {
  readonly generation: number
  readonly probe: boolean
  /** It is the first probe since the circuit opened. */
  readonly began: boolean
}

export class ProbingStore {
  private readonly probes: number
  private readonly successes: number
  private current: StateName = "Closed"
  private generation = 0
  /** Failures in a row, while closed. */
  private streak = 0
  private openUntil = 0
  private openings = 0
  /** Probes that run, and those that succeeded, while half open. */
  private probing = 0
  private succeeded = 0

  constructor(probes: number, successes: number) {
    this.probes = probes
    this.successes = successes
  }

  /** Milliseconds until a probe is let through. */
  remaining(now: number): number {
    return this.current === "Open" ? Math.max(0, this.openUntil - now) : 0
  }

  standing(now: number): "closed" | "open" | "halfOpen" {
    if (this.current === "Closed") return "closed"
    return this.remaining(now) > 0 ? "open" : "halfOpen"
  }

  /** Whether a call would be let through. */
  admits(now: number): boolean {
    return (
      this.current === "Closed" ||
      (this.remaining(now) === 0 && (this.current === "Open" || this.probing < this.probes))
    )
  }

  /** Lets a call through, or says why not. */
  begin(now: number): Admitted | "Open" | "HalfOpen" {
    let began = false
    if (this.current === "Open") {
      if (this.remaining(now) > 0) return "Open"
      this.enter("HalfOpen")
      began = true
    }
    const probe = this.current === "HalfOpen"
    if (probe) {
      if (this.probing >= this.probes) return "HalfOpen"
      this.probing++
    }
    return { generation: this.generation, probe, began }
  }

  /** A call that was let through has ended. */
  end(
    generation: number,
    outcome: Record["outcome"],
    now: number,
    failures: number,
    openMillis: number
  ): Change | undefined {
    if (generation !== this.generation) return undefined
    const from = this.current
    if (from === "HalfOpen") this.probing--
    if (outcome === "Ignored" || from === "Open") return undefined
    if (outcome === "Success") {
      this.streak = 0
      if (from !== "HalfOpen" || ++this.succeeded < this.successes) return undefined
      this.openings = 0
      this.enter("Closed")
      return { from, to: "Closed" }
    }
    this.streak++
    if (from === "Closed" && this.streak < failures) return undefined
    this.openings++
    this.openUntil = now + openMillis
    this.enter("Open")
    return { from, to: "Open" }
  }

  readonly admit = (key: string): Effect.Effect<Admission, CircuitBreakerError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const admitted = this.begin(now)
      if (admitted === "Open") {
        const reason = new CircuitOpen({ key, retryAfter: Duration.millis(this.remaining(now)) })
        return Effect.fail(new CircuitBreakerError({ reason }))
      }
      if (admitted === "HalfOpen") {
        return Effect.fail(new CircuitBreakerError({ reason: new CircuitHalfOpen({ key }) }))
      }
      const transition: Transition | undefined = admitted.began ? { key, from: "Open", to: "HalfOpen" } : undefined
      const { generation, probe } = admitted
      return Effect.succeed({ generation, probe, consecutiveOpenings: this.openings, transition })
    })

  readonly record = ({
    generation,
    key,
    openFor,
    outcome,
    tripPolicy
  }: Record): Effect.Effect<Transition | undefined> =>
    Effect.map(Clock.currentTimeMillis, (now): Transition | undefined => {
      const failures = tripPolicy._tag === "Consecutive" ? tripPolicy.failures : 1
      const change = this.end(generation, outcome, now, failures, Duration.toMillis(openFor))
      if (change === undefined) return undefined
      if (change.to !== "Open") return { key, ...change }
      return { key, ...change, retryAfter: openFor, consecutiveOpenings: this.openings }
    })

  readonly state = (key: string): Effect.Effect<State> =>
    Effect.map(Clock.currentTimeMillis, (now): State => {
      const consecutiveOpenings = this.openings
      switch (this.current) {
        case "Closed":
          return { _tag: "Closed", key }
        case "Open":
          return { _tag: "Open", key, retryAfter: Duration.millis(this.remaining(now)), consecutiveOpenings }
        case "HalfOpen":
          return { _tag: "HalfOpen", key, probing: this.probing > 0, consecutiveOpenings }
      }
    })

  private enter(state: StateName): void {
    this.current = state
    this.generation++
    this.streak = 0
    this.probing = 0
    this.succeeded = 0
  }
}
