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

export class ProbingStore {
  private readonly probes: number
  private readonly successes: number
  private current: "Closed" | "Open" | "HalfOpen" = "Closed"
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

  readonly admit = (key: string): Effect.Effect<Admission, CircuitBreakerError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      let transition: Transition | undefined
      if (this.current === "Open") {
        const remaining = this.remaining(now)
        if (remaining > 0) {
          const reason = new CircuitOpen({ key, retryAfter: Duration.millis(remaining) })
          return Effect.fail(new CircuitBreakerError({ reason }))
        }
        this.enter("HalfOpen")
        transition = { key, from: "Open", to: "HalfOpen" }
      }
      const probe = this.current === "HalfOpen"
      if (probe) {
        if (this.probing >= this.probes) {
          return Effect.fail(new CircuitBreakerError({ reason: new CircuitHalfOpen({ key }) }))
        }
        this.probing++
      }
      return Effect.succeed({ generation: this.generation, probe, consecutiveOpenings: this.openings, transition })
    })

  readonly record = ({
    generation,
    key,
    openFor,
    outcome,
    tripPolicy
  }: Record): Effect.Effect<Transition | undefined> =>
    Effect.map(Clock.currentTimeMillis, (now): Transition | undefined => {
      if (generation !== this.generation) return undefined
      const from = this.current
      if (from === "HalfOpen") this.probing--
      if (outcome === "Ignored" || from === "Open") return undefined
      if (outcome === "Success") {
        this.streak = 0
        if (from !== "HalfOpen" || ++this.succeeded < this.successes) return undefined
        this.openings = 0
        this.enter("Closed")
        return { key, from, to: "Closed" }
      }
      this.streak++
      if (from === "Closed" && tripPolicy._tag === "Consecutive" && this.streak < tripPolicy.failures) return undefined
      this.openings++
      this.openUntil = now + Duration.toMillis(openFor)
      this.enter("Open")
      return { key, from, to: "Open", retryAfter: openFor, consecutiveOpenings: this.openings }
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

  private enter(state: "Closed" | "Open" | "HalfOpen"): void {
    this.current = state
    this.generation++
    this.streak = 0
    this.probing = 0
    this.succeeded = 0
  }
}
