/** Interrupting a call stops its Python code, whatever that code does, and the worker or its successor is usable again. */
import { Snakepit, SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import {
  expectNoProcesses,
  isRunning,
  pidsOf,
  statsOf,
  tempDirectory,
  waitForFile,
  waitForIdle,
  waitUntil,
  withPool
} from "./harness.ts"

/** Starts a call, waits until Python is in it, interrupts it, and waits until a worker is free again. */
const interruptIn = (target: string) =>
  Effect.gen(function* () {
    const folder = yield* tempDirectory
    const [before] = yield* pidsOf()
    const call = yield* Effect.forkChild(Snakepit.call(target, { args: [folder] }), { startImmediately: true })
    const began = yield* waitForFile(path.join(folder, "began"))
    yield* Fiber.interrupt(call)
    assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    yield* waitForIdle()
    const [after] = yield* pidsOf()
    return { folder, began, before, after }
  })

const quick = { cancelGrace: "20 millis", killGrace: "300 millis", stopTimeout: "200 millis" } as const

for (const profile of ["process", "thread"] as const) {
  describe(`Cancellation in the profile ${profile}`, () => {
    // a thread cannot be woken from a system call: there only its worker can be ended
    const gentle = profile === "process" ? ["sleeps", "spins", "swallows", "locks"] : ["spins", "swallows"]
    for (const name of gentle) {
      it.live(`code that ${name} is stopped, its finally block runs, and the worker goes on`, () =>
        Effect.gen(function* () {
          const { after, before, folder } = yield* interruptIn(`stopping.${name}`)
          assert.strictEqual(yield* waitForFile(path.join(folder, "ended")), "finally")
          assert.strictEqual(after, before)
        }).pipe(withPool({ profile, threads: 1, ...quick, killGrace: "10 seconds" }))
      )
    }

    it.live("code in a worker that was spawned is stopped, and the worker goes on", () =>
      Effect.gen(function* () {
        const { after, before, folder } = yield* interruptIn("stopping.spins")
        assert.strictEqual(yield* waitForFile(path.join(folder, "ended")), "finally")
        assert.strictEqual(after, before)
      }).pipe(withPool({ profile, start: "spawn", threads: 1, ...quick, killGrace: "10 seconds" }))
    )

    it.live("code that imports is stopped after the import, which is whole", () =>
      Effect.gen(function* () {
        const { after, before, folder } = yield* interruptIn("stopping.imports")
        assert.strictEqual(yield* waitForFile(path.join(folder, "ended")), "finally")
        assert.strictEqual(after, before)
        assert.strictEqual(yield* Snakepit.call("stopping.uses_import"), 1)
      }).pipe(withPool({ profile, threads: 1, ...quick, killGrace: "10 seconds" }))
    )

    it.live("code that asks whether it is cancelled leaves by itself", () =>
      Effect.gen(function* () {
        const { after, before, folder } = yield* interruptIn("stopping.asks")
        assert.strictEqual(yield* waitForFile(path.join(folder, "ended")), "asked")
        assert.strictEqual(after, before)
        assert.strictEqual(yield* Snakepit.call("stopping.reads_itself"), false)
      }).pipe(withPool({ profile, threads: 1, cancelGrace: "10 seconds" }))
    )

    it.live("an async task is cancelled, and the worker goes on", () =>
      Effect.gen(function* () {
        const { after, before, folder } = yield* interruptIn("stopping.waits")
        assert.strictEqual(yield* waitForFile(path.join(folder, "ended")), "cancelled")
        assert.strictEqual(after, before)
      }).pipe(withPool({ profile, threads: 1 }))
    )

    for (const name of profile === "process" ? ["native", "refuses", "handles_term"] : ["native", "refuses"]) {
      it.live(`a worker whose code cannot be stopped (${name}) is killed and replaced`, () =>
        Effect.gen(function* () {
          const { after, before, began } = yield* interruptIn(`stopping.${name}`)
          assert.strictEqual(Number(began), before)
          assert.notStrictEqual(after, before)
          yield* waitUntil("the process is gone", () => !isRunning(Number(began)))
          assert.deepStrictEqual(yield* Snakepit.crashes(), [])
        }).pipe(withPool({ profile, threads: 1, ...quick }))
      )
    }
  })
}

describe("Cancellation", () => {
  it.live("a worker that is being stopped counts as busy until it is proven free", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const call = yield* Effect.forkChild(Snakepit.call("stopping.sleeps", { args: [folder] }), {
        startImmediately: true
      })
      yield* waitForFile(path.join(folder, "began"))
      yield* Fiber.interrupt(call)
      assert.deepInclude(yield* statsOf(), { busy: 1, idle: 0 })
      yield* waitForFile(path.join(folder, "ended"))
      yield* waitForIdle()
    }).pipe(withPool())
  )

  it.live("a call that waits in the worker behind another is dropped without ever running", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      yield* Effect.forEach(Array.from({ length: 300 }), () => Snakepit.call("os.getpid"), { concurrency: 50 })
      const long = yield* Effect.forkChild(Snakepit.call("meeting.until_file", { args: [path.join(folder, "go")] }), {
        startImmediately: true
      })
      const behind = yield* Effect.forkChild(Snakepit.call("meeting.touch", { args: [path.join(folder, "ran")] }), {
        startImmediately: true
      })
      yield* Fiber.interrupt(behind)
      yield* Effect.promise(() => import("node:fs/promises").then((fs) => fs.writeFile(path.join(folder, "go"), "")))
      yield* Fiber.join(long)
      yield* waitForIdle()
      assert.deepStrictEqual(yield* Snakepit.call("os.listdir", { args: [folder] }), ["go"])
    }).pipe(withPool())
  )

  it.live("each rung is reported in the caller's log: ending a process for a call as a warning", () =>
    Effect.gen(function* () {
      const lines: Array<readonly [level: string, message: string]> = []
      const logger = Logger.make(({ logLevel, message }) => void lines.push([logLevel, String(message)]))
      yield* interruptIn("stopping.refuses").pipe(
        Effect.provide(Logger.layer([logger])),
        Effect.provideService(References.MinimumLogLevel, "Debug")
      )
      assert.deepStrictEqual(
        lines.filter(([, message]) => message.startsWith("stopping.refuses")),
        [
          ["Debug", "stopping.refuses is told to stop"],
          ["Debug", "stopping.refuses did not stop within 20 ms: CallCancelled is raised in it"],
          ["Warn", "stopping.refuses did not stop within 300 ms after CallCancelled: its worker is sent SIGTERM"]
        ]
      )
    }).pipe(withPool(quick))
  )

  it.live("stopping one of several concurrent calls leaves the others alone", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const others = yield* Effect.forEach([1, 2, 3], (number) =>
        Effect.forkChild(
          Snakepit.call("meeting.until_file", {
            args: [path.join(folder, "go"), path.join(folder, `started-${number}`)]
          }),
          { startImmediately: true }
        )
      )
      for (const number of [1, 2, 3]) yield* waitForFile(path.join(folder, `started-${number}`))
      const victim = yield* Effect.forkChild(Snakepit.call("stopping.spins", { args: [folder] }), {
        startImmediately: true
      })
      yield* waitForFile(path.join(folder, "began"))
      yield* Fiber.interrupt(victim)
      yield* waitForFile(path.join(folder, "ended"))
      yield* Snakepit.call("meeting.touch", { args: [path.join(folder, "go")] })
      assert.strictEqual(new Set(yield* Fiber.joinAll(others)).size, 1)
    }).pipe(withPool({ profile: "thread", threads: 4, killGrace: "10 seconds" }))
  )

  it.live("a process that Python started ends with the worker that is killed", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const call = yield* Effect.forkChild(Snakepit.call("stopping.leaves_child", { args: [folder] }))
      const child = Number(yield* waitForFile(path.join(folder, "began")))
      yield* Fiber.join(call)
      assert.isTrue(isRunning(child))
      yield* Effect.flip(Snakepit.call("faults.kill_self", { args: ["SIGKILL"] }))
      yield* waitUntil("the child is gone", () => !isRunning(child))
      yield* expectNoProcesses([child])
    }).pipe(withPool())
  )

  it.live("code that waits for a process it started is stopped", () =>
    Effect.gen(function* () {
      const { after, before, folder } = yield* interruptIn("stopping.with_child")
      assert.strictEqual(yield* waitForFile(path.join(folder, "ended")), "finally")
      assert.strictEqual(after, before)
    }).pipe(withPool())
  )

  it.live("a timeout stops the Python code as an interrupt does", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const error = yield* Effect.flip(Snakepit.call("stopping.sleeps", { args: [folder], timeout: "100 millis" }))
      assert.instanceOf(error, SnakepitError.CallTimeout)
      assert.strictEqual(yield* waitForFile(path.join(folder, "ended")), "finally")
    }).pipe(withPool())
  )

  it.live("interrupting many calls in quick succession leaves the worker usable", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 30; round++) {
        const calls = yield* Effect.forEach(Array.from({ length: 10 }), () =>
          Effect.forkChild(Snakepit.call("time.sleep", { args: [0.001] }), { startImmediately: true })
        )
        yield* Effect.forEach(calls, Fiber.interrupt, { concurrency: "unbounded", discard: true })
      }
      yield* waitForIdle()
      assert.deepStrictEqual(
        yield* Effect.forEach([1, 2, 3], (number) => Snakepit.call("plain.echo", { args: [number] })),
        [1, 2, 3]
      )
    }).pipe(withPool())
  )
})
