/**
 * One chaos run: calls of all kinds on forked and spawned workers, while workers, connections and fork servers are broken.
 * Answers what was found wrong; nothing, when all promises held.
 */
import { Snakepit, SnakepitError } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { SharedMemory } from "@snakepit/zero-copy"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import { startedWith } from "../processTree.ts"
import { complaint, type Entry, outcomeOf } from "./audit.ts"
import { Faults, inject } from "./faults.ts"
import { collectGarbage, heapMegabytes, residentMegabytes } from "./heap.ts"
import { Random } from "./random.ts"
import { useRuntimeDirectory } from "../runtimeDirectory.ts"
import { kinds } from "./workload.ts"

export interface ChaosOptions {
  readonly seed: number
  readonly calls: number
  /** Mean time between two faults from outside, in milliseconds. */
  readonly faultEveryMillis: number
  /** After this long, calls that are not settled count as lost. */
  readonly deadlineMillis: number
}

export interface ChaosReport {
  readonly options: ChaosOptions
  readonly seconds: number
  readonly submitted: number
  readonly settled: number
  /** Calls by kind and outcome. */
  readonly outcomes: ReadonlyMap<string, number>
  readonly faults: ReadonlyMap<string, number>
  readonly heapGrowthMegabytes: number
  readonly residentGrowthMegabytes: number
  /** What was found wrong; empty when all promises held. */
  readonly violations: ReadonlyArray<string>
}

const callers = 24
const sizes = { forked: 3, spawned: 2, threaded: 1 }
/** Which pool a call goes to, and how often. */
const shares = [
  { pool: "forked", weight: 5 },
  { pool: "spawned", weight: 3 },
  { pool: "threaded", weight: 2 }
]
const settleMillis = 20_000
const maxHeapGrowthMegabytes = 16
/** Much of it is what the engine and the allocator have in reserve: this is for leaks of native memory, which no heap shows. */
const maxResidentGrowthMegabytes = 128

/** Fault by fault, a worker lives for a second or so; these let it be replaced each time, and no call be given up for it. */
const common = {
  pythonPath: [path.join(import.meta.dirname, "..", "workers")],
  progress: "silent" as const,
  maxRestarts: 1_000_000,
  crashBarrier: { maxRetries: 20, poisonAfter: 1_000_000, backoff: { initial: 1, max: 50 } },
  // what a process that is not frozen answers in even on a machine with other work
  heartbeatInterval: 200,
  heartbeatTimeout: 2_000,
  memoryLimit: 256 << 20,
  maxCalls: 500
}

