/** Random numbers that a seed repeats (mulberry32, by Tommy Ettinger, public domain). */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed >>> 0
  }

  /** In [0, 1). */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let t = this.state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000
  }

  /** In [from, to). */
  between(from: number, to: number): number {
    return from + this.next() * (to - from)
  }

  /** One of the items, each as often as its weight says. */
  weighted<A extends { readonly weight: number }>(items: ReadonlyArray<A>): A {
    let left = this.next() * items.reduce((sum, { weight }) => sum + weight, 0)
    for (const item of items) if ((left -= item.weight) < 0) return item
    throw new RangeError("expected at least one item with a weight above 0")
  }
}
