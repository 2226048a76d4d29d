import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import type { Decode } from "../../src/internal/decodeResult.ts"
import { CallTicket, StreamTicket, type Timings } from "../../src/internal/tickets.ts"
import * as PythonError from "../../src/PythonError.ts"
import { sampleCall } from "../../../../test/sampleCall.ts"
import { Harness } from "./scriptedWorker.ts"

const openStream = (onSettled?: (timings: Timings) => void) => {
  const harness = new Harness()
  const { worker } = harness.add()
  const ticket = new StreamTicket(harness.dispatcher, sampleCall("stream", { stream: true }), undefined, onSettled)
  harness.dispatcher.submit(ticket)
  return { harness, worker, ticket }
}

const isDone = (effect: Effect.Effect<unknown, unknown>) =>
  Effect.map(Effect.exit(effect), (exit) => Exit.isFailure(exit) && Pull.isDoneCause(exit.cause))

describe("CallTicket", () => {
  it("resumes with the decoded value", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    let resumed: Effect.Effect<unknown, unknown> | undefined
    const seen: Array<Timings> = []
    harness.dispatcher.submit(
      new CallTicket(
        harness.dispatcher,
        sampleCall("a"),
        undefined,
        (value, root) => Effect.succeed([root, value]),
        (effect) => {
          resumed = effect
        },
        (timings) => seen.push(timings)
      )
    )
    assert.isUndefined(resumed)
    worker.reply(1, Exit.succeed(5))
    assert.deepStrictEqual(resumed, Exit.succeed(["result", 5]))
    assert.deepStrictEqual(seen, [{ worker: "w1", queueMillis: 0, pythonMillis: undefined }])
  })

  it("resumes with the failure, undecoded", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    let resumed: Effect.Effect<unknown, unknown> | undefined
    const resume = (effect: Effect.Effect<unknown, unknown>) => {
      resumed = effect
    }
    const never = () => assert.fail("a failure is not decoded")
    harness.dispatcher.submit(new CallTicket(harness.dispatcher, sampleCall("a"), undefined, never, resume, undefined))
    const error = PythonError.of("ValueError", "bad")
    worker.reply(1, Exit.fail(error))
    assert.deepStrictEqual(resumed, Exit.fail(error))
  })
})

/** What a call is resumed with whose result, 5, is decoded so. */
const resumedWith = (decode: Decode<unknown, never>, timeoutMillis?: number): Effect.Effect<unknown, unknown> => {
  const harness = new Harness()
  const { worker } = harness.add()
  let resumed: Effect.Effect<unknown, unknown> = Effect.die("not resumed")
  const resume = (effect: Effect.Effect<unknown, unknown>) => {
    resumed = effect
  }
  const ticket = new CallTicket(harness.dispatcher, sampleCall("a"), timeoutMillis, decode, resume, undefined)
  harness.dispatcher.submit(ticket)
  worker.reply(1, Exit.succeed(5))
  return resumed
}

describe("CallTicket's schema", () => {
  it("that throws is a defect of the call, not of who delivers", () => {
    const broken = new TypeError("used before it was defined")
    const decode = () => {
      throw broken
    }
    assert.deepStrictEqual(resumedWith(decode), Exit.die(broken))
  })

  it.live("that takes longer than the deadline ends with it", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(resumedWith(() => Effect.never, 20))
      assert.deepInclude(error, { _tag: "CallTimeout", timeoutMillis: 20, mayHaveExecuted: true })
    })
  )
})

describe("StreamTicket", () => {
  it.effect("gives chunks in order, acknowledges each as it is taken, and then is done", () =>
    Effect.gen(function* () {
      const { ticket, worker } = openStream()
      ticket.onChunk([1])
      ticket.onChunk([2, 3])
      assert.deepStrictEqual(worker.acked, [])
      assert.deepStrictEqual(yield* ticket.pull, [1])
      assert.deepStrictEqual(worker.acked, [1])
      assert.deepStrictEqual(yield* ticket.pull, [2, 3])
      worker.reply()
      assert.isTrue(yield* isDone(ticket.pull))
      assert.deepStrictEqual(worker.acked, [1, 1])
    })
  )

  it.effect("waits for a chunk that is not there yet", () =>
    Effect.gen(function* () {
      const { ticket } = openStream()
      const fiber = yield* Effect.forkChild(ticket.pull, { startImmediately: true })
      ticket.onChunk(["late"])
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["late"])
    })
  )

  it.effect("gives what came before a failure first", () =>
    Effect.gen(function* () {
      const { ticket, worker } = openStream()
      ticket.onChunk([1])
      worker.reply(1, Exit.fail(PythonError.of("ValueError", "after one")))
      assert.deepStrictEqual(yield* ticket.pull, [1])
      const error = yield* Effect.flip(ticket.pull)
      assert.strictEqual(error._tag, "ValueError")
    })
  )

  it.effect("acknowledges nothing once the stream has ended", () =>
    Effect.gen(function* () {
      const { ticket, worker } = openStream()
      ticket.onChunk([1])
      worker.reply()
      yield* ticket.pull
      assert.deepStrictEqual(worker.acked, [])
    })
  )

  it.effect("passes over empty chunks", () =>
    Effect.gen(function* () {
      const { ticket, worker } = openStream()
      ticket.onChunk([])
      ticket.onChunk([1])
      assert.deepStrictEqual(yield* ticket.pull, [1])
      assert.deepStrictEqual(worker.acked, [1, 1])
    })
  )

  it("keeps nothing that comes after its consumer has left", () => {
    const { harness, ticket, worker } = openStream()
    harness.dispatcher.abandon(ticket)
    ticket.onChunk([1])
    assert.deepStrictEqual(worker.interrupted, [1])
    worker.stopInterrupted()
    assert.strictEqual(harness.dispatcher.inFlight, 0)
  })
})
