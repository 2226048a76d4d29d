/**
 * Deadlines of many calls on one timer. `Effect.timeout` costs two fibers and a timer for each call; here a deadline is one
 * entry in a set, and a sweep every `granularityMillis` fires those that have passed. A deadline never fires early, and
 * at most `granularityMillis` late while the event loop is free.
 */
const granularityMillis = 5

/** One armed deadline. */
export interface Deadline {
  readonly at: number
  readonly fire: () => void
}

export class Deadlines {
  private readonly armed = new Set<Deadline>()
  private timer: ReturnType<typeof setInterval> | undefined

  add(millis: number, fire: () => void): Deadline {
    const deadline = { at: performance.now() + millis, fire }
    this.armed.add(deadline)
    this.timer ??= setInterval(() => this.sweep(), granularityMillis)
    return deadline
  }

  cancel(deadline: Deadline): void {
    this.armed.delete(deadline)
  }

  private sweep(): void {
    const now = performance.now()
    for (const deadline of this.armed) {
      if (deadline.at > now) continue
      this.armed.delete(deadline)
      deadline.fire()
    }
    if (this.armed.size > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }
}
