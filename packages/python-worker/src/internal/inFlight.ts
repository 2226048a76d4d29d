/**
 * The calls a worker has, by number. Numbers only grow, so none is used twice; they are given out so that each falls on a
 * free place of a ring, which makes finding a call one array access, however long some calls run. (`chain.ts` in core says
 * why this is not a `Map`.)
 */
export class InFlight<A> {
  size = 0
  private places: Array<A | undefined>
  private numbers: Float64Array
  private last = 0

  constructor(capacity = 512) {
    this.places = Array.from({ length: capacity }, () => undefined)
    this.numbers = new Float64Array(capacity)
  }

  /** A new number. */
  reserve(): number {
    if (this.size * 2 >= this.places.length) this.grow()
    const mask = this.places.length - 1
    do this.last++
    while (this.places[this.last & mask] !== undefined)
    return this.last
  }

  /** Files a call under a number that was just reserved. */
  set(number: number, call: A): void {
    const place = this.placeOf(number)
    this.places[place] = call
    this.numbers[place] = number
    this.size++
  }

  get(number: number): A | undefined {
    const place = this.placeOf(number)
    return this.numbers[place] === number ? this.places[place] : undefined
  }

  /** Takes a call out, and answers it. */
  take(number: number): A | undefined {
    const place = this.placeOf(number)
    const call = this.places[place]
    if (call === undefined || this.numbers[place] !== number) return undefined
    this.places[place] = undefined
    this.size--
    return call
  }

  /** All calls with their numbers, in the order they were sent. */
  entries(): ReadonlyArray<readonly [number, A]> {
    const entries: Array<readonly [number, A]> = []
    for (const [place, call] of this.places.entries()) {
      if (call !== undefined) entries.push([this.numbers[place] ?? 0, call])
    }
    return entries.sort(([a], [b]) => a - b)
  }

  // the mask is applied to the low 32 bits, where consecutive numbers still differ
  private placeOf(number: number): number {
    return number & (this.places.length - 1)
  }

  private grow(): void {
    const entries = this.entries()
    const capacity = this.places.length * 2
    this.places = Array.from({ length: capacity }, () => undefined)
    this.numbers = new Float64Array(capacity)
    this.size = 0
    for (const [number, call] of entries) this.set(number, call)
  }
}