/** Runs, and answers what was found. */
export const chaos = (options: ChaosOptions): Effect.Effect<ChaosReport> =>
  Effect.scoped(
    Effect.gen(function* () {
      const folder = yield* temporaryFolder
      const sockets = path.join(folder, "sockets")
      fs.mkdirSync(sockets)
      yield* useRuntimeDirectory(sockets)
      // what the run has started is known by this, also when it is an orphan by now
      const mark = crypto.randomUUID()
      const env = { SNAKEPIT_CHAOS: mark }
      const layer = SnakepitNode.layer({
        pools: {
          forked: { ...common, env, size: sizes.forked, start: "fork", preload: ["chaos"] },
          spawned: { ...common, env, size: sizes.spawned, start: "spawn", spares: 1 },
          // each thread reserves address space, which counts
          threaded: {
            ...common,
            env,
            size: sizes.threaded,
            start: "fork",
            preload: ["chaos"],
            profile: "thread",
            threads: 4,
            memoryLimit: 1 << 30
          }
        }
      })
      // once before, so that what is opened once in a process is not taken for a leak
      yield* Effect.provide(Effect.void, layer)
      const openBefore = descriptors()
      const sharedBefore = new Set(sharedMemory())
      const began = performance.now()
      const faults = new Faults()
      const violations: Array<string> = []
      const ledger = path.join(folder, "ledger")
      fs.writeFileSync(ledger, "")
      const state: State = { submitted: 0, entries: [], afterStart: nothingMeasured, atRest: nothingMeasured }

      yield* Effect.gen(function* () {
        yield* load(options, ledger, faults, state, violations)
        yield* backToSize(violations)
        // buffers are given back some time after the collection that found them unused
        collectGarbage()
        yield* Effect.sleep(200)
        collectGarbage()
        state.atRest = measure()
        yield* nothingHeld(violations)
      }).pipe(Effect.provide(layer))

      const heapGrowthMegabytes = state.atRest.heap - state.afterStart.heap
      const residentGrowthMegabytes = state.atRest.resident - state.afterStart.resident
      for (const [what, grown, most] of [
        ["the heap", heapGrowthMegabytes, maxHeapGrowthMegabytes],
        ["resident memory", residentGrowthMegabytes, maxResidentGrowthMegabytes]
      ] as const) {
        if (grown > most) violations.push(`${what} grew by ${grown.toFixed(1)} MB; expected at most ${most}`)
      }
      yield* untilEmpty(() => startedWith(`SNAKEPIT_CHAOS=${mark}`).map((pid) => `process ${pid} is left`), violations)
      yield* untilEmpty(() => fs.readdirSync(sockets).map((name) => `file ${name} is left`), violations)
      yield* untilEmpty(() => sharedMemory().filter((name) => !sharedBefore.has(name)), violations)
      yield* untilEmpty(
        () =>
          descriptors().length > openBefore.length
            ? [`descriptors: ${openBefore.join()} became ${descriptors().join()}`]
            : [],
        violations
      )
      registerCrashes(state.entries, faults)
      violations.push(...audit(state.entries, ledger, faults))
      return {
        options,
        seconds: (performance.now() - began) / 1000,
        submitted: state.submitted,
        settled: state.entries.length,
        outcomes: tally(state.entries),
        faults: faults.counts,
        heapGrowthMegabytes,
        residentGrowthMegabytes,
        violations
      }
    })
  ).pipe(Effect.orDie, Effect.provide(Logger.layer([])))

interface State {
  submitted: number
  readonly entries: Array<Entry>
  afterStart: Measured
  atRest: Measured
}

/** Megabytes. */
interface Measured {
  readonly heap: number
  readonly resident: number
}

const nothingMeasured: Measured = { heap: 0, resident: 0 }

const measure = (): Measured => ({ heap: heapMegabytes(), resident: residentMegabytes() })

/** Submits the calls, so many at a time, and waits until they are settled. */
const load = (options: ChaosOptions, ledger: string, faults: Faults, state: State, violations: Array<string>) =>
  Effect.gen(function* () {
    const random = new Random(options.seed)
    const injector = yield* Effect.forkChild(inject(faults, new Random(options.seed + 1), options.faultEveryMillis))
    const caller = Effect.gen(function* () {
      while (state.submitted < options.calls) {
        const id = ++state.submitted
        if (id === Math.floor(options.calls / 5)) {
          collectGarbage()
          state.afterStart = measure()
        }
        const kind = random.weighted(kinds)
        // numbers of its own, so that what one call draws does not depend on when the others ran
        const own = new Random(options.seed ^ Math.imul(id, 0x9e3779b1))
        const drawn = own.weighted(shares).pool
        const pool = drawn === kind.not ? "forked" : drawn
        const fiber = yield* Effect.forkChild(kind.run({ id, ledger, pool, random: own }))
        const exit = yield* Fiber.await(fiber)
        forgetCallSites(exit)
        state.entries.push({ id, kind, exit })
      }
    })
    yield* Effect.all(
      Array.from({ length: callers }, () => caller),
      { concurrency: callers, discard: true }
    ).pipe(Effect.timeoutOption(options.deadlineMillis))
    yield* Fiber.interrupt(injector)
    if (state.entries.length < state.submitted) {
      violations.push(`${state.submitted} calls were submitted, ${state.entries.length} settled`)
    }
    if (state.submitted < options.calls)
      violations.push(`${state.submitted} of ${options.calls} calls in the time given`)
  })

/** An error whose stack nobody has read keeps alive what the functions on it ran on, which would look like a leak here. */
const forgetCallSites = (exit: Exit.Exit<void, unknown>): void => {
  if (Exit.isSuccess(exit)) return
  for (const reason of exit.cause.reasons) {
    if (reason._tag === "Fail" && reason.error instanceof Error) void reason.error.stack
  }
}

