/**
 * Workers without Python, for tests: a {@link WorkerSpawner} whose targets are plain functions and values. `Snakepit.layerTest` is
 * the whole service over it. The pool is the real one, so waiting room, sessions, deadlines and statistics are too.
 *
 * - A call runs on the event loop of the test. What answers an Effect or a Stream, or a plain value, keeps its slot like a Python
 *   function; what answers a Promise or an AsyncIterable leaves it, like `async def`.
 * - Values cross as they would to Python: copied, and refused where no row of the value table fits them. In a session, an object
 *   with methods stays behind and a ref to it is answered. Tensors and tables are passed on as they are; for tables, provide
 *   their adapter (`ValueAdapter.layer(Table.adapter)`).
 * - Workers stand on the `devices` of the pool's configuration in turn, whatever the machine has: a kind stands for its first
 *   device, `auto` for `cpu`.
 * - Success needs no timers, so `TestClock` works. Deadlines (`timeout`, `callTimeout`) and `queueTimeout` are real time, as
 *   in the real pool; a crashed worker is replaced after 100 ms of the test's clock.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { InMemoryWorker } from "./internal/inMemoryWorker.ts"
import { TestTargets } from "./internal/testTargets.ts"
import type { PythonError } from "./PythonError.ts"
import type { CrashClass } from "./SnakepitError.ts"
import { ValueAdapters } from "./ValueAdapter.ts"
import { type SpawnOptions, WorkerSpawner } from "./WorkerSpawner.ts"

/** What a fake is told about its call beside the arguments. */
export interface TestContext {
  /** The target as the caller wrote it. */
  readonly target: string
  readonly worker: string
  readonly session: string | undefined
  /** Calls a tool that is registered on the session or the pool. */
  readonly tool: (name: string, kwargs?: Readonly<Record<string, unknown>>) => Effect.Effect<unknown, PythonError>
  /** Ends the worker, as a crash of the process would, and with it the call: never returns. Defaults to `segfault`. */
  readonly crash: (crash?: CrashClass) => never
}

/** A TypeScript function that was passed as an argument, as a fake sees it. It runs in the context of the call it came with. */
export type TestCallback = (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, PythonError>

/**
 * A function, a class or a method. It answers a value, or an Effect, a Promise, a Stream or an iterable of values. What it throws
 * or fails with reaches the caller: a `PythonError` (`PythonError.of`) and any other `SnakepitError` as they are, everything else
 * as Python's `RuntimeError`.
 *
 * For `construct` it answers an object: its functions are methods, with these same parameters, and its other properties are
 * attributes. `__getitem__`, `__setitem__`, `__iter__`, `__enter__` and `__exit__` do what they do in Python.
 */
export type TestFunction = {
  // a method, so that a fake may say what its arguments are: `([xs]: [Array<number>]) => ...`
  bivariant(args: ReadonlyArray<unknown>, kwargs: Readonly<Record<string, unknown>>, context: TestContext): unknown
}["bivariant"]

/** The targets by dotted name. A value that is no function is what `Snakepit.attribute` reads. */
export type Targets = Readonly<
  Record<string, TestFunction | object | string | number | bigint | boolean | null | undefined>
>

/** A spawner of workers that have these targets and no others. Each worker has objects of its own, in sessions. */
export const layer = (targets: Targets): Layer.Layer<WorkerSpawner> =>
  Layer.effect(
    WorkerSpawner,
    Effect.map(ValueAdapters, (adapters) => {
      const known = new TestTargets(targets)
      const place = placement()
      return WorkerSpawner.of({
        spawn: (wanted) =>
          Effect.acquireRelease(
            Effect.sync(() => new InMemoryWorker(wanted, known, adapters, place(wanted))),
            (worker) => worker.close
          )
      })
    })
  )

/** Answers the device of each next worker of a pool. */
const placement = (): ((wanted: SpawnOptions) => string | undefined) => {
  const placed = new Map<string, number>()
  return ({ options, pool }) => {
    const devices = [options.backend["devices"]].flat().filter((device) => typeof device === "string")
    const count = placed.get(pool) ?? 0
    placed.set(pool, count + 1)
    const device = devices[count % devices.length]
    if (device === "auto") return "cpu"
    return device === "cuda" || device === "rocm" ? `${device}:0` : device
  }
}
