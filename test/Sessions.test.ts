/** Sessions: objects that live between calls, on one worker, for as long as the session lives. */
import { PyRef, Snakepit, SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { kill, pidsOf, statsOf, tempDirectory, waitForFile, waitForWorkers, waitUntil, withPool } from "./harness.ts"

/** Opens a session in a scope of its own, so that the test can close it. */
const openSession = Effect.gen(function* () {
  const scope = yield* Scope.make()
  return { session: yield* Scope.provide(Snakepit.session(), scope), close: Scope.close(scope, Exit.void) }
})

const lostBy = (error: SnakepitError.SnakepitError): string => {
  assert.instanceOf(error, SnakepitError.SessionLost)
  return error.message
}

describe("Sessions", () => {
  it.live("all calls of a session go to one worker, and sessions are spread over the workers", () =>
    Effect.gen(function* () {
      const first = yield* Snakepit.session()
      const second = yield* Snakepit.session()
      const pids = yield* Effect.forEach([first, second], (session) =>
        Effect.map(
          Effect.forEach(Array.from({ length: 20 }), () => session.call("os.getpid"), { concurrency: 5 }),
          (found) => new Set(found)
        )
      )
      assert.deepStrictEqual(
        pids.map((found) => found.size),
        [1, 1]
      )
      assert.strictEqual(new Set(pids.flatMap((found) => [...found])).size, 2)
    }).pipe(withPool({ size: 2 }))
  )

  it.live("objects live between calls and end with the session", () =>
    Effect.gen(function* () {
      const { close, session } = yield* openSession
      const counter = yield* session.construct("plain.Counter")
      yield* counter.call("increment")
      assert.strictEqual(yield* counter.call("increment"), 2)
      yield* close
      assert.include(lostBy(yield* Effect.flip(counter.call("increment"))), "closed")
      assert.include(lostBy(yield* Effect.flip(session.call("math.sqrt", { args: [4] }))), session.id)
    }).pipe(withPool())
  )

  it.live("Python forgets the objects of a closed session", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const { close, session } = yield* openSession
      yield* session.construct("keepsakes.Mortal", { args: [path.join(folder, "gone")] })
      yield* close
      yield* waitForFile(path.join(folder, "gone"))
    }).pipe(withPool())
  )

  it.live("a released ref is lost, the others of its session are not", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const session = yield* Snakepit.session()
      const kept = yield* session.construct("plain.Counter")
      const released = yield* session.construct("keepsakes.Mortal", { args: [path.join(folder, "gone")] })
      yield* released.release
      yield* waitForFile(path.join(folder, "gone"))
      assert.include(lostBy(yield* Effect.flip(released.get("file"))), "released")
      assert.include(lostBy(yield* Effect.flip(session.call("len", { args: [[released]] }))), "released")
      const later = yield* session.construct("plain.Counter", { args: [7] })
      assert.notStrictEqual(later.handle.id, released.handle.id)
      assert.strictEqual(yield* kept.call("increment"), 1)
    }).pipe(withPool())
  )

  it.live("releasing a ref twice does nothing more", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter")
      yield* counter.release
      yield* counter.release
      assert.strictEqual(yield* session.call("math.sqrt", { args: [4] }), 2)
    }).pipe(withPool())
  )

  it.live("a ref of another session is refused, on the same worker and on another", () =>
    Effect.gen(function* () {
      const sessions = yield* Effect.all([Snakepit.session(), Snakepit.session(), Snakepit.session()])
      const [owner, ...others] = sessions
      const counter = yield* owner.construct("plain.Counter", { args: [3] })
      for (const other of others) {
        lostBy(yield* Effect.flip(other.call("len", { args: [counter] })))
        lostBy(yield* Effect.flip(other.call("plain.everything", { kwargs: { deep: [{ ref: counter }] } })))
      }
      lostBy(yield* Effect.flip(Snakepit.call("len", { args: [counter] })))
      assert.strictEqual(yield* owner.call("len", { args: [counter] }), 3)
    }).pipe(withPool({ size: 2 }))
  )

  it.live("a ref of another session is refused on every thread of the thread profile", () =>
    Effect.gen(function* () {
      const owner = yield* Snakepit.session()
      const other = yield* Snakepit.session()
      const counter = yield* owner.construct("plain.Counter", { args: [3] })
      lostBy(yield* Effect.flip(other.call("len", { args: [counter] })))
      assert.strictEqual(yield* owner.call("len", { args: [counter] }), 3)
    }).pipe(withPool({ profile: "thread", threads: 2 }))
  )

  it.live("a forged ref never reaches another object", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter", { args: [3] })
      const invoker = {
        id: session.id,
        invoke: () => Effect.die("a forged ref is not called"),
        iterate: () => assert.fail("a forged ref is not iterated"),
        keep: () => Effect.die("a forged ref is not called"),
        release: () => Effect.void
      }
      const forge = (changes: Partial<typeof counter.handle>) => new PyRef({ ...counter.handle, ...changes }, invoker)
      for (const changes of [
        { id: counter.handle.id + 1 },
        { id: 0 },
        { worker: "default-0-0000" },
        { session: "nobody" }
      ]) {
        lostBy(yield* Effect.flip(session.call("len", { args: [forge(changes)] })))
      }
    }).pipe(withPool())
  )

  it.live("the sessions of a worker that dies are lost, and new ones work", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter")
      const [pid] = yield* pidsOf()
      yield* kill(pid ?? 0, "SIGKILL")
      yield* waitUntil(
        "the session is lost",
        Effect.map(
          Effect.result(counter.call("increment")),
          (result) => result._tag === "Failure" && result.failure._tag === "SessionLost"
        )
      )
      assert.include(lostBy(yield* Effect.flip(counter.get("value"))), "worker ended")
      yield* waitForWorkers(1)
      const next = yield* Snakepit.session()
      lostBy(yield* Effect.flip(next.call("len", { args: [counter] })))
      assert.strictEqual(yield* (yield* next.construct("plain.Counter")).call("increment"), 1)
    }).pipe(withPool())
  )

  it.live("strictQueue: a session waits for its worker, though another is idle", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const session = yield* Snakepit.session()
      const home = yield* session.call("os.getpid")
      const busy = yield* Effect.forkChild(
        session.call("meeting.until_file", { args: [path.join(folder, "go"), path.join(folder, "started")] }),
        { startImmediately: true }
      )
      yield* waitForFile(path.join(folder, "started"))
      const waiting = yield* Effect.forkChild(session.call("os.getpid"), { startImmediately: true })
      assert.notStrictEqual(yield* Snakepit.call("os.getpid"), home)
      assert.isUndefined(waiting.pollUnsafe())
      yield* Snakepit.call("meeting.touch", { args: [path.join(folder, "go")] })
      assert.strictEqual(yield* Fiber.join(busy), home)
      assert.strictEqual(yield* Fiber.join(waiting), home)
    }).pipe(withPool({ size: 2, affinity: "strictQueue" }))
  )

  it.live("strictFailFast: a session whose worker is busy fails at once", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const session = yield* Snakepit.session()
      const busy = yield* Effect.forkChild(
        session.call("meeting.until_file", { args: [path.join(folder, "go"), path.join(folder, "started")] }),
        { startImmediately: true }
      )
      yield* waitForFile(path.join(folder, "started"))
      const error = yield* Effect.flip(session.call("os.getpid"))
      assert.instanceOf(error, SnakepitError.SessionBusy)
      assert.include(error.message, "strictFailFast")
      yield* Snakepit.call("meeting.touch", { args: [path.join(folder, "go")] })
      yield* Fiber.join(busy)
      yield* session.call("os.getpid")
    }).pipe(withPool({ size: 2, affinity: "strictFailFast" }))
  )

  it.live("hint: a session whose worker is busy moves to an idle one", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const session = yield* Snakepit.session()
      const home = yield* session.call("os.getpid")
      const busy = yield* Effect.forkChild(
        session.call("meeting.until_file", { args: [path.join(folder, "go"), path.join(folder, "started")] }),
        { startImmediately: true }
      )
      yield* waitForFile(path.join(folder, "started"))
      assert.notStrictEqual(yield* session.call("os.getpid"), home)
      yield* session.call("meeting.touch", { args: [path.join(folder, "go")] })
      assert.strictEqual(yield* Fiber.join(busy), home)
    }).pipe(withPool({ size: 2, affinity: "hint" }))
  )

  it.live("a session that nobody calls is closed after its idle timeout, and says why", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const { session } = yield* openSession
      const counter = yield* session.construct("keepsakes.Mortal", { args: [path.join(folder, "gone")] })
      yield* waitForFile(path.join(folder, "gone"))
      assert.include(lostBy(yield* Effect.flip(counter.get("file"))), "idle timeout")
      assert.strictEqual((yield* statsOf()).sessions, 0)
    }).pipe(withPool({ sessionIdleTimeout: "100 millis" }))
  )

  it.live("a session whose call runs longer than the idle timeout is not idle", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const idle = yield* Snakepit.session()
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter", { args: [1] })
      const busy = yield* Effect.forkChild(
        session.call("meeting.until_file", { args: [path.join(folder, "go"), path.join(folder, "started")] }),
        { startImmediately: true }
      )
      yield* waitForFile(path.join(folder, "started"))
      yield* waitUntil(
        "the other session has expired",
        Effect.map(statsOf(), ({ sessions }) => sessions === 1)
      )
      lostBy(yield* Effect.flip(idle.call("os.getpid")))
      yield* Snakepit.call("meeting.touch", { args: [path.join(folder, "go")] })
      yield* Fiber.join(busy)
      assert.strictEqual(yield* counter.get("value"), 1)
    }).pipe(withPool({ size: 2, sessionIdleTimeout: "200 millis" }))
  )

  it.live("the maximum of sessions is kept, and a closed one makes room", () =>
    Effect.gen(function* () {
      const { close } = yield* openSession
      yield* Snakepit.session()
      const error = yield* Effect.flip(Effect.scoped(Snakepit.session()))
      assert.instanceOf(error, SnakepitError.SessionLimit)
      assert.include(error.message, "maxSessions")
      yield* close
      yield* Snakepit.session()
      assert.strictEqual((yield* statsOf()).sessions, 2)
    }).pipe(withPool({ maxSessions: 2 }))
  )
})
