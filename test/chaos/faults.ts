/** What is done to a run from outside, and what is known of it: which workers were to end, and how. */
import { Snakepit } from "@snakepit/core"
import * as fs from "node:fs"
import * as Effect from "effect/Effect"
import { descendants } from "../processTree.ts"
import type { Random } from "./random.ts"

/** Faults by worker; what the calls of a run fail with has to be explained by them. */
export class Faults {
  readonly counts = new Map<string, number>()
  private readonly classes = new Map<string, Set<string>>()
  private serverDeaths = 0

  /** A worker was made to end in this way. */
  add(fault: string, worker: string, crash: string): void {
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1)
    const known = this.classes.get(worker) ?? new Set()
    this.classes.set(worker, known.add(crash))
  }

  addServerDeath(): void {
    this.counts.set("fork server killed", ++this.serverDeaths)
  }

  /** Whether a worker's crash was injected. Nobody learns how a worker ended whose fork server is dead. */
  explain(crash: CrashFacts): boolean {
    const known = this.classes.get(crash.worker)
    if (known === undefined) return false
    const isUnknown =
      this.serverDeaths > 0 && crash.crash === "exit" && crash.exitCode === null && crash.signal === null
    return known.has(crash.crash) || isUnknown
  }
}

interface CrashFacts {
  readonly worker: string
  readonly crash: string
  readonly exitCode: number | null
  readonly signal: string | null
}

const signals = [
  { name: "SIGKILL from outside", weight: 4, signal: "SIGKILL", crash: "killed" },
  { name: "SIGSEGV from outside", weight: 3, signal: "SIGSEGV", crash: "segfault" },
  { name: "SIGSTOP from outside", weight: 1, signal: "SIGSTOP", crash: "unresponsive" },
  { name: "fork server killed", weight: 0.5, signal: undefined, crash: "" }
] as const

/** Does something to some process every so many milliseconds, until it is interrupted. */
export const inject = (
  faults: Faults,
  random: Random,
  everyMillis: number
): Effect.Effect<never, never, Snakepit.Snakepit> =>
  Effect.gen(function* () {
    yield* Effect.sleep(random.between(0, 2 * everyMillis))
    const fault = random.weighted(signals)
    if (fault.signal === undefined) {
      for (const pid of forkServers()) {
        if (send(pid, "SIGKILL")) faults.addServerDeath()
      }
      return
    }
    const workers = (yield* Snakepit.stats).flatMap((pool) => pool.workers.filter(({ state }) => state !== "closing"))
    const chosen = workers[Math.floor(random.next() * workers.length)]
    if (chosen?.pid === undefined) return
    if (send(chosen.pid, fault.signal)) faults.add(fault.name, chosen.worker, fault.crash)
  }).pipe(Effect.forever)

const forkServers = (): ReadonlyArray<number> =>
  descendants(process.pid).filter((pid) => {
    try {
      // its workers have its command line too; its parent is this process
      return (
        fs.readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("snakepit_worker.fork_server") &&
        new RegExp(`^PPid:\\s+${process.pid}$`, "m").test(fs.readFileSync(`/proc/${pid}/status`, "latin1"))
      )
    } catch {
      return false // it ended meanwhile
    }
  })

const send = (pid: number, signal: NodeJS.Signals): boolean => {
  try {
    process.kill(pid, signal)
    return true
  } catch {
    return false // it ended meanwhile
  }
}
