import { assert, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { TestClock } from "effect/testing"
import type { PoolOptions } from "../../src/PoolConfig.ts"
import { Sessions } from "../../src/internal/sessions.ts"
import type { Placement } from "../../src/internal/sessions.ts"
import type { ToolRegistration } from "../../src/Worker.ts"
import { sampleCall } from "../../../../test/sampleCall.ts"
import { Harness, poolOptions, TestTicket } from "./scriptedWorker.ts"

const tool: ToolRegistration = { name: "ask", description: "", parameters: {}, run: () => Effect.void }

const make = (options: Partial<PoolOptions> = {}, workers = 2) => {
  const harness = new Harness(options)
  const members = Array.from({ length: workers }, () => harness.add())
  const sessions = new Sessions(poolOptions(options), harness.dispatcher)
  const submit = (placement: Placement, target = "a"): TestTicket => {
    const ticket = new TestTicket(harness.dispatcher, sampleCall(target, { session: placement.id }), undefined)
    sessions.submit(placement, ticket)
    return ticket
  }
  return { harness, members, sessions, submit }
}

const start = (sessions: Sessions, tools: ReadonlyArray<ToolRegistration> = []) => sessions.open(tools)

describe("Sessions", () => {
  it.effect("spread over the workers", () =>
    Effect.gen(function* () {
      const { members, sessions } = make()
      for (let i = 0; i < 4; i++) yield* start(sessions)
      assert.deepStrictEqual(
        members.map(({ member }) => member.sessions),
        [2, 2]
      )
      assert.strictEqual(sessions.size, 4)
    })
  )

  it.effect("stay on workers of their device", () =>
    Effect.gen(function* () {
      const { harness, sessions, submit } = make({ affinity: "hint" })
      const gpus = [harness.add(1, "cuda:0"), harness.add(1, "cuda:1")]
      const placement = yield* sessions.open([], "cuda")
      assert.strictEqual(placement.member, gpus[0]?.member)
      submit(placement)
      // the worker is busy, and the next one free on the device takes over
      submit(placement)
      assert.strictEqual(placement.member, gpus[1]?.member)
      sessions.lose(placement.member)
      assert.strictEqual(placement.member, gpus[0]?.member)
      const error = yield* Effect.flip(sessions.open([], "rocm"))
      assert.strictEqual(error._tag, "DeviceNotInPool")
    })
  )

  it.effect("wait for a worker on their device", () =>
    Effect.gen(function* () {
      const { harness, sessions } = make()
      const { member } = harness.add(1, "cuda:0")
      harness.dispatcher.remove(member)
      const opening = yield* Effect.forkChild(sessions.open([], "cuda:0"), { startImmediately: true })
      harness.add(1, "cpu")
      assert.isUndefined(opening.pollUnsafe())
      const { member: next } = harness.add(1, "cuda:0")
      assert.strictEqual((yield* Fiber.join(opening)).member, next)
    })
  )

  it.effect("have ids that nobody can guess", () =>
    Effect.gen(function* () {
      const { sessions } = make()
      const [a, b] = [yield* start(sessions), yield* start(sessions)]
      assert.match(a.id, /^[0-9a-f-]{36}$/)
      assert.notStrictEqual(a.id, b.id)
    })
  )

  it.effect("register their tools on their worker", () =>
    Effect.gen(function* () {
      const { members, sessions } = make({}, 1)
      const placement = yield* start(sessions, [tool])
      assert.deepStrictEqual(members[0]?.worker.registered, [[["ask"], placement.id]])
    })
  )

  it.effect("are limited in number", () =>
    Effect.gen(function* () {
      const { sessions } = make({ maxSessions: 1 })
      const placement = yield* start(sessions)
      assert.strictEqual((yield* Effect.flip(start(sessions)))._tag, "SessionLimit")
      sessions.close(placement)
      yield* start(sessions)
    })
  )

  it.effect("wait for a worker when none is up", () =>
    Effect.gen(function* () {
      const { harness, sessions } = make({}, 0)
      const opening = yield* Effect.forkChild(start(sessions), { startImmediately: true })
      assert.strictEqual(sessions.size, 0)
      const { member } = harness.add()
      const placement = yield* Fiber.join(opening)
      assert.strictEqual(placement.member, member)
    })
  )

  it.effect("wait for a worker no longer than a call would", () =>
    Effect.gen(function* () {
      const { sessions } = make({ queueTimeout: 1000 }, 0)
      const opening = yield* Effect.forkChild(Effect.flip(start(sessions)), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(opening))._tag, "QueueTimeout")
    })
  )

  it.effect("cannot open once the pool is closed", () =>
    Effect.gen(function* () {
      const { harness, sessions } = make({}, 0)
      const opening = yield* Effect.forkChild(Effect.flip(start(sessions)), { startImmediately: true })
      harness.dispatcher.close(() => {})
      assert.strictEqual((yield* Fiber.join(opening))._tag, "PoolClosed")
      assert.strictEqual((yield* Effect.flip(start(sessions)))._tag, "PoolClosed")
    })
  )

  it.effect("keep their calls on one worker", () =>
    Effect.gen(function* () {
      const { members, sessions, submit } = make()
      const placement = yield* start(sessions)
      submit(placement, "a")
      submit(placement, "b")
      assert.deepStrictEqual(
        members.map(({ worker }) => worker.targets),
        [["a"], []]
      )
    })
  )

  it.effect("release their objects when they close, once", () =>
    Effect.gen(function* () {
      const { members, sessions, submit } = make({}, 1)
      const placement = yield* start(sessions)
      sessions.close(placement)
      sessions.close(placement)
      assert.deepStrictEqual(members[0]?.worker.released, [[placement.id, undefined]])
      assert.strictEqual(members[0]?.member.sessions, 0)
      const late = submit(placement)
      assert.deepInclude(late.error, { _tag: "SessionLost", session: placement.id, mayHaveExecuted: false })
      assert.include(late.error?.message, "it is closed")
    })
  )

  it.effect("are lost with their worker, and the others stay", () =>
    Effect.gen(function* () {
      const { harness, members, sessions, submit } = make()
      const [gone, stays] = [yield* start(sessions), yield* start(sessions)]
      const [first] = members
      first?.worker.die()
      if (first !== undefined) sessions.lose(first.member)
      if (first !== undefined) harness.dispatcher.remove(first.member)
      assert.include(submit(gone).error?.message, "its worker ended")
      assert.isUndefined(submit(stays).outcome)
      assert.strictEqual(sessions.size, 1)
    })
  )

  it.effect("under the affinity hint they move to a free worker, and their tools with them", () =>
    Effect.gen(function* () {
      const { members, sessions, submit } = make({ affinity: "hint" })
      const placement = yield* start(sessions, [tool])
      submit(placement, "a")
      submit(placement, "b")
      assert.deepStrictEqual(
        members.map(({ worker }) => worker.targets),
        [["a"], ["b"]]
      )
      assert.deepStrictEqual(
        members.map(({ member }) => member.sessions),
        [0, 1]
      )
      assert.deepStrictEqual(members[1]?.worker.registered, [[["ask"], placement.id]])
    })
  )

  it.effect("a session that moved is released wherever it has been", () =>
    Effect.gen(function* () {
      const { members, sessions, submit } = make({ affinity: "hint" })
      const placement = yield* start(sessions)
      submit(placement, "a")
      submit(placement, "b")
      sessions.close(placement)
      for (const { worker } of members) assert.deepStrictEqual(worker.released, [[placement.id, undefined]])
    })
  )

  it.effect("under the affinity hint they survive their worker", () =>
    Effect.gen(function* () {
      const { harness, members, sessions, submit } = make({ affinity: "hint" })
      const placement = yield* start(sessions)
      const [first, second] = members
      first?.worker.die()
      if (first !== undefined) sessions.lose(first.member)
      if (first !== undefined) harness.dispatcher.remove(first.member)
      submit(placement, "a")
      assert.deepStrictEqual(second?.worker.targets, ["a"])
    })
  )

  it.effect("expire when nobody calls them, but not while they have a call, running or waiting", () =>
    Effect.gen(function* () {
      const { members, sessions, submit } = make({ sessionIdleTimeout: 40 }, 1)
      const [idle, running, waiting] = [yield* start(sessions), yield* start(sessions), yield* start(sessions)]
      submit(running, "a")
      submit(waiting, "b")
      vi.useFakeTimers({ toFake: ["Date"] })
      yield* Effect.addFinalizer(() => Effect.sync(() => vi.useRealTimers()))
      yield* Effect.forkChild(sessions.expire, { startImmediately: true })
      const pass = (millis: number) =>
        Effect.andThen(
          Effect.sync(() => vi.advanceTimersByTime(millis)),
          TestClock.adjust(millis)
        )
      yield* pass(20)
      assert.isUndefined(idle.lost)
      yield* pass(30)
      assert.include(idle.lost ?? "", "idle timeout")
      assert.isUndefined(running.lost)
      assert.isUndefined(waiting.lost)
      members[0]?.worker.reply()
      members[0]?.worker.reply()
      yield* pass(60)
      assert.isDefined(running.lost)
      assert.isDefined(waiting.lost)
      assert.strictEqual(sessions.size, 0)
    })
  )
})
