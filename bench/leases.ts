/**
 * Many leases under load, with workers being killed: whether segments, descriptors, mappings and bytes come back, and the
 * resident memory of this process stays flat. Fails when they do not, and when memory grows from the first half to the second.
 */
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { SharedMemory, Tensor, ZeroCopy } from "@snakepit/zero-copy"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { type Run, wholeNumber } from "./bench.ts"
import { interpreter } from "./interpreter.ts"
import { grouped, printTable } from "./table.ts"

const KIB = 1024
const CALLERS = 8
const SAMPLES = 10
const KILL_EVERY_MILLIS = 400
const MAX_SHARED = 1024 * KIB * KIB
/** How much more may be resident later: what the eight callers have just read, and has not been collected. */
const MOST_GROWTH_MB = 128

/** From a few bytes to 4 MiB, most of them small. */
const sizeOf = (i: number): number => Math.floor(2 ** (6 + ((i * 7919) % 1301) / 100)) + 8

interface Sample {
  readonly leases: number
  readonly rss_mb: number
  readonly held_mb: number
  readonly shared_mb: number
  readonly descriptors: number
  readonly mappings: number
}

export const run: Run = async (flags) => {
  const leases = wholeNumber(flags, "leases", 10_000)
  const program = Effect.gen(function* () {
    const memory = yield* (yield* SharedMemory.SharedMemory).pool()
    const arena = memory.arena
    if (typeof arena === "string") throw new Error(arena)
    const samples: Array<Sample> = []
    const sample = (count: number): Sample => ({
      leases: count,
      rss_mb: Math.round(residentBytes() / KIB / KIB),
      held_mb: Math.round(arena.heldBytes / KIB / KIB),
      shared_mb: Math.round(arena.sharedBytes / KIB / KIB),
      descriptors: fs.readdirSync("/proc/self/fd").length,
      mappings: fs.readFileSync("/proc/self/maps", "latin1").split("segment-").length - 1
    })
    yield* Snakepit.call("arrays.drop_last")
    const before = sample(0)
    let done = 0
    let kills = 0
    let crashes = 0
    const one = (i: number) => {
      const count = Math.ceil(sizeOf(i) / 8)
      const call =
        i % 3 === 0
          ? ZeroCopy.scoped(Snakepit.call("arrays.ones", { args: [count] }))
          : i % 3 === 1
            ? Effect.flatMap(Tensor.from(new Float64Array(count)), (tensor) =>
                Snakepit.call("arrays.size", { args: [tensor] })
              )
            : Snakepit.call("arrays.keep_last", { args: [new Float64Array(count)] })
      return Effect.scoped(Effect.exit(call))
    }
    const caller = (first: number) =>
      Effect.gen(function* () {
        for (let i = first; i < leases; i += CALLERS) {
          const exit = yield* one(i)
          if (exit._tag === "Failure") crashes++
          done++
          if (done % Math.ceil(leases / SAMPLES) === 0) samples.push(sample(done))
        }
      })
    const killer = Effect.gen(function* () {
      while (true) {
        yield* Effect.sleep(KILL_EVERY_MILLIS)
        const [{ workers } = { workers: [] }] = yield* Snakepit.stats
        const victim = workers[kills % Math.max(1, workers.length)]
        if (victim?.pid === undefined) continue
        try {
          process.kill(victim.pid, "SIGKILL")
          kills++
        } catch {
          // it has just ended
        }
      }
    })
    const callers = Effect.all(
      Array.from({ length: CALLERS }, (_, i) => caller(i)),
      { concurrency: "unbounded", discard: true }
    )
    yield* Effect.raceFirst(callers, killer)
    // what the last workers keep, and were granted
    yield* Effect.sleep(500)
    yield* Effect.retry(Snakepit.call("arrays.drop_last"), { times: 20 })
    yield* Effect.retry(Snakepit.call("arrays.drop_last"), { times: 20 })
    const [{ workers } = { workers: [] }] = yield* Snakepit.stats
    for (const { pid } of workers) if (pid !== undefined) process.kill(pid, "SIGKILL")
    const deadline = performance.now() + 10_000
    while (arena.heldBytes > 0 && performance.now() < deadline) yield* Effect.sleep(10)
    if (arena.heldBytes > 0) throw new Error(`${arena.heldBytes} bytes are still held`)
    yield* Effect.sleep(11_000)
    const last = sample(done)
    samples.push(last)
    if (last.shared_mb > 0 || last.mappings > 0) throw new Error(`segments are left: ${JSON.stringify(last)}`)
    if (last.descriptors > before.descriptors) {
      throw new Error(`descriptors are left: there were ${before.descriptors}, and there are ${last.descriptors}`)
    }
    const highest = (some: ReadonlyArray<Sample>) => Math.max(...some.map(({ rss_mb }) => rss_mb))
    const [early, late] = [highest(samples.slice(0, SAMPLES / 2)), highest(samples.slice(SAMPLES / 2))]
    if (late > early + MOST_GROWTH_MB) throw new Error(`resident memory grew from ${early} to ${late} MiB`)
    return { leases: done, kills, crashes, samples, folders: arena.folders }
  })
  const pool = {
    size: 2,
    python: interpreter(),
    pythonPath: [fileURLToPath(new URL(".", import.meta.url))],
    // being killed is what this is about
    maxRestarts: 1_000_000,
    zeroCopy: { thresholdBytes: 64, maxSharedMemory: MAX_SHARED }
  }
  const { folders, ...result } = await Effect.runPromise(
    program.pipe(Effect.provide(SnakepitNode.layer({ pools: { default: pool } })), Effect.provide(Logger.layer([])))
  )
  for (const folder of folders) if (fs.existsSync(folder)) throw new Error(`${folder} is left`)
  printTable(
    ["leases", "rss MB", "held MB", "shared MB", "descriptors", "mappings"],
    result.samples.map((s) =>
      [s.leases, s.rss_mb, s.held_mb, s.shared_mb, s.descriptors, s.mappings].map((value) => grouped(value))
    )
  )
  console.log(`${result.kills} workers were killed, ${result.crashes} calls ended with them`)
  return result
}

/** Without what is mapped of shared memory, which has its own columns. */
const residentBytes = (): number => {
  globalThis.gc?.()
  const status = fs.readFileSync("/proc/self/status", "latin1")
  const kibibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1])
  return (kibibytes("VmRSS") - kibibytes("RssShmem")) * KIB
}
