/**
 * When a worker that ended is replaced: the crashes of a pool within a window, and the delay before the next start.
 */
const firstDelayMillis = 100
const ceilingMillis = 5_000

export class Restarts {
  private readonly max: number
  private readonly windowMillis: number
  /** When workers crashed, oldest first, in the time of `performance.now()`. */
  private readonly crashes: Array<number> = []

  constructor(max: number, windowMillis: number) {
    this.max = max
    this.windowMillis = windowMillis
  }

  /** A worker crashed. */
  crashed(): void {
    this.crashes.push(performance.now())
    // more than these say nothing new, and a storm must not fill the memory
    if (this.crashes.length > this.max + 1) this.crashes.shift()
  }

  /** Whether workers crash more often than the pool allows. */
  get tooMany(): boolean {
    return this.recent > this.max
  }

  get summary(): { readonly crashes: number; readonly windowMillis: number } {
    return { crashes: this.recent, windowMillis: this.windowMillis }
  }

  /** Milliseconds to wait before a start, after so many in a row that came to nothing; 80 % to 120 % of the nominal. */
  delay(failures: number): number {
    const nominal = this.tooMany
      ? ceilingMillis
      : failures === 0
        ? 0
        : Math.min(ceilingMillis, firstDelayMillis * 2 ** (failures - 1))
    return nominal * (0.8 + 0.4 * Math.random())
  }

  private get recent(): number {
    const horizon = performance.now() - this.windowMillis
    while (this.crashes.length > 0 && (this.crashes[0] ?? 0) < horizon) this.crashes.shift()
    return this.crashes.length
  }
}
