/** Worker profiles: one call at a time on the main thread, several on threads, and many on the event loop in either. */
import { Snakepit } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import { statsOf, tempDirectory, waitForFile, waitForIdle, waitUntil, withPool } from "./harness.ts"

const identity = Schema.Tuple([Schema.Int, Schema.String])

describe("Profiles", () => {
  it.live("process: calls run on the main thread", () =>
    Effect.gen(function* () {
      const [, thread] = yield* Snakepit.call("plain.identity", { success: identity })
      assert.strictEqual(thread, "MainThread")
    }).pipe(withPool({ profile: "process" }))
  )

  it.live("thread: as many calls as there are threads run at the same time", () =>
    Effect.gen(function* () {
      const names = yield* Effect.all(
        Array.from({ length: 8 }, () =>
          Snakepit.call("meeting.at_barrier", { args: ["eight", 8], success: Schema.String })
        ),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(new Set(names).size, 8)
      assert.notInclude(names, "MainThread")
    }).pipe(withPool({ profile: "thread", threads: 8 }))
  )

  it.live("thread: no more calls run at the same time than there are threads", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const go = path.join(folder, "go")
      const fibers = yield* Effect.forEach([0, 1, 2], (index) =>
        Effect.forkChild(Snakepit.call("meeting.until_file", { args: [go, path.join(folder, `started-${index}`)] }), {
          startImmediately: true
        })
      )
      yield* waitForFile(path.join(folder, "started-0"))
      yield* waitForFile(path.join(folder, "started-1"))
      assert.deepInclude(yield* statsOf(), { queued: 1, busy: 1 })
      yield* Effect.promise(() => import("node:fs/promises").then((fs) => fs.writeFile(go, "")))
      yield* Fiber.joinAll(fibers)
    }).pipe(withPool({ profile: "thread", threads: 2 }))
  )

  it.live("thread: results and errors of concurrent calls go to their own callers", () =>
    Effect.gen(function* () {
      const results = yield* Effect.forEach(
        Array.from({ length: 400 }, (_, index) => index),
        (index) =>
          Effect.result(
            Snakepit.call(index % 7 === 0 ? "math.sqrt" : "plain.echo", { args: [index % 7 === 0 ? -1 : index] })
          ),
        { concurrency: "unbounded" }
      )
      results.forEach((result, index) => {
        if (index % 7 === 0) assert.strictEqual(result._tag, "Failure")
        else assert.strictEqual(result._tag === "Success" && result.success, index)
      })
    }).pipe(withPool({ profile: "thread", threads: 4 }))
  )

  for (const profile of ["process", "thread"] as const) {
    it.live(`${profile}: async def targets are many in flight on one event loop`, () =>
      Effect.gen(function* () {
        const arrivals = yield* Effect.all(
          Array.from({ length: 50 }, () => Snakepit.call("meeting.at_rendezvous", { args: ["fifty", 50] })),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          arrivals,
          Array.from({ length: 50 }, () => 50)
        )
      }).pipe(withPool({ profile, threads: 2 }))
    )

    it.live(`${profile}: ordinary calls run while async ones wait`, () =>
      Effect.gen(function* () {
        const folder = yield* tempDirectory
        const go = path.join(folder, "go")
        const waiting = yield* Effect.forkChild(
          Snakepit.call("meeting.until_file_async", { args: [go, path.join(folder, "started")] }),
          { startImmediately: true }
        )
        yield* waitForFile(path.join(folder, "started"))
        assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
        yield* Snakepit.call("meeting.touch", { args: [go] })
        yield* Fiber.join(waiting)
        yield* waitForIdle()
      }).pipe(withPool({ profile, threads: 1 }))
    )
  }

  it.live("an exception of an async def target arrives like any other", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("meeting.at_rendezvous", { args: ["alone", 2, 0.01] }))
      assert.strictEqual(error._tag, "TimeoutError")
    }).pipe(withPool())
  )

  it.live("asyncConcurrency bounds the calls on the event loop of one worker", () =>
    Effect.gen(function* () {
      const folder = yield* tempDirectory
      const go = path.join(folder, "go")
      const fibers = yield* Effect.forEach([0, 1, 2], (index) =>
        Effect.forkChild(
          Snakepit.call("meeting.until_file_async", { args: [go, path.join(folder, `started-${index}`)] }),
          { startImmediately: true }
        )
      )
      yield* waitForFile(path.join(folder, "started-0"))
      yield* waitForFile(path.join(folder, "started-1"))
      yield* waitUntil(
        "the third waits",
        Effect.map(statsOf(), ({ queued }) => queued === 1)
      )
      yield* Effect.promise(() => import("node:fs/promises").then((fs) => fs.writeFile(go, "")))
      yield* Fiber.joinAll(fibers)
    }).pipe(withPool({ asyncConcurrency: 2 }))
  )

  it.live("the thread limits of numeric libraries are each worker's share of the cores", () =>
    Effect.gen(function* () {
      const share = String(Math.max(1, Math.floor(os.availableParallelism() / 2)))
      for (const name of ["OMP", "OPENBLAS", "MKL", "NUMEXPR"]) {
        const variable = `${name}_NUM_THREADS`
        const expected = process.env[variable] ?? share
        assert.strictEqual(yield* Snakepit.call("plain.environment", { args: [variable] }), expected)
      }
    }).pipe(withPool({ size: 2 }))
  )

  it.live("thread limits that the pool sets itself are kept", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("plain.environment", { args: ["OMP_NUM_THREADS"] }), "7")
    }).pipe(withPool({ env: { OMP_NUM_THREADS: "7" } }))
  )
})
