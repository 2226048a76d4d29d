/**
 * Whether a worker still answers: a ping now and then on its control channel, which a thread of its own serves. A worker
 * that is busy in Python, or in native code that lets other threads run, answers all the same.
 */

/** Times in milliseconds. */
export interface HeartbeatOptions {
  /** Between two pings. */
  readonly interval: number
  /** How long one may stay without an answer. */
  readonly timeout: number
  /** How many looks in a row, one per interval, have to find an answer overdue. */
  readonly misses: number
}

export class Heartbeat {
  private readonly options: HeartbeatOptions
  private readonly ping: (onPong: () => void) => void
  private readonly onSilent: (millis: number) => void
  private readonly timer: ReturnType<typeof setInterval>
  /** When the pings were sent that wait for an answer, oldest first. Answers come in the same order. */
  private readonly waiting: Array<number> = []
  private lookedAt = performance.now()
  private missed = 0

  /** `ping` sends one, and calls back with the answer; `onSilent` is called once, with the time since the last sign of life. */
  constructor(options: HeartbeatOptions, ping: (onPong: () => void) => void, onSilent: (millis: number) => void) {
    this.options = options
    this.ping = ping
    this.onSilent = onSilent
    this.timer = setInterval(() => this.look(), options.interval)
    this.timer.unref()
  }

  stop(): void {
    clearInterval(this.timer)
  }

  private look(): void {
    const { interval, misses, timeout } = this.options
    const now = performance.now()
    // When this process itself stood still, answers may lie unread: timers come before sockets when it goes on.
    const stoodStill = now - this.lookedAt > 2 * interval + 100
    this.lookedAt = now
    const oldest = this.waiting[0]
    if (!stoodStill && oldest !== undefined && now - oldest >= timeout) {
      if (++this.missed >= misses) {
        this.stop()
        return this.onSilent(now - oldest)
      }
    }
    this.waiting.push(now)
    this.ping(() => {
      this.waiting.shift()
      this.missed = 0
    })
  }
}
