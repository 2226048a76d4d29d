/**
 * `npm run chaos -- [--seed N] [--calls N]`: a chaos run with its report. The exit code is 0 when all promises held, 1 when
 * not, 2 for a command line that is wrong. The seed repeats which calls are made and what is done to the workers, and
 * when; what meets what still depends on the machine.
 */
import { parseArgs } from "node:util"
import * as Effect from "effect/Effect"
import { setup } from "../../scripts/testEnvironment.ts"
import { chaos, type ChaosReport } from "./run.ts"

const wholeNumber = (name: string, text: string | undefined, fallback: number): number => {
  const value = text === undefined ? fallback : Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  console.error(`--${name} expects a whole number above 0, got ${JSON.stringify(text)}`)
  process.exit(2)
}

const print = (report: ChaosReport): void => {
  const rows = (title: string, counts: ReadonlyMap<string, number>) => {
    console.log(`\n${title}`)
    for (const [name, count] of counts) console.log(`  ${String(count).padStart(6)}  ${name}`)
  }
  rows("calls, by kind and end", report.outcomes)
  rows("faults", report.faults)
  console.log(
    `\n${report.submitted} calls submitted, ${report.settled} settled, in ${report.seconds.toFixed(1)} s; ` +
      `the heap grew by ${report.heapGrowthMegabytes.toFixed(1)} MB, resident memory by ` +
      `${report.residentGrowthMegabytes.toFixed(1)} MB; seed ${report.options.seed}`
  )
  for (const violation of report.violations) console.log(`WRONG: ${violation}`)
  console.log(report.violations.length === 0 ? "All promises held." : `${report.violations.length} promises broken.`)
}

await setup()
const { values } = parseArgs({ options: { seed: { type: "string" }, calls: { type: "string" } } })
const report = await Effect.runPromise(
  chaos({
    seed: wholeNumber("seed", values.seed, 1 + Math.floor(Math.random() * 1_000_000)),
    calls: wholeNumber("calls", values.calls, 10_000),
    faultEveryMillis: 250,
    deadlineMillis: 140_000
  })
)
print(report)
process.exit(report.violations.length === 0 ? 0 : 1)
