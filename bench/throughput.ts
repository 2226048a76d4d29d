/** `math.sqrt` at several concurrencies, with one and two workers, beside as many floor processes. */
import { type Run, wholeNumber } from "./bench.ts"
import { separate, share } from "./cores.ts"
import { openFloor } from "./floor.ts"
import { interleave, median, ratios, rounded, spread } from "./rounds.ts"
import { openSnakepit } from "./snakepit.ts"
import type { Subject } from "./subject.ts"
import { grouped, printTable } from "./table.ts"

const WORKERS = [1, 2]
const CONCURRENCIES = [1, 16, 256]

/** Calls per turn: some 50 ms on either side. */
const callsFor = (concurrency: number): number => (concurrency === 1 ? 2000 : 10_000)

interface Row {
  readonly workers: number
  readonly concurrency: number
  readonly calls_per_s: number
  readonly floor_calls_per_s: number
  readonly ratio: number
}

export const run: Run = async (flags) => {
  const rounds = wholeNumber(flags, "rounds", 15)
  const results: Array<Row> = []
  const lines: Array<ReadonlyArray<string>> = []
  for (const workers of WORKERS) {
    await using floor = await openFloor(workers)
    await using snakepit = await openSnakepit(workers)
    if (workers === 1) separate()
    else share()
    for (const concurrency of CONCURRENCIES) {
      const measured = await compare(snakepit, floor, concurrency, rounds)
      const row = {
        workers,
        concurrency,
        calls_per_s: rounded(median(measured.snakepit), 0),
        floor_calls_per_s: rounded(median(measured.floor), 0),
        ratio: rounded(median(measured.ratios), 3)
      }
      results.push(row)
      lines.push([
        String(workers),
        String(concurrency),
        grouped(row.calls_per_s),
        grouped(row.floor_calls_per_s),
        spread(measured.ratios)
      ])
    }
  }
  printTable(["workers", "concurrency", "calls/s", "floor calls/s", "ratio"], lines)
  // Sending many small calls as one message is not part of the product yet; null says so.
  return { results, batched_calls_per_s: null }
}

/** Calls per second of each round, on both sides, and their ratios. */
const compare = async (snakepit: Subject, floor: Subject, concurrency: number, rounds: number) => {
  const calls = callsFor(concurrency)
  const rates: { readonly snakepit: Array<number>; readonly floor: Array<number> } = { snakepit: [], floor: [] }
  await floor.inFlight(calls, concurrency)
  await snakepit.inFlight(calls, concurrency)
  await interleave(rounds, [
    async (round) => {
      rates.floor[round] = await floor.inFlight(calls, concurrency)
    },
    async (round) => {
      rates.snakepit[round] = await snakepit.inFlight(calls, concurrency)
    }
  ])
  return { ...rates, ratios: ratios(rates.snakepit, rates.floor) }
}
