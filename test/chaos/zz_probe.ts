import * as Effect from "effect/Effect"
import { kinds } from "./workload.ts"
import { chaos } from "./run.ts"
const all = [...kinds]
for (const name of process.argv.slice(2)) {
  ;(kinds as any).length = 0
  ;(kinds as any).push(...all.filter((k) => k.name === name))
  const r = await Effect.runPromise(chaos({ seed: 3, calls: 2000, faultEveryMillis: 1e6, deadlineMillis: 60000 }))
  console.log(name, r.heapGrowthMegabytes.toFixed(2), "MB,", (r.heapGrowthMegabytes * 1e6 / 1600).toFixed(0), "B/call", r.seconds.toFixed(1), r.violations.slice(0, 3))
}
process.exit(0)
