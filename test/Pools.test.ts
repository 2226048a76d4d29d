/** Pools: placement, the waiting room, statistics, crashes and the end. */
import { Snakepit, SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import {
  expectNoProcesses,
  kill,
  pidsOf,
  pool,
  statsOf,
  tempDirectory,
  waitForFile,
  waitForIdle,
  waitForWorkers,
  waitUntil,
  withPool,
  withPools
} from "./harness.ts"

/** A call that runs until the test lets it go. */
const held = (folder: string, name: string, options: { readonly pool?: string } = {}) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(
      Snakepit.call("meeting.until_file", {
        args: [path.join(folder, "go"), path.join(folder, name)],
        success: Schema.Int,
        ...options
      }),
      { startImmediately: true }
    )
    yield* waitForFile(path.join(folder, name))
    return fiber
  })

const letGo = (folder: string) =>
  Effect.promise(() => import("node:fs/promises").then((fs) => fs.writeFile(path.join(folder, "go"), "")))

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

describe("Pools", () => {
  it.live("several pools have their own workers, options and environments", () =>
    Effect.gen(function* () {
      const small = yield* pidsOf("small")
      const large = yield* pidsOf("large")
      assert.deepStrictEqual([small.length, large.length, new Set([...small, ...large]).size], [1, 2, 3])
      for (const name of ["small", "large"]) {
        assert.strictEqual(yield* Snakepit.call("plain.environment", { args: ["WHO"], pool: name }), name)
      }
      assert.include(small, yield* Snakepit.call("os.getpid", { pool: "small", success: Schema.Int }))
      assert.strictEqual((yield* Effect.flip(Snakepit.call("os.getpid")))._tag, "PoolNotFound")
      assert.deepStrictEqual(
        (yield* Snakepit.stats).map((stats) => stats.pool),
        ["small", "large"]
      )
    }).pipe(withPools({ small: { env: { WHO: "small" } }, large: { size: 2, env: { WHO: "large" } } }))
  )

  it.live("concurrent calls use every worker", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const fibers = yield* Effect.forEach(["a", "b", "c"], (name) => held(folder, name))
      assert.strictEqual((yield* statsOf()).busy, 3)
      yield* letGo(folder)
      assert.strictEqual(new Set(yield* Fiber.joinAll(fibers)).size, 3)
    }).pipe(withPool({ size: 3 }))
  )

  it.live("a full waiting room refuses the next call at once", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const running = yield* held(folder, "started")
      const waiting = yield* Effect.forEach([1, 2], () => fork(Snakepit.call("os.getpid")))
      const error = yield* Effect.flip(Snakepit.call("os.getpid"))
      assert.instanceOf(error, SnakepitError.PoolSaturated)
      assert.deepStrictEqual([error.waiting, error.limit], [2, 2])
      assert.deepInclude(yield* statsOf(), { queued: 2, rejected: 1, busy: 1 })
      yield* letGo(folder)
      yield* Fiber.joinAll([running, ...waiting])
      assert.deepInclude(yield* statsOf(), { queued: 0, rejected: 1 })
    }).pipe(withPool({ maxQueue: 2 }))
  )

  it.live("a call that waits too long for a worker fails with QueueTimeout and never runs", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const running = yield* held(folder, "started")
      const error = yield* Effect.flip(Snakepit.call("meeting.touch", { args: [path.join(folder, "ran")] }))
      assert.instanceOf(error, SnakepitError.QueueTimeout)
      assert.deepStrictEqual([error.target, error.queueTimeoutMillis], ["meeting.touch", 50])
      yield* letGo(folder)
      yield* Fiber.join(running)
      assert.deepStrictEqual(
        yield* Snakepit.call("os.listdir", { args: [folder] }).pipe(
          Effect.map((names) => Array.isArray(names) && names.includes("ran"))
        ),
        false
      )
      assert.deepInclude(yield* statsOf(), { timeouts: 1 })
    }).pipe(withPool({ queueTimeout: "50 millis" }))
  )

  it.live("the deadline of a call counts its time in the queue", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const running = yield* held(folder, "started")
      const error = yield* Effect.flip(Snakepit.call("os.getpid", { timeout: "50 millis" }))
      assert.instanceOf(error, SnakepitError.CallTimeout)
      assert.isFalse(error.mayHaveExecuted)
      yield* letGo(folder)
      yield* Fiber.join(running)
    }).pipe(withPool())
  )

  it.live("a waiting call whose caller leaves is forgotten", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const running = yield* held(folder, "started")
      const waiting = yield* fork(Snakepit.call("meeting.touch", { args: [path.join(folder, "ran")] }))
      assert.strictEqual((yield* statsOf()).queued, 1)
      yield* Fiber.interrupt(waiting)
      assert.strictEqual((yield* statsOf()).queued, 0)
      yield* letGo(folder)
      yield* Fiber.join(running)
      assert.notInclude(
        yield* Snakepit.call("os.listdir", { args: [folder], success: Schema.Array(Schema.String) }),
        "ran"
      )
    }).pipe(withPool())
  )

  it.live("a long call does not hold up short ones while another worker is idle", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      // the workers learn that calls are short, so that calls are sent ahead to them
      yield* Effect.forEach(Array.from({ length: 400 }), () => Snakepit.call("os.getpid"), { concurrency: 50 })
      const long = yield* fork(Snakepit.call("meeting.until_file", { args: [path.join(folder, "go")] }))
      const short = Array.from({ length: 100 }, (_, index) => Snakepit.call("plain.echo", { args: [index] }))
      const results = yield* Effect.all(short, { concurrency: "unbounded" })
      assert.strictEqual(results.length, 100)
      assert.isUndefined(long.pollUnsafe())
      yield* letGo(folder)
      yield* Fiber.join(long)
    }).pipe(withPool({ size: 2 }))
  )

  it.live("calls that were sent ahead of a call that turns out long are taken back and run elsewhere", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      yield* Effect.forEach(Array.from({ length: 400 }), () => Snakepit.call("os.getpid"), { concurrency: 50 })
      for (let round = 0; round < 5; round++) {
        const go = path.join(folder, `go-${round}`)
        const calls = Array.from({ length: 60 }, (_, index) =>
          index === 7
            ? Snakepit.call("meeting.until_file", { args: [go] })
            : Snakepit.call("plain.echo", { args: [index] })
        )
        const fibers = yield* Effect.forEach(calls, fork)
        yield* Fiber.joinAll(fibers.filter((_, index) => index !== 7))
        yield* Snakepit.call("meeting.touch", { args: [go] })
        yield* Fiber.joinAll(fibers)
      }
    }).pipe(withPool({ size: 2 }))
  )

  it.live("a crash in one of many pipelined calls fails that call alone", () =>
    Effect.gen(function* () {
      yield* Effect.forEach(Array.from({ length: 400 }), () => Snakepit.call("os.getpid"), { concurrency: 50 })
      const exits = yield* Effect.forEach(
        Array.from({ length: 60 }, (_, index) => index),
        (index) =>
          Effect.result(
            index === 20
              ? Snakepit.call("faults.kill_self", { args: ["SIGKILL"] })
              : Snakepit.call("plain.echo", { args: [index] })
          ),
        { concurrency: "unbounded" }
      )
      exits.forEach((result, index) => {
        if (index === 20) assert.strictEqual(result._tag === "Failure" && result.failure._tag, "WorkerCrash")
        else assert.strictEqual(result._tag === "Success" && result.success, index)
      })
    }).pipe(withPool())
  )

  it.live("statistics count requests, errors and sessions, of the pool and of each worker", () =>
    Effect.gen(function* () {
      yield* Effect.forEach([1, 2, 3], (number) => Snakepit.call("plain.echo", { args: [number] }))
      yield* Effect.flip(Snakepit.call("math.sqrt", { args: [-1] }))
      yield* Snakepit.session()
      const stats = yield* statsOf()
      assert.deepInclude(stats, {
        pool: "default",
        size: 2,
        requests: 4,
        errors: 1,
        queued: 0,
        busy: 0,
        idle: 2,
        sessions: 1
      })
      const sum = (key: "requests" | "errors" | "sessions") =>
        stats.workers.reduce((total, worker) => total + worker[key], 0)
      assert.deepStrictEqual([sum("requests"), sum("errors"), sum("sessions")], [4, 1, 1])
      assert.deepStrictEqual(
        stats.workers.map(({ state }) => state),
        ["idle", "idle"]
      )
    }).pipe(withPool({ size: 2 }))
  )
})

