/** After its scope has closed nothing is left of a pool: no process, socket, file, descriptor or timer. */
import { Snakepit } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  children,
  cutWire,
  descriptors,
  expectNoProcesses,
  expectNoSockets,
  freeze,
  isRunning,
  kill,
  pidsOf,
  pool,
  socketDirectory,
  tempDirectory,
  type TestPool,
  waitForFile,
  waitUntil,
  workerPid
} from "./harness.ts"

/** Runs a program on a pool of its own, closes the pool while `program` is still under way, and looks at what is left. */
const nothingIsLeft = (
  options: TestPool,
  program: Effect.Effect<unknown, unknown, Snakepit.Snakepit | Scope.Scope>,
  prepare: Effect.Effect<void, unknown, Snakepit.Snakepit> = Effect.void
) =>
  Effect.gen(function* () {
    const sockets = yield* socketDirectory
    const before = descriptors()
    const scope = yield* Scope.make()
    const services = yield* Layer.buildWithScope(pool(options), scope)
    const pids = yield* Effect.provide(pidsOf(), services)
    const fiber = yield* Effect.forkChild(Effect.scoped(Effect.exit(program)).pipe(Effect.provide(services)), {
      startImmediately: true
    })
    yield* Effect.provide(prepare, services)
    yield* Scope.close(scope, Exit.void)
    yield* Fiber.await(fiber)
    yield* expectNoProcesses([...pids, ...children()])
    yield* expectNoSockets(sockets)
    yield* waitUntil("the descriptors are as before", () => descriptors().length <= before.length)
  })

const short = { drainTimeout: "50 millis", stopTimeout: "200 millis" } as const

describe("Leaks", () => {
  it.live.each(["fork", "spawn"] as const)("of a worker (%s) whose daemon holds its stdout and stderr open", (start) =>
    Effect.gen(function* () {
      let daemon = 0
      const begin = Effect.map(Snakepit.call("hazards.start_daemon"), (pid) => void (daemon = Number(pid)))
      yield* Effect.addFinalizer(() => kill(daemon, "SIGKILL"))
      yield* nothingIsLeft({ start }, Effect.void, begin)
      assert.isTrue(isRunning(daemon))
    })
  )

  it.live("of a pool that was used: calls, streams, sessions, callbacks, crashes", () =>
    nothingIsLeft(
      { size: 2 },
      Effect.void,
      Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.forEach(Array.from({ length: 50 }), () => Snakepit.call("os.getpid"), { concurrency: 10 })
          yield* Stream.runDrain(Snakepit.stream("range", { args: [100] }))
          const session = yield* Snakepit.session()
          yield* session.construct("plain.Counter")
          yield* Snakepit.call("calling_back.apply", { args: [() => 1] })
          yield* Effect.flip(Snakepit.call("faults.leave", { args: [1] }))
        })
      )
    )
  )

  it.live("of a pool that is closed while a call runs", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      yield* nothingIsLeft(
        short,
        Snakepit.call("stopping.sleeps", { args: [folder] }),
        Effect.asVoid(waitForFile(path.join(folder, "began")))
      )
    })
  )

  it.live("of a pool that is closed while a native call never returns", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      yield* nothingIsLeft(
        short,
        Snakepit.call("stopping.native", { args: [folder] }),
        Effect.asVoid(waitForFile(path.join(folder, "began")))
      )
    })
  )

  it.live("of a pool that is closed while a stream, an async call and a callback are under way", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      yield* nothingIsLeft(
        { ...short, profile: "thread", threads: 3 },
        Effect.all(
          [
            Stream.runForEach(
              Snakepit.stream("counting_up.endless", { args: [path.join(folder, "closed")] }),
              () => Effect.never
            ),
            Snakepit.call("stopping.waits", { args: [folder] }),
            Snakepit.call("calling_back.apply", { args: [() => Effect.never] })
          ],
          { concurrency: "unbounded" }
        ),
        Effect.asVoid(waitForFile(path.join(folder, "began")))
      )
    })
  )

  it.live("of a pool whose worker is frozen", () =>
    nothingIsLeft(short, Effect.void, Effect.flatMap(workerPid, freeze))
  )

  it.live("of a pool whose worker lost its connections", () =>
    nothingIsLeft(short, Effect.void, Effect.asVoid(Effect.exit(cutWire)))
  )

  it.live("of a pool whose worker left a process behind", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      yield* nothingIsLeft(
        short,
        Effect.void,
        Snakepit.call("stopping.leaves_child", { args: [folder] }).pipe(Effect.asVoid)
      )
      const child = Number(yield* waitForFile(path.join(folder, "began")))
      yield* waitUntil("the child is gone", () => !isRunning(child))
    })
  )

  it.live("of pools that are started and closed again and again", () =>
    Effect.gen(function* () {
      const before = descriptors().length
      for (let round = 0; round < 5; round++) yield* nothingIsLeft({ size: 2 }, Effect.void)
      assert.isAtMost(descriptors().length, before)
    })
  )

  it.live("of a pool whose start is interrupted", () =>
    Effect.gen(function* () {
      const sockets = yield* socketDirectory
      const starting = yield* Effect.forkChild(Effect.scoped(Layer.build(pool({ size: 3 }))), {
        startImmediately: true
      })
      yield* waitUntil("a worker process is there", () => children().length > 0)
      yield* Fiber.interrupt(starting)
      yield* expectNoProcesses(children())
      yield* expectNoSockets(sockets)
    })
  )

  it.live("of a worker whose host is killed", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const host = yield* spawnHost(path.join(folder, "pids"))
      const pids = (yield* waitForFile(path.join(folder, "pids"))).split(" ").map(Number)
      assert.strictEqual(pids.filter(isRunning).length, 2)
      yield* kill(host, "SIGKILL")
      yield* waitUntil("the workers are gone", () => pids.every((pid) => !isRunning(pid)))
    })
  )
})

/** A program of its own that starts two workers, writes their process ids into a file, and goes on for ever. */
const spawnHost = (file: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const { spawn } = await import("node:child_process")
        return spawn(
          process.execPath,
          ["--conditions=snakepit-source", path.join(import.meta.dirname, "workers/host.ts"), file],
          {
            stdio: "ignore"
          }
        )
      }),
      (host) => Effect.sync(() => void host.kill("SIGKILL"))
    ),
    (host) => host.pid ?? assert.fail("the host did not start")
  )
