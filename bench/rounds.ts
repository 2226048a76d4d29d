/**
 * Comparing in rounds. On a shared machine absolute times drift by the minute, so two things are compared only by
 * taking turns within one run: a ratio is formed per round, and the median of the rounds' ratios is reported.
 */

/**
 * Runs every turn once per round. Odd rounds run them backwards, so that coming after the other favours neither.
 */
export const interleave = async (
  rounds: number,
  turns: ReadonlyArray<(round: number) => Promise<void>>
): Promise<void> => {
  for (let round = 0; round < rounds; round++) {
    for (const turn of round % 2 === 0 ? turns : turns.toReversed()) await turn(round)
  }
}

/** The value below which the fraction `p` of `values` lies (nearest rank). Throws when there are none. */
export const percentile = (values: Iterable<number>, p: number): number => {
  const sorted = Float64Array.from(values).sort()
  const value = sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)]
  if (value === undefined) throw new RangeError("a percentile needs at least one value, got none")
  return value
}

export const median = (values: Iterable<number>): number => percentile(values, 0.5)

/** Times of all rounds of one subject, in microseconds. */
export class Times {
  readonly rounds: Array<Float64Array> = []

  /** Runs `measure` over a new round of `calls` samples and keeps it. */
  async round(calls: number, measure: (micros: Float64Array) => Promise<void>): Promise<void> {
    const micros = new Float64Array(calls)
    await measure(micros)
    this.rounds.push(micros)
  }

  /** The median of each round, in order. */
  medians(): ReadonlyArray<number> {
    return this.rounds.map(median)
  }

  /** Percentile over the samples of all rounds. */
  percentile(p: number): number {
    const all = new Float64Array(this.rounds.reduce((length, round) => length + round.length, 0))
    let offset = 0
    for (const round of this.rounds) {
      all.set(round, offset)
      offset += round.length
    }
    return percentile(all, p)
  }
}

/** The per-round ratios of one number of each round to another of the same round. */
export const ratios = (
  numerators: ReadonlyArray<number>,
  denominators: ReadonlyArray<number>
): ReadonlyArray<number> => {
  if (numerators.length !== denominators.length) {
    throw new RangeError(
      `ratios need as many rounds on both sides, got ${numerators.length} and ${denominators.length}`
    )
  }
  return numerators.map((numerator, round) => numerator / (denominators[round] ?? Number.NaN))
}

/** "1.21 (0.98 to 1.60, middle half 1.15 to 1.30)": the median of some ratios and how far they spread. */
export const spread = (values: ReadonlyArray<number>): string => {
  const at = (p: number) => percentile(values, p).toFixed(2)
  return `${at(0.5)} (${at(0)} to ${at(1)}, middle half ${at(0.25)} to ${at(0.75)})`
}

/** Rounds to `digits` after the point, for reports. */
export const rounded = (value: number, digits = 1): number => Number(value.toFixed(digits))