describe("Pools whose workers die", () => {
  it.live(
    "a call whose worker is killed fails with WorkerCrash: class, signal, last stderr and what was in flight",
    () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(
          Snakepit.call("faults.kill_self", { args: ["SIGKILL", "almost", "the end is near"] })
        )
        assert.instanceOf(error, SnakepitError.WorkerCrash)
        assert.deepInclude(
          { ...error },
          { pool: "default", worker: "default-0", crash: "killed", signal: "SIGKILL", exitCode: null }
        )
        assert.deepStrictEqual(error.stderr, ["almost", "the end is near"])
        assert.deepStrictEqual(error.inFlight, ["faults.kill_self"])
        assert.isTrue(error.mayHaveExecuted)
        assert.include(error.message, "the end is near")
        yield* waitForWorkers(1)
        assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
      }).pipe(withPool())
  )

  for (const [what, target, args, crash] of [
    ["a null pointer", "faults.read_null", [], "segfault"],
    ["SIGABRT", "faults.kill_self", ["SIGABRT"], "abort"],
    ["SIGFPE", "faults.kill_self", ["SIGFPE"], "floating_point"],
    ["os._exit(3)", "faults.leave", [3], "exit"],
    ["os._exit(0)", "faults.leave", [0], "exit"]
  ] as const) {
    it.live(`${what} is a crash of class ${crash}, and the pool recovers`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(Snakepit.call(target, { args }))
        assert.instanceOf(error, SnakepitError.WorkerCrash)
        assert.strictEqual(error.crash, crash)
        yield* waitForWorkers(1)
        assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
      }).pipe(withPool())
    )
  }

  it.live("the stack of a segfault is in the crash", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("faults.read_null"))
      assert.instanceOf(error, SnakepitError.WorkerCrash)
      assert.include(JSON.stringify(error.pythonStack), "read_null")
    }).pipe(withPool())
  )

  it.live("a worker killed while idle is replaced", () =>
    Effect.gen(function* () {
      const [before] = yield* pidsOf()
      yield* kill(before ?? 0, "SIGKILL")
      yield* waitUntil(
        "another worker is there",
        Effect.map(pidsOf(), (pids) => pids.length === 1 && pids[0] !== before)
      )
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    }).pipe(withPool())
  )

  it.live("calls that wait while the only worker dies are served by its successor", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const pid = (yield* pidsOf())[0] ?? 0
      const running = yield* held(folder, "started")
      const waiting = yield* Effect.forEach([1, 2, 3], (number) =>
        fork(Snakepit.call("plain.echo", { args: [number] }))
      )
      yield* kill(pid, "SIGKILL")
      const exit = yield* Fiber.await(running)
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(yield* Fiber.joinAll(waiting), [1, 2, 3])
    }).pipe(withPool())
  )

  it.live("the other workers serve while one is replaced", () =>
    Effect.gen(function* () {
      const [first, second] = yield* pidsOf()
      yield* kill(first ?? 0, "SIGKILL")
      yield* waitUntil(
        "the worker is gone from the pool",
        Effect.map(pidsOf(), (pids) => !pids.includes(first ?? 0))
      )
      assert.strictEqual(yield* Snakepit.call("plain.echo", { args: [1] }), 1)
      yield* waitForWorkers(2)
      assert.include(yield* pidsOf(), second)
    }).pipe(withPool({ size: 2 }))
  )

  it.live("a call that crashes its worker again and again does not end the pool", () =>
    Effect.gen(function* () {
      for (let round = 0; round < 4; round++) {
        assert.strictEqual((yield* Effect.flip(Snakepit.call("faults.leave", { args: [7] })))._tag, "WorkerCrash")
      }
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    }).pipe(withPool({ crashBarrier: { poisonAfter: 100 } }))
  )
})

