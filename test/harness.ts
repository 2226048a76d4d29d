/**
 * The verbs of the real-process tests: what a test starts, does to a worker from outside, waits for, and expects to find
 * afterwards. `README.md` says how tests are written with them.
 */
import { type Pool, Snakepit, type SnakepitError } from "@snakepit/core"
import { type PythonWorkerConfig, SnakepitNode } from "@snakepit/python-worker"
import type { SharedMemory } from "@snakepit/zero-copy"
import { assert } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import { isRunning, statOf } from "./processTree.ts"
import { useRuntimeDirectory } from "./runtimeDirectory.ts"

export { isRunning }

/** The folder of the Python modules that the tests call. */
export const workersFolder = path.join(import.meta.dirname, "workers")

/** Options of a pool in a test: one worker that imports from `workers/`, unless the test says otherwise. */
export type TestPool = PythonWorkerConfig.PythonPool

const poolOf = (options: TestPool): TestPool => ({
  size: 1,
  pythonPath: [workersFolder],
  progress: "silent",
  ...options
})

/** A Python 3 of this minor version on this machine: on the PATH, or one of pyenv's. Undefined where there is none. */
export const pythonOf = (minor: number): string | undefined => {
  const pyenv = path.join(process.env["PYENV_ROOT"] ?? path.join(os.homedir(), ".pyenv"), "versions")
  const versions = fs.globSync(`3.${minor}.*/bin/python3`, { cwd: pyenv }).map((found) => path.join(pyenv, found))
  // a shim on the PATH may have nothing behind it
  return [`python3.${minor}`, ...versions].find((python) => spawnSync(python, ["-c", ""]).status === 0)
}

/** What workers log is kept out of the test report, unless the test gives a logger. */
const quiet = Logger.layer([])

/** The service over one pool, `default`. */
export const pool = (options: TestPool = {}, logger = quiet) => pools({ default: options }, logger)

/** The service over several pools. */
export const pools = (
  options: Readonly<Record<string, TestPool>>,
  logger = quiet
): Layer.Layer<
  Snakepit.Snakepit | SharedMemory.SharedMemory,
  SnakepitError.ConfigError | SnakepitError.WorkerStartError
> =>
  SnakepitNode.layer({
    pools: Object.fromEntries(Object.entries(options).map(([name, given]) => [name, poolOf(given)]))
  }).pipe(Layer.provide(logger))

/** Provides a program with a pool of its own: it starts before the program and is closed after it. */
export const withPool =
  (options: TestPool = {}, logger = quiet) =>
  <A, E>(program: Effect.Effect<A, E, Snakepit.Snakepit | SharedMemory.SharedMemory | Scope.Scope>) =>
    Effect.scoped(program).pipe(Effect.provide(pool(options, logger)))

/** Provides a program with several pools of its own. */
export const withPools =
  (options: Readonly<Record<string, TestPool>>) =>
  <A, E>(program: Effect.Effect<A, E, Snakepit.Snakepit | SharedMemory.SharedMemory | Scope.Scope>) =>
    Effect.scoped(program).pipe(Effect.provide(pools(options)))

// ---------------------------------------------------------------------------------------------------------------------
// Waiting
// ---------------------------------------------------------------------------------------------------------------------

const pollMillis = 5

/** Waits until a condition holds; fails the test when it does not within `deadlineMillis`. */
export const waitUntil = <E = never, R = never>(
  what: string,
  condition: (() => boolean) | Effect.Effect<boolean, E, R>,
  deadlineMillis = 10_000
): Effect.Effect<void, E, R> =>
  Effect.gen(function* () {
    const deadline = performance.now() + deadlineMillis
    const holds = Effect.isEffect(condition) ? condition : Effect.sync(condition)
    while (!(yield* holds)) {
      if (performance.now() > deadline) assert.fail(`waited ${deadlineMillis} ms in vain until ${what}`)
      yield* Effect.sleep(pollMillis)
    }
  })

/** Waits until a file exists, and answers what stands in it. Python code says with a file that it has come somewhere. */
export const waitForFile = (file: string) =>
  Effect.as(
    waitUntil(`${path.basename(file)} exists`, () => fs.existsSync(file)),
    file
  ).pipe(Effect.map((found) => fs.readFileSync(found, "utf8")))

