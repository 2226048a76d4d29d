/** Spans of calls, streams, sessions and worker starts, and the trace context that Python reads. */
import { Snakepit } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { withPool } from "./harness.ts"

/** A tracer that keeps its spans. */
const recording = (spans: Array<Tracer.NativeSpan>) =>
  Layer.succeed(
    Tracer.Tracer,
    Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
  )

const traced = <A, E, R>(program: (spans: Array<Tracer.NativeSpan>) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const spans: Array<Tracer.NativeSpan> = []
    return Effect.provide(program(spans), recording(spans))
  })

const attributes = (span: Tracer.NativeSpan | undefined) => Object.fromEntries(span?.attributes ?? [])

describe("Spans", () => {
  it.live("a call is a span with target, pool, worker, queue time and Python time", () =>
    traced((spans) =>
      Effect.gen(function* () {
        yield* Snakepit.call("math.sqrt", { args: [4], attributes: { "app.step": "first" } })
        const span = spans.find(({ name }) => name === "snakepit.call")
        const found = attributes(span)
        assert.deepInclude(found, {
          "rpc.system": "snakepit",
          "rpc.method": "math.sqrt",
          "snakepit.call_type": "function",
          "snakepit.pool": "default",
          "snakepit.worker": "default-0",
          "app.step": "first"
        })
        for (const key of ["snakepit.queue_ms", "snakepit.python_ms"]) {
          assert.isAtLeast(Number(found[key]), 0, key)
          assert.isBelow(Number(found[key]), 10_000, key)
        }
        assert.strictEqual(span?.status._tag, "Ended")
        assert.strictEqual(span?.kind, "client")
      }).pipe(withPool())
    )
  )

  it.live("a failing call ends its span with the failure", () =>
    traced((spans) =>
      Effect.gen(function* () {
        yield* Effect.flip(Snakepit.call("math.sqrt", { args: [-1] }))
        const span = spans.find(({ name }) => name === "snakepit.call")
        assert.isTrue(span?.status._tag === "Ended" && span.status.exit._tag === "Failure")
        assert.isAtLeast(Number(attributes(span)["snakepit.python_ms"]), 0)
      }).pipe(withPool())
    )
  )

  it.live("a session's calls stand inside its span, or are linked to it from another", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const session = yield* Snakepit.session()
        yield* session.call("os.getpid")
        yield* session.call("os.getpid").pipe(Effect.withSpan("step"))
        const own = spans.find(({ name }) => name === "snakepit.session")
        const [inside, elsewhere] = spans.filter(({ name }) => name === "snakepit.call")
        const parentOf = (span: Tracer.NativeSpan | undefined) =>
          span?.parent._tag === "Some" ? span.parent.value.spanId : undefined
        assert.strictEqual(parentOf(inside), own?.spanId)
        assert.strictEqual(parentOf(elsewhere), spans.find(({ name }) => name === "step")?.spanId)
        assert.deepStrictEqual(
          elsewhere?.links.map(({ span }) => span.spanId),
          [own?.spanId]
        )
      }).pipe(withPool())
    )
  )

  it.live("streams, sessions and worker starts are spans", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const named = (name: string) => spans.filter((span) => span.name === name)
        assert.deepStrictEqual(
          named("snakepit.worker.start").map((span) => attributes(span)["snakepit.worker"]),
          ["default-0", "default-1"]
        )
        yield* Stream.runDrain(Snakepit.stream("range", { args: [3] }))
        assert.deepInclude(attributes(named("snakepit.stream")[0]), {
          "rpc.method": "range",
          "snakepit.pool": "default"
        })
        assert.strictEqual(named("snakepit.stream")[0]?.status._tag, "Ended")
        yield* Effect.scoped(
          Effect.gen(function* () {
            const session = yield* Snakepit.session()
            yield* session.call("os.getpid")
            assert.strictEqual(attributes(named("snakepit.call")[0])["snakepit.session"], session.id)
            assert.strictEqual(named("snakepit.session")[0]?.status._tag, "Started")
          })
        )
        assert.strictEqual(named("snakepit.session")[0]?.status._tag, "Ended")
      }).pipe(withPool({ size: 2 }))
    )
  )

  it.live("Python reads the call's span as a W3C traceparent", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const header = yield* Snakepit.call("snakepit_worker.traceparent", { success: Schema.String }).pipe(
          Effect.withSpan("outer")
        )
        const call = spans.find(({ name }) => name === "snakepit.call")
        const outer = spans.find(({ name }) => name === "outer")
        assert.strictEqual(header, `00-${call?.traceId}-${call?.spanId}-01`)
        assert.strictEqual(call?.traceId, outer?.traceId)
        assert.match(header, /^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/)
      }).pipe(withPool())
    )
  )

  it.live("Python reads it in async code, streams and threads too", () =>
    traced((spans) =>
      Effect.gen(function* () {
        const ended = () => spans.at(-1)
        assert.include(String(yield* Snakepit.call("tracing.read_async")), String(ended()?.spanId))
        const [streamed] = yield* Stream.runCollect(Snakepit.stream("tracing.read_in_stream"))
        assert.include(String(streamed), String(ended()?.spanId))
      }).pipe(withPool({ profile: "thread" }))
    )
  )

  it.live("without a tracer an enclosing span is passed on, and without a span there is none", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("snakepit_worker.traceparent"), null)
      const parent = Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: false })
      assert.strictEqual(
        yield* Snakepit.call("snakepit_worker.traceparent").pipe(Effect.withParentSpan(parent)),
        `00-${"a".repeat(32)}-${"b".repeat(16)}-00`
      )
    }).pipe(withPool())
  )
})
