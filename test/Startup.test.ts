/** What a start needs, and how it fails: with what was wrong and what to do, never with a hang. */
import { Snakepit, SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import {
  children,
  expectNoProcesses,
  expectNoSockets,
  pool,
  socketDirectory,
  tempDirectory,
  type TestPool,
  waitUntil,
  withPool,
  workersFolder
} from "./harness.ts"

/** The error of a pool that must not start; nothing may be left of it. */
const startError = (options: object) =>
  Effect.gen(function* () {
    const sockets = yield* socketDirectory
    // options of any kind, as a program without types would pass them
    const error = yield* Effect.flip(Effect.scoped(Layer.build(pool(options as TestPool))))
    yield* expectNoSockets(sockets)
    yield* expectNoProcesses(children())
    return error
  })

describe("Startup", () => {
  it.live("a configuration key that does not exist is named, with those that do", () =>
    Effect.gen(function* () {
      const error = yield* startError({ sise: 2 })
      assert.instanceOf(error, SnakepitError.ConfigError)
      assert.include(error.message, "pools.default.sise")
      for (const known of ["size", "python", "maxFrameBytes"]) assert.include(error.message, known)
    })
  )

  for (const [key, value, expected] of [
    ["size", 0, "integer of at least 1"],
    ["size", 1.5, "integer"],
    ["profile", "fork", '"process", "thread"'],
    ["threads", -1, "integer"],
    ["queueTimeout", "soon", "duration"],
    ["affinity", "loose", "strictQueue"],
    ["allowPrivate", "yes", "boolean"],
    ["maxFrameBytes", 10, "integer from 1024"],
    ["pythonPath", "lib", "array"],
    ["env", ["A=1"], "object of strings"],
    ["startTimeout", -1, "duration"],
    ["progress", "loud", "silent"]
  ] as const) {
    it.live(`${key} = ${JSON.stringify(value)} is refused with what is allowed`, () =>
      Effect.gen(function* () {
        const error = yield* startError({ [key]: value })
        assert.include(error.message, `pools.default.${key}`)
        assert.include(error.message, expected)
      })
    )
  }

  it.live.each(["fork", "spawn"])("a working directory that does not exist is named (%s)", (start) =>
    Effect.gen(function* () {
      const file = yield* startError({ cwd: import.meta.filename, start })
      assert.instanceOf(file, SnakepitError.WorkerStartError)
      assert.include(file.reason, `could not be started in ${import.meta.filename}, which is no folder`)
      const error = yield* startError({ cwd: "/nowhere/at/all", start })
      assert.instanceOf(error, SnakepitError.WorkerStartError)
      assert.include(error.reason, "could not be started in /nowhere/at/all, which does not exist")
    })
  )

  it.live("an interpreter that does not exist is named", () =>
    Effect.gen(function* () {
      const error = yield* startError({ python: "/nowhere/python3" })
      assert.instanceOf(error, SnakepitError.WorkerStartError)
      assert.include(error.message, "/nowhere/python3")
    })
  )

  it.live("a worker that dies before it is ready fails the start with its stderr", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      fs.writeFileSync(path.join(folder, "socket.py"), "import sys\nsys.exit('no sockets today')\n")
      const error = yield* startError({ env: { PYTHONPATH: folder } })
      assert.instanceOf(error, SnakepitError.WorkerStartError)
      assert.include(error.message, "no sockets today")
    })
  )

  it.live.each(["fork", "spawn"])(
    "a worker that never answers fails the start after the start timeout, with what it wrote last (%s)",
    (start) =>
      Effect.gen(function* () {
        const folder = yield* tempDirectory
        const code = "import sys, time\nprint('looking for the licence server', file=sys.stderr)\ntime.sleep(3600)\n"
        fs.writeFileSync(path.join(folder, "socket.py"), code)
        const error = yield* startError({ env: { PYTHONPATH: folder }, startTimeout: "1 second", start })
        assert.instanceOf(error, SnakepitError.WorkerStartError)
        assert.include(error.reason, "1000 ms")
        assert.deepStrictEqual(error.stderr, ["looking for the licence server"])
      })
  )

  it.live("a user's module may have the name of one of ours", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      fs.writeFileSync(path.join(folder, "wire.py"), "who = 'the user'\n")
      fs.writeFileSync(path.join(folder, "values.py"), "who = 'the user'\n")
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* Snakepit.attribute("wire.who"), "the user")
        assert.strictEqual(yield* Snakepit.attribute("values.who"), "the user")
      }).pipe(withPool({ pythonPath: [folder] }))
    })
  )

  it.live("cwd, env and pythonPath are as configured", () =>
    Effect.gen(function* () {
      const folder = yield* Effect.map(tempDirectory, (made) => fs.realpathSync(made))
      fs.mkdirSync(path.join(folder, "lib"))
      fs.writeFileSync(path.join(folder, "here.py"), "name = 'in the working directory'\n")
      fs.writeFileSync(path.join(folder, "lib", "there.py"), "name = 'beside it'\n")
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* Snakepit.call("os.getcwd"), folder)
        assert.strictEqual(yield* Snakepit.attribute("here.name"), "in the working directory")
        assert.strictEqual(yield* Snakepit.attribute("there.name"), "beside it")
        assert.strictEqual(yield* Snakepit.call("plain.environment", { args: ["GREETING"] }), "hello 蛇")
      }).pipe(withPool({ cwd: folder, pythonPath: ["lib", workersFolder], env: { GREETING: "hello 蛇" } }))
    })
  )

  // of forked workers, the next one listens already
  for (const [start, listening] of [
    ["fork", 1],
    ["spawn", 0]
  ] as const) {
    it.live(
      `sockets stand in a folder that only its user can enter, and are gone once all channels are open (${start})`,
      () =>
        Effect.gen(function* () {
          const sockets = yield* socketDirectory
          yield* Effect.suspend(() => {
            const [folder] = fs.readdirSync(sockets)
            if (folder === undefined) return assert.fail("there is no folder for sockets")
            assert.strictEqual(fs.statSync(path.join(sockets, folder)).mode & 0o777, 0o700)
            const standing = () =>
              fs.readdirSync(path.join(sockets, folder)).filter((name) => name !== "owner" && name !== "status.sock")
            return waitUntil("those of the workers are gone", () => standing().length === listening)
          }).pipe(withPool({ size: 2, start }))
          yield* expectNoSockets(sockets)
        })
    )
  }

  it.live("the token is neither in the arguments nor in the environment of the worker", () =>
    Effect.gen(function* () {
      const seen = yield* Snakepit.call("secrets_seen.everything")
      assert.strictEqual(seen, "nothing")
    }).pipe(withPool())
  )
})