// ---------------------------------------------------------------------------------------------------------------------
// Pools, seen from outside
// ---------------------------------------------------------------------------------------------------------------------

/** The statistics of a pool. */
export const statsOf = (name?: string): Effect.Effect<Pool.PoolStats, SnakepitError.PoolNotFound, Snakepit.Snakepit> =>
  Effect.flatMap(Snakepit.Snakepit, (snakepit) => Effect.flatMap(snakepit.pool(name), (found) => found.stats))

/** Process ids of a pool's workers. */
export const pidsOf = (name?: string) =>
  Effect.map(statsOf(name), (stats) => stats.workers.flatMap(({ pid }) => (pid === undefined ? [] : [pid])))

/** Process id of the one worker of the pool `default`. */
export const workerPid = Effect.map(pidsOf(), ([pid]) => {
  if (pid === undefined) return assert.fail("the pool has no worker")
  return pid
})

/** Waits until a pool has as many open workers as it should. */
export const waitForWorkers = (size: number, name?: string) =>
  waitUntil(
    `the pool has ${size} open workers`,
    Effect.map(statsOf(name), ({ workers }) => workers.filter(({ state }) => state !== "closing").length === size)
  )

/** Waits until nothing runs and nothing waits in a pool. */
export const waitForIdle = (name?: string) =>
  waitUntil(
    "the pool is idle",
    Effect.map(statsOf(name), ({ busy, queued }) => busy === 0 && queued === 0)
  )

// ---------------------------------------------------------------------------------------------------------------------
// What happens to workers
// ---------------------------------------------------------------------------------------------------------------------

/** Sends a signal to a process. */
export const kill = (pid: number, signal: NodeJS.Signals) => Effect.sync(() => void process.kill(pid, signal))

/** Stops a process without ending it. */
export const freeze = (pid: number) =>
  Effect.andThen(
    kill(pid, "SIGSTOP"),
    waitUntil(`process ${pid} is frozen`, () => stateOf(pid) === "T")
  )

/** Lets a frozen process go on. */
export const thaw = (pid: number) => kill(pid, "SIGCONT")

/** In this scope nothing can be started with the environment of this process: it is too large for the system. */
export const withoutExec: Effect.Effect<void, never, Scope.Scope> = Effect.asVoid(
  Effect.acquireRelease(
    Effect.sync(() => (process.env["SNAKEPIT_TOO_LARGE"] = "x".repeat(1 << 20))),
    () => Effect.sync(() => delete process.env["SNAKEPIT_TOO_LARGE"])
  )
)

/** Lets the worker of the pool `default` lose its connections while it lives on. */
export const cutWire = Snakepit.call("faults.cut_wire")

/** Lets a worker write so many bytes to stdout or stderr, as fast as it can. */
export const fill = (stream: "stdout" | "stderr", bytes: number) =>
  Snakepit.call("printing.fill", { args: [stream, bytes] })

/** The state letter of a process in `/proc`; undefined when there is none. */
export const stateOf = (pid: number): string | undefined => statOf(pid)[0]

// ---------------------------------------------------------------------------------------------------------------------
// What is left afterwards
// ---------------------------------------------------------------------------------------------------------------------

/** The processes that this one has started and that still run. */
export const children = (): ReadonlyArray<number> =>
  fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && statOf(name)[1] === String(process.pid))
    .map(Number)
    .filter(isRunning)

/** The open descriptors of this process, and what they are. */
export const descriptors = (): ReadonlyArray<string> =>
  fs.readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      return [`${name} ${fs.readlinkSync(`/proc/self/fd/${name}`)}`]
    } catch {
      return [] // the one that read the folder
    }
  })

/** Expects that none of the processes runs any more. */
export const expectNoProcesses = (pids: ReadonlyArray<number>) =>
  Effect.sync(() => assert.deepStrictEqual(pids.filter(isRunning), [], "processes that still run"))

/** Expects that a folder for sockets and temporary files is empty. */
export const expectNoSockets = (folder: string) =>
  Effect.sync(() => assert.deepStrictEqual(fs.readdirSync(folder), [], "files that were left behind"))

/** A folder that is removed at the end of the test. */
export const tempDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "snakepit-test-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/** A temporary folder where the sockets of pools that start in this scope stand. */
export const socketDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.tap(tempDirectory, useRuntimeDirectory)
