/** Workers that are forked from a process that has imported everything, and the death of that process. */
import { Snakepit, SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import {
  children,
  freeze,
  isRunning,
  kill,
  pidsOf,
  pool,
  socketDirectory,
  waitForWorkers,
  waitUntil,
  withPool
} from "./harness.ts"
import { descendants } from "./processTree.ts"

const poolWith = (preload: ReadonlyArray<string>) => pool({ start: "fork", preload })

const getpid = Snakepit.call("os.getpid", { success: Schema.Number })

/** The pool's fork server: the one process that this process has started itself. */
const forkServer = Effect.sync(() => {
  const [server, ...others] = children()
  assert.isDefined(server)
  assert.deepStrictEqual(others, [])
  return server
})

/** The processes that have a variable. */
const processesWith = (variable: string): ReadonlyArray<number> =>
  fs.globSync("[0-9]*/environ", { cwd: "/proc" }).flatMap((file) => {
    try {
      return fs.readFileSync(path.join("/proc", file), "utf8").split("\0").includes(variable)
        ? [Number.parseInt(file)]
        : []
    } catch {
      return [] // it has ended, or is somebody else's
    }
  })

describe("The fork server", () => {
  it.live("workers are its children, and have what it preloaded", () =>
    Effect.gen(function* () {
      const server = yield* forkServer
      assert.includeMembers([...descendants(server)], [...(yield* pidsOf())])
      const loaded = "{'fractions', 'numpy', 'snakepit_worker.arrays'} <= set(__import__('sys').modules)"
      assert.isTrue(yield* Snakepit.call("builtins.eval", { args: [loaded] }))
    }).pipe(withPool({ size: 2, start: "fork", preload: ["fractions", "numpy"] }))
  )

  it.live("when it dies its workers live on, their ends are noticed, and the next start makes a new one", () =>
    Effect.gen(function* () {
      const server = yield* forkServer
      const pid = yield* getpid
      yield* kill(server, "SIGKILL")
      yield* waitUntil("the fork server is gone", () => !isRunning(server))
      assert.strictEqual(yield* getpid, pid)

      const error = yield* Effect.flip(Snakepit.call("hazards.leave", { args: [3] }))
      assert.instanceOf(error, SnakepitError.WorkerCrash)
      assert.strictEqual(error.crash, "exit")
      yield* waitForWorkers(1)
      assert.notStrictEqual(yield* getpid, pid)
      assert.notStrictEqual(yield* forkServer, server)
    }).pipe(withPool({ start: "fork" }))
  )

  it.live("a frozen one does not hide that its workers end, and is replaced when it does not answer", () =>
    Effect.gen(function* () {
      const server = yield* forkServer
      yield* freeze(server)
      assert.isNumber(yield* getpid)
      const error = yield* Effect.flip(Snakepit.call("hazards.leave", { args: [3] }))
      assert.instanceOf(error, SnakepitError.WorkerCrash)
      yield* waitForWorkers(1)
      assert.isNumber(yield* getpid)
      assert.isFalse(isRunning(server))
    }).pipe(withPool({ start: "fork" }))
  )

  it.live("several that are asked for while the first is forked ahead are workers of their own", () =>
    Effect.gen(function* () {
      // which of them gets the one that was forked ahead is a matter of moments
      for (let round = 0; round < 10; round++) {
        const pids = yield* withPool({ size: 3, start: "fork" })(pidsOf())
        assert.strictEqual(new Set(pids).size, 3)
      }
    })
  )

  it.live("a worker forked ahead that was killed is missed by nobody, and leaves no socket", () =>
    Effect.gen(function* () {
      const sockets = yield* socketDirectory
      yield* Effect.gen(function* () {
        const [folder] = fs.readdirSync(sockets)
        if (folder === undefined) return assert.fail("there is no folder for sockets")
        const standing = () =>
          fs.readdirSync(path.join(sockets, folder)).filter((name) => name !== "owner" && name !== "status.sock")
        const server = yield* forkServer
        const pid = yield* getpid
        const ahead = () => descendants(server).find((child) => child !== pid)
        yield* waitUntil("the next worker listens", () => standing().length === 1 && ahead() !== undefined)
        const spare = ahead()
        if (spare === undefined) return assert.fail("no worker was forked ahead")
        yield* kill(spare, "SIGKILL")
        yield* waitUntil("its socket is gone", () => standing().length === 0)
        assert.instanceOf(yield* Effect.flip(Snakepit.call("hazards.leave", { args: [3] })), SnakepitError.WorkerCrash)
        assert.notInclude([pid, spare], yield* getpid)
        yield* waitUntil("another is forked ahead", () => standing().length === 1)
      }).pipe(withPool({ start: "fork" }))
    })
  )

  it.live("a worker that a dying server has handed an order to is none that nobody knows", () =>
    Effect.gen(function* () {
      const died = path.join(yield* socketDirectory, "died")
      yield* Effect.gen(function* () {
        assert.instanceOf(yield* Effect.flip(Snakepit.call("hazards.leave", { args: [3] })), SnakepitError.WorkerCrash)
        yield* waitForWorkers(1)
        assert.isTrue(fs.existsSync(died))
        const server = yield* forkServer
        const marked = `DIED=${died}`
        yield* waitUntil("no other process is left", () => {
          const own = [server, ...descendants(server)]
          return processesWith(marked).every((pid) => own.includes(pid))
        })
      }).pipe(withPool({ start: "fork", preload: ["dies_before_it_tells"], env: { DIED: died } }))
    })
  )

  it.live("forked workers draw different random numbers", () =>
    Effect.gen(function* () {
      const draw = Snakepit.call("hazards.draw", { success: Schema.Tuple([Schema.Int, Schema.Number, Schema.Number]) })
      const drawn = yield* Effect.all([draw, draw, draw, draw], { concurrency: 4 })
      // process, `random`, `numpy.random`
      for (const place of [0, 1, 2]) assert.strictEqual(new Set(drawn.map((one) => one[place])).size, 4)
    }).pipe(withPool({ size: 4, start: "fork", preload: ["random", "numpy.random", "hazards"] }))
  )

  it.live("numeric libraries that were preloaded with one thread have as many as the worker is to have", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("hazards.openblas_threads"), 3)
      assert.strictEqual(yield* Snakepit.call("plain.environment", { args: ["OPENBLAS_NUM_THREADS"] }), "3")
    }).pipe(withPool({ start: "fork", preload: ["numpy"], env: { OPENBLAS_NUM_THREADS: "3" } }))
  )

  it.live("a module that starts a thread when it is imported is refused, and the pool says which", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(Effect.void, poolWith(["threaded_import"])))
      assert.instanceOf(error, SnakepitError.WorkerStartError)
      assert.match(error.reason, /preload: 'threaded_import' started 1 thread\(s\)/)
    })
  )

  it.live("a module that cannot be imported is refused with its traceback", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(Effect.void, poolWith(["no_such_module"])))
      assert.instanceOf(error, SnakepitError.WorkerStartError)
      assert.match(error.reason, /preload: 'no_such_module' does not import:[^]*ModuleNotFoundError/)
    })
  )

  it.live("a module that writes on its boot channel fails the start, and not the host", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.provide(Effect.void, poolWith(["writes_on_boot_channel"])))
      assert.instanceOf(error, SnakepitError.WorkerStartError)
      assert.include(error.reason, "the fork server reported what is no JSON: not a report")
    })
  )

  it.live("nothing of it is left when the pool is closed", () =>
    Effect.gen(function* () {
      yield* withPool({ size: 3, start: "fork" })(getpid)
      yield* waitUntil("no process is left", () => descendants(process.pid).length === 0)
    })
  )
})
