import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Logger from "effect/Logger"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"
import { describe, vi } from "vitest"
import { Health, Snakepit } from "@snakepit/core"
import { CrashHistory } from "../src/internal/crashHistory.ts"
import type { CrashClass } from "../src/SnakepitError.ts"
import { elapse, scripted } from "./scriptedWorker.ts"

const record = (crash: CrashClass, at = 0, pool = "default"): Health.CrashRecord => ({
  pool,
  worker: "default-0",
  device: undefined,
  crash,
  exitCode: null,
  signal: null,
  inFlight: [],
  stderr: [],
  at
})

const judge = (seen: Partial<Health.Observation>) =>
  Health.judge({
    pool: "default",
    workers: 2,
    size: 2,
    isClosed: false,
    crashes: [],
    restartsTooOften: false,
    circuit: undefined,
    devices: [],
    ...seen
  })

const device = (seen: Partial<Health.Observation["devices"][number]>) => ({
  device: "cuda:0",
  workers: 1,
  taintedUntil: undefined,
  circuit: undefined,
  ...seen
})

const many = (count: number, crash: CrashClass) => Array.from({ length: count }, () => record(crash))

describe("rules", () => {
  it("a pool with all its workers is healthy, and has no reasons", () => {
    assert.deepInclude(judge({}), { status: "healthy", reasons: [], alerts: [] })
  })

  it("a pool without workers is critical, one with fewer is degraded", () => {
    assert.strictEqual(judge({ workers: 0 }).status, "critical")
    assert.strictEqual(judge({ workers: 1 }).status, "degraded")
    assert.strictEqual(judge({ isClosed: true }).status, "critical")
  })

  it("more than five crashes in a minute raise an alert", () => {
    assert.deepInclude(judge({ crashes: many(5, "exit") }), { status: "healthy", alerts: [] })
    const alerted = judge({ crashes: many(6, "exit") })
    assert.deepInclude(alerted, { status: "unhealthy", alerts: [{ alert: "crashRate", count: 6, limit: 5 }] })
  })

  it("more than two segfaults raise another", () => {
    assert.deepInclude(judge({ crashes: many(2, "segfault") }), { status: "healthy" })
    const alerted = judge({ crashes: many(3, "segfault") })
    assert.deepInclude(alerted, { status: "degraded", alerts: [{ alert: "segfaults", count: 3, limit: 2 }] })
  })

  it("circuits, restarts and tainted devices count", () => {
    assert.strictEqual(judge({ circuit: "open" }).status, "unhealthy")
    assert.strictEqual(judge({ circuit: "halfOpen" }).status, "degraded")
    assert.strictEqual(judge({ restartsTooOften: true }).status, "unhealthy")
    assert.strictEqual(judge({ devices: [device({ taintedUntil: 1 })] }).status, "degraded")
  })

  it("the whole is as well as its worst pool, and ready unless that is critical", () => {
    const health = Health.summarize([judge({}), judge({ pool: "ml", workers: 1 })])
    assert.strictEqual(health.status, "degraded")
    assert.deepStrictEqual(Health.readiness(health), {
      ready: true,
      status: "degraded",
      reasons: ['pool "ml": 1 of 2 workers are up']
    })
    assert.isFalse(Health.readiness(Health.summarize([judge({ workers: 0 })])).ready)
  })
})

describe("crash history", () => {
  it("finds by pool, class and time", () => {
    const history = new CrashHistory()
    for (const crash of [record("exit", 1), record("oom", 2), record("oom", 3, "ml")]) history.add(crash)
    assert.strictEqual(history.find({}, 4).length, 3)
    assert.deepStrictEqual(
      history.find({ crash: "oom" }, 4).map(({ at }) => at),
      [2, 3]
    )
    assert.deepStrictEqual(
      history.find({ pool: "ml" }, 4).map(({ at }) => at),
      [3]
    )
    assert.deepStrictEqual(
      history.find({ since: 2, pool: "default" }, 4).map(({ at }) => at),
      [2]
    )
  })

  it("forgets after an hour, and keeps a thousand at most", () => {
    const history = new CrashHistory()
    for (let at = 1; at <= 1_500; at++) history.add(record("exit", at))
    assert.strictEqual(history.find({}, 1_500).length, 1_000)
    assert.deepStrictEqual(
      history.find({}, 3_600_000 + 1_499).map(({ at }) => at),
      [1_500]
    )
  })
})