describe("Pools that close", () => {
  /** A pool in a scope of its own. */
  const open = (options: Parameters<typeof pool>[0]) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const services = yield* Layer.buildWithScope(pool(options), scope)
      const pids = yield* Effect.provide(pidsOf(), services)
      return { services, pids, close: Scope.close(scope, Exit.void) }
    })

  it.live("a running call is let finish within the drain timeout", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const { close, pids, services } = yield* open({})
      const running = yield* Effect.provide(held(folder, "started"), services)
      const waiting = yield* Effect.provide(fork(Effect.flip(Snakepit.call("os.getpid"))), services)
      const closing = yield* fork(close)
      assert.instanceOf(yield* Fiber.join(waiting), SnakepitError.PoolClosed)
      assert.isUndefined(running.pollUnsafe())
      const late = yield* Effect.provide(Effect.flip(Snakepit.call("os.getpid")), services)
      assert.instanceOf(late, SnakepitError.PoolClosed)
      yield* letGo(folder)
      assert.include(pids, yield* Fiber.join(running))
      yield* Fiber.join(closing)
      yield* expectNoProcesses(pids)
    })
  )

  it.live("a call that runs past the drain timeout is cut off, and its worker ended", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const { close, pids, services } = yield* open({ drainTimeout: "50 millis", stopTimeout: "100 millis" })
      const running = yield* Effect.provide(held(folder, "started"), services)
      yield* close
      const exit = yield* Fiber.await(running)
      assert.isTrue(Exit.isFailure(exit))
      yield* expectNoProcesses(pids)
    })
  )

  it.live("a pool whose worker is replaced right now closes cleanly", () =>
    Effect.gen(function* () {
      const { close, pids, services } = yield* open({ size: 2 })
      yield* kill(pids[0] ?? 0, "SIGKILL")
      yield* close
      yield* expectNoProcesses(pids)
      assert.strictEqual((yield* Effect.provide(statsOf(), services)).workers.length, 0)
    })
  )

  it.live("an idle pool closes at once", () =>
    Effect.gen(function* () {
      const { close, pids, services } = yield* open({ drainTimeout: "1 hour", stopTimeout: "1 hour" })
      yield* Effect.provide(waitForIdle(), services)
      yield* close
      yield* expectNoProcesses(pids)
    })
  )
})