/** The pools are to be whole again, and have nothing left to do. */
const backToSize = (violations: Array<string>) =>
  Effect.gen(function* () {
    const deadline = performance.now() + settleMillis
    while (true) {
      const wrong = (yield* Snakepit.stats).filter(
        (stats) =>
          stats.workers.length !== stats.size || stats.idle !== stats.size || stats.queued > 0 || stats.sessions > 0
      )
      if (wrong.length === 0) return
      if (performance.now() > deadline) {
        for (const stats of wrong) violations.push(`the pool does not come to rest: ${JSON.stringify(stats)}`)
        return
      }
      yield* Effect.sleep(20)
    }
  })

/** Shared memory is held by calls that run and by what was kept of results: with neither, by nobody. */
const nothingHeld = (violations: Array<string>) =>
  Effect.gen(function* () {
    const memory = yield* SharedMemory.SharedMemory
    for (const pool of Object.keys(sizes)) {
      const { arena } = yield* memory.pool(pool)
      if (typeof arena === "string") {
        violations.push(`pool ${pool} shares no memory: ${arena}`)
        continue
      }
      yield* Effect.promise(() => arena.relieve())
      yield* untilEmpty(
        () => (arena.heldBytes === 0 ? [] : [`${arena.heldBytes} bytes of shared memory are held in pool ${pool}`]),
        violations
      )
    }
  })

/** The calls that were to crash their workers say which those were. */
const registerCrashes = (entries: ReadonlyArray<Entry>, faults: Faults): void => {
  for (const { exit, kind } of entries) {
    if (kind.intention._tag !== "Crashes" || !Exit.isFailure(exit)) continue
    for (const reason of exit.cause.reasons) {
      if (reason._tag === "Fail" && reason.error instanceof SnakepitError.WorkerCrash) {
        faults.add(kind.name, reason.error.worker, kind.intention.crash)
      }
    }
  }
}

const audit = (entries: ReadonlyArray<Entry>, ledger: string, faults: Faults): ReadonlyArray<string> => {
  const runs = new Map<number, number>()
  for (const line of fs.readFileSync(ledger, "utf8").split("\n")) {
    if (line !== "") runs.set(Number(line), (runs.get(Number(line)) ?? 0) + 1)
  }
  return entries.flatMap((entry) => {
    const wrong = complaint(entry, runs.get(entry.id) ?? 0, faults)
    return wrong === undefined ? [] : [`call ${entry.id} (${entry.kind.name}) ${wrong}`]
  })
}

const tally = (entries: ReadonlyArray<Entry>): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const entry of entries) {
    const key = `${entry.kind.name}: ${outcomeOf(entry)}`
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  return new Map([...counts].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** Waits until nothing is found, and reports what still is after a while. */
const untilEmpty = (find: () => ReadonlyArray<string>, violations: Array<string>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const deadline = performance.now() + 2_000
    let found = find()
    while (found.length > 0 && performance.now() < deadline) {
      yield* Effect.sleep(10)
      found = find()
    }
    violations.push(...found)
  })

const descriptors = (): ReadonlyArray<string> =>
  fs.readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      return [`${name} ${fs.readlinkSync(`/proc/self/fd/${name}`)}`]
    } catch {
      return [] // the one that read the folder
    }
  })

/** Folders of shared memory on this machine that this process, or one that is dead, owns. */
const sharedMemory = (): ReadonlyArray<string> => {
  try {
    return fs
      .readdirSync("/dev/shm")
      .filter((name) => name.startsWith("snakepit-") && !belongsToOther(path.join("/dev/shm", name)))
      .map((name) => `shared memory ${name} is left`)
  } catch {
    return [] // not Linux
  }
}

/** Whether a living process of another run has made the folder, as the file in it says: `HOST-PID-START`. */
const belongsToOther = (folder: string): boolean => {
  try {
    const pid = Number(fs.readFileSync(path.join(folder, "owner"), "utf8").split("-")[1])
    return pid !== process.pid && fs.existsSync(`/proc/${pid}`)
  } catch {
    return true // it is being made, or is gone
  }
}

const temporaryFolder = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "chaos-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)
