/**
 * One way of asking Python for `math.sqrt`, ready to be timed: the floor, Snakepit, or a peer.
 *
 * Every subject gets the same arguments and every answer is checked, so that none is fast by being wrong.
 */
export interface Subject extends AsyncDisposable {
  readonly name: string
  /** Fills `micros` with the times of as many calls, made one after the other, in microseconds. */
  readonly oneByOne: (micros: Float64Array) => Promise<void>
  /** Makes `calls` calls with `concurrency` callers, each waiting for its own reply; answers calls per second. */
  readonly inFlight: (calls: number, concurrency: number) => Promise<number>
}

/** A subject around a function that answers a promise. */
export const fromCall = (
  name: string,
  call: (x: number) => Promise<number>,
  close: () => Promise<void> | void
): Subject => ({
  name,
  oneByOne: async (micros) => {
    for (let i = 0; i < micros.length; i++) {
      const x = argument(i)
      const start = performance.now()
      const answer = await call(x)
      micros[i] = (performance.now() - start) * 1000
      check(x, answer)
    }
  },
  inFlight: async (calls, concurrency) => {
    let next = 0
    const caller = async (): Promise<void> => {
      while (next < calls) {
        const x = argument(next++)
        check(x, await call(x))
      }
    }
    const start = performance.now()
    await Promise.all(Array.from({ length: concurrency }, caller))
    return (calls / (performance.now() - start)) * 1000
  },
  [Symbol.asyncDispose]: async () => {
    await close()
  }
})

/** The argument of the i-th call. Integers whose roots mostly are not, so that text protocols carry all the digits. */
export const argument = (i: number): number => i % 1000

/** Throws unless `answer` is the square root of `x`, exactly: IEEE 754 defines it to the last bit. */
export const check = (x: number, answer: number): void => {
  if (answer !== Math.sqrt(x)) throw new Error(`math.sqrt(${x}): expected ${Math.sqrt(x)}, got ${answer}`)
}
