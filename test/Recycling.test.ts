/** Workers that are replaced although they work: by age, calls and memory. And the wall behind: the memory limit. */
import { PythonError, Snakepit, SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import {
  isRunning,
  statsOf,
  tempDirectory,
  waitForFile,
  waitForWorkers,
  waitUntil,
  withPool,
  workerPid
} from "./harness.ts"

const getpid = Snakepit.call("os.getpid", { success: Schema.Number })

/** Waits until the pool's one open worker is another, and the old one is gone. */
const replacementOf = (pid: number) =>
  Effect.gen(function* () {
    yield* waitUntil("the old worker is gone", () => !isRunning(pid))
    yield* waitForWorkers(1)
    const replacement = yield* workerPid
    assert.notStrictEqual(replacement, pid)
    return replacement
  })

describe("Recycling", () => {
  it.live("workers are replaced after so many calls, and no call notices", () =>
    Effect.gen(function* () {
      const pids = yield* Effect.all(
        Array.from({ length: 200 }, () => getpid),
        { concurrency: 8 }
      )
      assert.isAtLeast(new Set(pids).size, 2)
      yield* waitForWorkers(2)
      const stats = yield* statsOf()
      assert.strictEqual(stats.requests, 200)
      assert.strictEqual(stats.errors, 0)
    }).pipe(withPool({ size: 2, maxCalls: 20 }))
  )

  it.live("the replacement serves calls while the old worker finishes the one it has", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const old = yield* getpid
      const [started, goal] = [path.join(folder, "started"), path.join(folder, "goal")]
      const running = yield* Effect.forkChild(Snakepit.call("hazards.wait_for", { args: [started, goal] }))
      yield* waitForFile(started)
      const replacement = yield* getpid
      assert.notStrictEqual(replacement, old)
      assert.isTrue(isRunning(old))
      fs.writeFileSync(goal, "")
      assert.strictEqual(yield* Fiber.join(running), old)
      yield* replacementOf(old)
    }).pipe(withPool({ maxCalls: 2 }))
  )

  it.live("a worker whose Python process has grown past maxMemory is replaced", () =>
    Effect.gen(function* () {
      const old = yield* Snakepit.call("hazards.keep", { args: [200 << 20], success: Schema.Number })
      yield* replacementOf(old)
    }).pipe(withPool({ maxMemory: 150 << 20, heartbeatInterval: 50 }))
  )

  it.live("a worker is replaced at its age", () =>
    Effect.gen(function* () {
      yield* replacementOf(yield* workerPid)
    }).pipe(withPool({ maxAge: 300, heartbeatInterval: 50 }))
  )

  it.live("a session on a worker that is replaced goes on until it is closed", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const session = yield* Scope.provide(Snakepit.session(), scope)
      const old = yield* session.call("os.getpid", { success: Schema.Number })
      yield* getpid
      yield* waitUntil(
        "another worker serves calls",
        Effect.map(getpid, (pid) => pid !== old)
      )
      assert.strictEqual(yield* session.call("os.getpid"), old)
      yield* Scope.close(scope, Exit.void)
      yield* waitUntil("the old worker is gone", () => !isRunning(old))
    }).pipe(withPool({ maxCalls: 2, drainTimeout: "20 seconds" }))
  )

  it.live("a session that stays open longer than drainTimeout is lost, and is told why", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const old = yield* session.call("os.getpid", { success: Schema.Number })
      yield* getpid
      yield* waitUntil("the old worker is gone", () => !isRunning(old))
      const error = yield* Effect.flip(session.call("os.getpid"))
      assert.instanceOf(error, SnakepitError.SessionLost)
      assert.match(error.message, /was given 2 calls, its maxCalls/)
    }).pipe(withPool({ maxCalls: 2, drainTimeout: 100 }))
  )

  it.live("allocating past memoryLimit is OutOfMemory, which Python calls a MemoryError, and the worker goes on", () =>
    Effect.gen(function* () {
      const pid = yield* getpid
      const error = yield* Effect.flip(Snakepit.call("hazards.allocate", { args: [1 << 30] }))
      assert(error._tag === "OutOfMemory")
      assert.isTrue(PythonError.isInstanceOf(error, "MemoryError"))
      assert.deepInclude({ ...error }, { device: "cpu", totalBytes: 256 << 20, pythonType: "MemoryError" })
      assert.match(error.message, /^no memory is left: .*`memoryLimit`/)
      assert.strictEqual(yield* Snakepit.call("hazards.allocate", { args: [100 << 20] }), 100 << 20)
      assert.strictEqual(yield* getpid, pid)
    }).pipe(withPool({ memoryLimit: 256 << 20 }))
  )

  it.live("arrays in shared memory do not count towards memoryLimit", () =>
    Effect.gen(function* () {
      const ones = new Float64Array(12_500_000).fill(1)
      assert.strictEqual(yield* Snakepit.call("sharing.total", { args: [ones] }), 12_500_000)
      assert.strictEqual(
        (yield* Effect.flip(Snakepit.call("hazards.allocate", { args: [100 << 20] })))._tag,
        "OutOfMemory"
      )
    }).pipe(withPool({ memoryLimit: 64 << 20, preload: ["numpy"] }))
  )

  it.live("a call that fills its memory bit by bit fails alone, and its worker still answers pings", () =>
    Effect.gen(function* () {
      const pid = yield* getpid
      const error = yield* Effect.flip(Snakepit.call("hazards.fill_up"))
      assert.strictEqual(error._tag, "OutOfMemory")
      assert.strictEqual(yield* getpid, pid)
    }).pipe(withPool({ memoryLimit: 128 << 20, heartbeatInterval: 20 }))
  )
})
