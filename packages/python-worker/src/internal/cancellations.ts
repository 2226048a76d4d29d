/**
 * The cancellation ladder: what is done about calls that were told to stop and have not. Each rung is climbed when the one
 * before has not ended the call in its time.
 */

/** How long each rung is given, in milliseconds. */
export interface Ladder {
  /** After the worker was told: time for code that asks `snakepit_worker.cancelled()`. */
  readonly cooperative: number
  /** After `CallCancelled` was raised in the running code. */
  readonly raised: number
  /** After SIGTERM, before SIGKILL. */
  readonly terminated: number
}

/** How far the ladder was climbed: the worker was told, `CallCancelled` was raised, SIGTERM, SIGKILL. */
export type Rung = "told" | "raised" | "terminated" | "killed"

/** What a rung does. */
export interface Rungs {
  readonly raise: (call: number) => void
  /** Ends the process, whether or not the call ends after all. */
  readonly terminate: (call: number) => void
  /** Hears of each rung that is climbed, before it does anything. */
  readonly onRung: (rung: Rung, call: number) => void
}

export class Cancellations {
  private readonly ladder: Ladder
  private readonly rungs: Rungs
  private readonly timers = new Map<number, ReturnType<typeof setTimeout>>()

  constructor(ladder: Ladder, rungs: Rungs) {
    this.ladder = ladder
    this.rungs = rungs
  }

  has(call: number): boolean {
    return this.timers.has(call)
  }

  /** The worker has just been told that the call is to stop. */
  begin(call: number): void {
    const { cooperative, raised } = this.ladder
    this.rungs.onRung("told", call)
    this.after(call, cooperative, () => {
      this.rungs.onRung("raised", call)
      this.raise(call, raised)
    })
  }

  /** The call has stopped. */
  end(call: number): void {
    // nearly every call ends without having been cancelled
    if (this.timers.size === 0) return
    clearTimeout(this.timers.get(call))
    this.timers.delete(call)
  }

  // Asked for again and again: the worker raises it once, but not inside an import or while it sends a frame, and another time
  // when Python has dropped it, as it does in destructors. Code that catches it and goes on is not asked twice.
  private raise(call: number, left: number): void {
    this.rungs.raise(call)
    if (left > raiseAgainMillis) this.after(call, raiseAgainMillis, () => this.raise(call, left - raiseAgainMillis))
    else this.after(call, left, () => this.rungs.terminate(call))
  }

  private after(call: number, delay: number, climb: () => void): void {
    this.timers.set(call, setTimeout(climb, delay))
  }
}

const raiseAgainMillis = 100