describe("the service", () => {
  it.effect("answers health, crashes and probes, and recovers when the minute has passed", () => {
    const { layer, workers } = scripted({ size: 2, maxRestarts: 100, crashBarrier: { retry: "never" } }, (worker) =>
      worker.crash()
    )
    return Effect.gen(function* () {
      assert.strictEqual((yield* Snakepit.health).status, "healthy")
      for (let call = 0; call < 3; call++) {
        yield* Effect.flip(Snakepit.call("f", { args: [call] }))
        yield* TestClock.adjust("5 seconds")
      }
      const [health] = (yield* Snakepit.health).pools
      assert.deepInclude(health, { status: "degraded", workers: 2, crashes: 3 })
      assert.deepStrictEqual(health?.alerts, [{ alert: "segfaults", count: 3, limit: 2 }])
      const found = yield* Snakepit.crashes({ crash: "segfault", pool: "default" })
      assert.deepStrictEqual(
        found.map(({ inFlight }) => inFlight),
        [["f"], ["f"], ["f"]]
      )
      assert.deepStrictEqual(yield* Snakepit.crashes({ crash: "oom" }), [])
      assert.isTrue((yield* Snakepit.readiness).ready)
      assert.deepStrictEqual(yield* Snakepit.liveness, { alive: true, workers: 2 })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Snakepit.health).status, "healthy")
      assert.strictEqual(workers.length, 5)
    }).pipe(Effect.provide(layer))
  })

  it.live("a worker that was killed because a call did not stop is no crash of the pool's", () => {
    const { layer, workers } = scripted({ size: 1 }, () => {})
    return Effect.gen(function* () {
      const [worker] = workers
      assert(worker !== undefined)
      // the call cannot be stopped, so its process is killed
      vi.spyOn(worker, "interrupt").mockImplementation(() => queueMicrotask(() => worker.crash("killed", null, true)))
      assert.propertyVal(yield* Effect.flip(Snakepit.call("f", { timeout: 5 })), "_tag", "CallTimeout")
      while (workers.length === 1) yield* Effect.yieldNow
      assert.isFalse(worker.isOpen)
      assert.deepStrictEqual(yield* Snakepit.crashes(), [])
    }).pipe(Effect.provide(layer))
  })

  it.effect("a pool whose only worker is gone is critical and not ready", () => {
    const { layer } = scripted({ size: 1, crashBarrier: { taintOnExitCodes: [78] } }, (worker) =>
      worker.crash("exit", 78)
    )
    return Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("f"))
      yield* TestClock.adjust("1 second")
      assert.isFalse((yield* Snakepit.readiness).ready)
      assert.strictEqual((yield* Snakepit.health).status, "critical")
    }).pipe(Effect.provide(layer))
  })

  it.effect("streams the changes of health, each once", () => {
    const { layer } = scripted(
      { size: 1, crashBarrier: { taintOnExitCodes: [78], taintDuration: "10 seconds" } },
      (worker) => worker.crash("exit", 78)
    )
    return Effect.gen(function* () {
      const first = yield* Latch.make(false)
      const changes = Stream.tap(Snakepit.healthChanges, () => first.open)
      const watching = yield* Effect.forkChild(Stream.runCollect(Stream.take(changes, 3)), { startImmediately: true })
      yield* elapse(first.await)
      yield* Effect.flip(Snakepit.call("f"))
      const statuses = yield* elapse(Fiber.join(watching))
      assert.deepStrictEqual(
        statuses.map(({ status }) => status),
        ["healthy", "critical", "healthy"]
      )
    }).pipe(Effect.provide(layer))
  })

  it.effect("logs an alert once, when it arises", () => {
    const lines: Array<unknown> = []
    const logger = Logger.make(({ message }) => void lines.push(message))
    const { layer } = scripted({ size: 1, maxRestarts: 100, crashBarrier: { retry: "never" } }, (worker) =>
      worker.crash("exit", 1)
    )
    return Effect.gen(function* () {
      for (let call = 0; call < 8; call++) {
        yield* Effect.flip(Snakepit.call("f", { args: [call] }))
        yield* TestClock.adjust("7 seconds")
      }
      assert.deepStrictEqual(
        lines.flat().filter((line) => String(line).startsWith("alert")),
        ['alert crashRate of pool "default": 6 crashes within a minute, more than 5']
      )
    }).pipe(Effect.provide(layer), Effect.provide(Logger.layer([logger])))
  })
})

describe("devices", () => {
  it("are judged each by its own crashes, taint and circuit, and degrade their pool", () => {
    const on = (name: string, crash: CrashClass) => ({ ...record(crash), device: name })
    const { devices, reasons, status } = judge({
      crashes: Array.from({ length: 3 }, () => on("cuda:1", "segfault")),
      devices: [
        device({}),
        device({ device: "cuda:1" }),
        device({ device: "cuda:2", taintedUntil: 5 }),
        device({ device: "cuda:3", circuit: "open" }),
        device({ device: "cuda:4", workers: 0, taintedUntil: 5 })
      ]
    })
    assert.deepStrictEqual(
      devices.map((one) => one.status),
      ["healthy", "degraded", "degraded", "unhealthy", "critical"]
    )
    assert.strictEqual(status, "degraded")
    assert.include(reasons, "device cuda:3: its circuit is open")
  })

  it.effect("a fatal GPU error taints the worker's device for a while", () => {
    const { layer } = scripted({ size: 1 }, (worker) => worker.crash("gpu", 1), { devices: ["cuda:0"] })
    return Effect.gen(function* () {
      yield* Effect.flip(Snakepit.call("f"))
      yield* TestClock.adjust("5 seconds")
      const [health] = (yield* Snakepit.health).pools
      assert.deepInclude(health?.devices[0], { device: "cuda:0", status: "degraded", taintedUntil: 60_000, crashes: 1 })
      assert.strictEqual((yield* Snakepit.crashes({ device: "cuda:0" })).length, 1)
      assert.deepStrictEqual(yield* Snakepit.crashes({ device: "cuda:1" }), [])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Snakepit.health).status, "healthy")
    }).pipe(Effect.provide(layer))
  })
})
