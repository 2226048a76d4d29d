import { assert, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import { describe } from "vitest"
import { PythonError, RetryPolicy, Snakepit } from "@snakepit/core"
import { CallTimeout, PoolSaturated, type SnakepitError, WorkerCrash } from "../src/SnakepitError.ts"
import { elapse, type Script, scripted } from "./scriptedWorker.ts"

const crash = (mayHaveExecuted: boolean) =>
  new WorkerCrash({
    pool: "default",
    worker: "default-0",
    crash: "segfault",
    exitCode: 139,
    signal: null,
    stderr: [],
    inFlight: [],
    mayHaveExecuted
  })

/** The delays that a policy answers to a failure that goes on, in milliseconds. */
const delaysOf = (policy: Schedule.Schedule<unknown, unknown>, error: unknown, most = 10) =>
  Effect.gen(function* () {
    const step = yield* Schedule.toStep(policy)
    const delays: Array<number> = []
    for (let attempt = 1; attempt <= most; attempt++) {
      const next = yield* Effect.exit(step(attempt, error))
      if (Exit.isFailure(next)) {
        assert.isTrue(next.cause.reasons.every((reason) => reason._tag === "Fail" && Cause.isDone(reason.error)))
        break
      }
      delays.push(Duration.toMillis(next.value[1]))
    }
    return delays
  })

describe("delays", () => {
  const error = crash(false)

  it.effect("grow by strategy up to the longest", () =>
    Effect.gen(function* () {
      const options = { initial: 100, max: 350, jitter: 0, times: 4 }
      assert.deepStrictEqual(yield* delaysOf(RetryPolicy.make(options), error), [100, 200, 350, 350])
      const linear = RetryPolicy.make({ ...options, strategy: "linear" })
      assert.deepStrictEqual(yield* delaysOf(linear, error), [100, 200, 300, 350])
      const constant = RetryPolicy.make({ ...options, strategy: "constant" })
      assert.deepStrictEqual(yield* delaysOf(constant, error), [100, 100, 100, 100])
    })
  )

  it.effect("are spread by the jitter and never beyond it", () =>
    Effect.gen(function* () {
      const policy = RetryPolicy.make({ strategy: "constant", initial: 100, jitter: 0.5, times: 200 })
      const delays = yield* delaysOf(policy, error, 200)
      assert.strictEqual(delays.length, 200)
      assert.isTrue(delays.every((delay) => delay >= 50 && delay <= 150))
      assert.isAbove(Math.max(...delays) - Math.min(...delays), 50)
    })
  )
})

describe("what is tried again", () => {
  const retries = (error: unknown, options: RetryPolicy.Options = {}) =>
    Effect.map(delaysOf(RetryPolicy.make({ times: 1, ...options }), error), (delays) => delays.length === 1)

  it.effect("by default, what has not run", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* retries(new PoolSaturated({ pool: "default", waiting: 1, limit: 1 })))
      assert.isTrue(yield* retries(crash(false)))
      assert.isFalse(yield* retries(crash(true)))
      assert.isFalse(yield* retries(PythonError.of("ValueError", "an answer")))
      assert.isFalse(yield* retries("any failure"))
    })
  )

  it.effect("what may have run, when it is idempotent", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* retries(crash(true)))
      assert.isFalse(yield* retries(PythonError.of("ValueError", "an answer")))
    }).pipe(Effect.provideService(RetryPolicy.Idempotent, true))
  )

  it.effect("what is named, and nothing else", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* retries(PythonError.of("ValueError", "flaky"), { retryable: ["ValueError"] }))
      assert.isFalse(yield* retries(crash(false), { retryable: ["ValueError"] }))
      assert.isTrue(yield* retries(new Error("odd"), { retryable: (error) => error instanceof Error }))
    })
  )

  it.effect("works on any effect", () => {
    let runs = 0
    const flaky = Effect.suspend(() => (++runs < 3 ? Effect.fail({ _tag: "HttpError" }) : Effect.succeed(runs)))
    return Effect.gen(function* () {
      assert.strictEqual(yield* elapse(Effect.retry(flaky, RetryPolicy.make({ retryable: ["HttpError"] }))), 3)
    })
  })
})

describe("the option of a call", () => {
  const failing = (error: SnakepitError, times: number): Script => {
    let runs = 0
    return (worker, number) => worker.answer(number, ++runs <= times ? Exit.fail(error) : Exit.succeed(runs))
  }
  const retry = RetryPolicy.make()

  it.effect("leaves an answer of Python alone unless it is named", () => {
    const { layer } = scripted({ size: 1 }, failing(PythonError.of("ValueError", "bad"), 2))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("f", { retry, idempotent: true }))
      assert.strictEqual(error._tag, "ValueError")
      const patient = RetryPolicy.make({ retryable: ["ValueError"] })
      assert.strictEqual(yield* elapse(Snakepit.call("f", { retry: patient })), 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("tries a call that may have run again only when it is idempotent", () => {
    const timeout = new CallTimeout({ target: "f", timeoutMillis: 5, mayHaveExecuted: true })
    const { layer } = scripted({ size: 1 }, failing(timeout, 2))
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("f", { retry }))
      assert.strictEqual(error._tag, "CallTimeout")
      assert.strictEqual(yield* elapse(Snakepit.call("f", { retry, idempotent: true })), 3)
    }).pipe(Effect.provide(layer))
  })

  it.effect("holds in a session", () => {
    const { layer } = scripted({ size: 1 }, failing(PythonError.of("OSError", "busy"), 1))
    return Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const patient = RetryPolicy.make({ retryable: ["OSError"] })
      assert.strictEqual(yield* elapse(session.call("f", { retry: patient })), 2)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("one timeout holds for all attempts", () => {
    const { layer } = scripted({ size: 1 }, failing(PythonError.of("OSError", "busy"), 1_000))
    const endless = RetryPolicy.make({ strategy: "constant", initial: 5, times: 1_000_000, retryable: ["OSError"] })
    return Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("f", { retry: endless, timeout: 60 }))
      assert.strictEqual(error._tag, "CallTimeout")
    }).pipe(Effect.provide(layer))
  })
})
