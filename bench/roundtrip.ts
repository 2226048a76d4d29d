/** `math.sqrt`, one caller, one worker: what one call costs, beside the floor. */
import { type Run, wholeNumber } from "./bench.ts"
import { separate } from "./cores.ts"
import { openFloor } from "./floor.ts"
import { interleave, median, ratios, rounded, spread, Times } from "./rounds.ts"
import { openSnakepit } from "./snakepit.ts"
import { printTable } from "./table.ts"

// Many short turns, so that what else the machine does meets both sides alike.
const CALLS = 200
const WARM_UP = 5000

export const run: Run = async (flags) => {
  const rounds = wholeNumber(flags, "rounds", 150)
  await using floor = await openFloor(1)
  await using snakepit = await openSnakepit(1)
  separate()
  const column = (name: string, measure: (micros: Float64Array) => Promise<void>) => {
    const times = new Times()
    return { name, measure, times, turn: () => times.round(CALLS, measure) }
  }
  const bare = column("floor", floor.oneByOne)
  const call = column("snakepit", snakepit.oneByOne)
  const error = flags["error"] === true ? column("snakepit, raising", snakepit.failOneByOne) : undefined
  const columns = error === undefined ? [bare, call] : [bare, call, error]

  for (const { measure } of columns) await measure(new Float64Array(WARM_UP))
  await interleave(
    rounds,
    columns.map(({ turn }) => turn)
  )

  printTable(
    ["", "p50 us", "p99 us"],
    columns.map(({ name, times }) => [name, times.percentile(0.5).toFixed(1), times.percentile(0.99).toFixed(1)])
  )
  const toFloor = ratios(call.times.medians(), bare.times.medians())
  console.log(`p50 to the floor's, ${rounds} rounds of ${CALLS}: ${spread(toFloor)}`)
  const result = {
    p50_us: rounded(call.times.percentile(0.5)),
    p99_us: rounded(call.times.percentile(0.99)),
    floor_p50_us: rounded(bare.times.percentile(0.5)),
    ratio_p50: rounded(median(toFloor), 3)
  }
  if (error === undefined) return result
  const toSuccess = ratios(error.times.medians(), call.times.medians())
  console.log(`a raising call's p50 to a returning one's: ${spread(toSuccess)}`)
  return { ...result, error_p50_us: rounded(error.times.percentile(0.5)), error_ratio: rounded(median(toSuccess), 3) }
}
