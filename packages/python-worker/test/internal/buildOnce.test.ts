import { assert, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { buildOnce } from "../../src/internal/buildOnce.ts"
import * as ProcessIdentity from "../../src/internal/processIdentity.ts"
import { folder } from "../sandbox.ts"

const write = (built: string) =>
  Effect.sync(() => {
    fs.mkdirSync(built)
    fs.writeFileSync(path.join(built, "file"), "")
  })

const isReady = (finished: string) => fs.existsSync(path.join(finished, "file"))

const foreign = ProcessIdentity.format({ host: "000000", pid: 1, started: 0 })

const HOUR_MILLIS = 60 * 60 * 1_000

const age = (file: string, millis: number) => {
  const then = new Date(Date.now() - millis)
  fs.utimesSync(file, then, then)
}

it.live("answers what is there without building", () =>
  Effect.gen(function* () {
    const directory = yield* folder
    const first = yield* buildOnce({ directory, isReady, build: write })
    const second = yield* buildOnce({ directory, isReady, build: () => Effect.die("built twice") })
    assert.strictEqual(second, first)
  }).pipe(Effect.scoped)
)

it.live("lets one fiber build while the others wait", () =>
  Effect.gen(function* () {
    const directory = yield* folder
    const gate = yield* Deferred.make<void>()
    const waiting = yield* Deferred.make<number>()
    let builds = 0
    const build = (built: string) => {
      builds += 1
      return Effect.andThen(Deferred.await(gate), write(built))
    }
    const onWait = (pid: number) => Deferred.doneUnsafe(waiting, Effect.succeed(pid))
    const fibers = [
      yield* Effect.forkChild(buildOnce({ directory, isReady, build, onWait })),
      yield* Effect.forkChild(buildOnce({ directory, isReady, build, onWait }))
    ]
    assert.strictEqual(yield* Deferred.await(waiting), process.pid)
    yield* Deferred.succeed(gate, undefined)
    yield* Effect.forEach(fibers, Fiber.join)
    assert.strictEqual(builds, 1)
  }).pipe(Effect.scoped)
)

it.live("removes what a failed build had done, and builds again when asked again", () =>
  Effect.gen(function* () {
    const directory = yield* folder
    const failing = (built: string) => Effect.andThen(write(built), Effect.fail("no space"))
    assert.strictEqual(yield* Effect.flip(buildOnce({ directory, isReady, build: failing })), "no space")
    assert.deepStrictEqual(fs.readdirSync(directory), [])
    assert.isTrue(isReady(yield* buildOnce({ directory, isReady, build: write })))
  }).pipe(Effect.scoped)
)

it.live("takes over the lock of another host only when it has been silent", () =>
  Effect.gen(function* () {
    const directory = yield* folder
    const lock = path.join(directory, "lock")
    fs.writeFileSync(lock, foreign)
    const waiting = yield* Deferred.make<number>()
    const onWait = (pid: number) => Deferred.doneUnsafe(waiting, Effect.succeed(pid))
    const fiber = yield* Effect.forkChild(buildOnce({ directory, isReady, build: write, onWait }))
    assert.strictEqual(yield* Deferred.await(waiting), 1)
    age(lock, HOUR_MILLIS)
    assert.isTrue(isReady(yield* Fiber.join(fiber)))
    assert.isFalse(fs.existsSync(lock))
  }).pipe(Effect.scoped)
)

it.live("takes over a lock whose content names nobody", () =>
  Effect.gen(function* () {
    const directory = yield* folder
    fs.writeFileSync(path.join(directory, "lock"), "")
    assert.isTrue(isReady(yield* buildOnce({ directory, isReady, build: write })))
  }).pipe(Effect.scoped)
)

it.live("removes abandoned builds, and leaves those that may still be worked on", () =>
  Effect.gen(function* () {
    const directory = yield* folder
    const dead = { ...ProcessIdentity.self, started: ProcessIdentity.self.started + 1 }
    const names = {
      dead: `build-${ProcessIdentity.format(dead)}-aaaaaa`,
      foreign: `build-${foreign}-bbbbbb`,
      foreignAndOld: `build-${foreign}-cccccc`
    }
    for (const name of Object.values(names)) fs.mkdirSync(path.join(directory, name))
    age(path.join(directory, names.foreignAndOld), 25 * HOUR_MILLIS)
    const finished = yield* buildOnce({ directory, isReady, build: write })
    assert.deepStrictEqual(
      fs.readdirSync(directory).toSorted(),
      [names.foreign, fs.readlinkSync(finished), "current"].toSorted()
    )
  }).pipe(Effect.scoped)
)
