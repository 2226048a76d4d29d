/**
 * How fast a worker is there: from asking for it until it is ready, and from a worker's death by SIGKILL to the next good
 * reply. For workers that are forked and spawned, and for both with numpy: preloaded by the fork server, imported by the
 * spawned ones as part of their first reply.
 */
import { PoolConfig, Snakepit, WorkerSpawner } from "@snakepit/core"
import { PythonWorker, PythonWorkerConfig, SnakepitNode } from "@snakepit/python-worker"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type Run, wholeNumber } from "./bench.ts"
import { interpreter } from "./interpreter.ts"
import { percentile, rounded } from "./rounds.ts"
import { printTable } from "./table.ts"

type Start = "fork" | "spawn"

export const run: Run = async (flags) => {
  const rounds = wholeNumber(flags, "rounds", 50)
  const fork = await measure("fork", [], rounds)
  const spawn = await measure("spawn", [], Math.ceil(rounds / 5))
  const forkNumpy = await measure("fork", ["numpy"], rounds)
  const row = (name: string, { ready, recovery }: Samples) => [
    name,
    ...[ready, recovery].flatMap((millis) => [percentile(millis, 0.5).toFixed(1), percentile(millis, 0.99).toFixed(1)])
  ]
  printTable(
    ["ms", "ready p50", "p99", "recovery p50", "p99"],
    [row("fork", fork), row("fork, numpy preloaded", forkNumpy), row("spawn", spawn)]
  )
  return { fork: summary(fork), fork_numpy: summary(forkNumpy), spawn: summary(spawn) }
}

interface Samples {
  readonly ready: ReadonlyArray<number>
  readonly recovery: ReadonlyArray<number>
}

const summary = ({ ready, recovery }: Samples) => ({
  ready_p50_ms: rounded(percentile(ready, 0.5), 2),
  ready_p99_ms: rounded(percentile(ready, 0.99), 2),
  recovery_p50_ms: rounded(percentile(recovery, 0.5), 2),
  recovery_p99_ms: rounded(percentile(recovery, 0.99), 2)
})

const measure = async (start: Start, preload: ReadonlyArray<string>, rounds: number): Promise<Samples> => ({
  ready: await Effect.runPromise(starts(start, preload, rounds)),
  recovery: await Effect.runPromise(recoveries(start, preload, rounds))
})

const poolOf = (start: Start, preload: ReadonlyArray<string>) => ({
  size: 1,
  start,
  preload: start === "fork" ? preload : [],
  python: interpreter(),
  // this many crashes are wanted here
  maxRestarts: 1_000_000
})

/** Milliseconds from asking the spawner for a worker until it is ready; the first, which starts the fork server, is left out. */
const starts = (start: Start, preload: ReadonlyArray<string>, rounds: number) =>
  Effect.gen(function* () {
    const spawner = yield* WorkerSpawner
    const options = yield* PoolConfig.resolve("bench", poolOf(start, preload), PythonWorkerConfig.keys)
    const millis: Array<number> = []
    for (let round = 0; round <= rounds; round++) {
      const began = performance.now()
      const took = yield* Effect.scoped(
        Effect.map(spawner.spawn({ pool: "bench", worker: `bench-${round}`, options }), () => performance.now() - began)
      )
      if (round > 0) millis.push(took)
    }
    return millis
  }).pipe(Effect.provide(PythonWorker.layer))

/** Milliseconds from the SIGKILL of the only worker to the next good reply. */
const recoveries = (start: Start, preload: ReadonlyArray<string>, rounds: number) =>
  Effect.gen(function* () {
    const getpid = Snakepit.call("os.getpid", { success: Schema.Number })
    const reply = preload.includes("numpy") ? Snakepit.call("numpy.abs", { args: [-4] }) : sqrt
    const millis: Array<number> = []
    for (let round = 0; round < rounds; round++) {
      yield* sqrt
      const pid = yield* getpid
      const began = performance.now()
      process.kill(pid, "SIGKILL")
      // a call that was sent before the end was noticed fails with it
      yield* Effect.retry(reply, { while: (error) => error._tag === "WorkerCrash" })
      millis.push(performance.now() - began)
    }
    return millis
  }).pipe(Effect.provide(SnakepitNode.layer({ pools: { default: poolOf(start, preload) } })))

const sqrt = Snakepit.call("math.sqrt", { args: [4], success: Schema.Number })
