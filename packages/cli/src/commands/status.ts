/** `snakepit status`: the programs that run now, their pools, workers and sessions. */
import { Instances } from "@snakepit/python-worker"
import * as Effect from "effect/Effect"
import { print, table } from "../output.ts"

/** Asks every instance of this user, and prints what they tell. */
export const run = Effect.flatMap(Instances.list, (instances) => print(instances, () => describe(instances)))

const describe = (instances: ReadonlyArray<Instances.Instance>): string =>
  instances.length === 0 ? "no program of yours runs Snakepit here" : instances.map(describeInstance).join("\n\n")

const describeInstance = ({ pid, problem, report }: Instances.Instance): string => {
  if (report === undefined) return `${pid}  does not tell about itself: ${problem}`
  const pools = report.pools.map((pool) =>
    [
      `  pool ${pool.pool}: ${pool.status}, ${pool.workers.length} of ${pool.size} workers, ${pool.queued} calls waiting, ` +
        `${pool.sessions} sessions, ${pool.requests} calls so far, ${pool.errors} failed`,
      ...pool.reasons.map((reason) => `    ${reason}`),
      indent(
        table([
          ["worker", "pid", "state", "running", "sessions", "calls"],
          ...pool.workers.map((worker) => [
            worker.worker,
            String(worker.pid ?? "-"),
            worker.state,
            String(worker.inFlight),
            String(worker.sessions),
            String(worker.requests)
          ])
        ])
      )
    ].join("\n")
  )
  return [`${pid}  ${report.program}, for ${Math.round(report.uptimeSeconds)} s`, ...pools].join("\n")
}

const indent = (text: string) => text.replace(/^/gm, "    ")
