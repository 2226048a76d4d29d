import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as PythonError from "../src/PythonError.ts"
import { isPyRef } from "../src/PyRef.ts"
import * as Snakepit from "../src/Snakepit.ts"
import { SessionBusy } from "../src/SnakepitError.ts"
import type { TestCallback } from "../src/TestWorker.ts"
import * as Tool from "../src/Tool.ts"

const layer = Snakepit.layerTest({
  "math.pi": 3.14,
  "app.echo": ([value]) => value,
  "app.count": ([n]: [number]) => Array(n).keys(),
  "app.Model": (_args, kwargs) => ({ ...kwargs, size: ([rows]: [ReadonlyArray<unknown>]) => rows.length }),
  "app.pair": () => [{ first: () => 1 }, { second: () => 2 }],
  "app.session": (_args, _kwargs, { session }) => session,
  "app.back": ([callback]: [TestCallback]) => callback(),
  "app.ask": (_args, _kwargs, { tool }) => tool("city", {}),
  "app.Table": () => {
    const rows = new Map<string, number>([["a", 1]])
    return {
      rows,
      scan: () => rows.keys(),
      __getitem__: ([key]: [string]) => rows.get(key) ?? Effect.fail(PythonError.of("KeyError", `'${key}'`)),
      __setitem__: ([key, value]: [string, number]) => {
        rows.set(key, value)
      }
    }
  },
  "app.Lock": () => {
    const log: Array<unknown> = []
    return {
      log,
      __enter__: () => {
        log.push("enter")
        return { held: () => true }
      },
      __exit__: ([error]: [string | undefined]) => {
        log.push(error === undefined ? "exit" : "exit after a failure")
      }
    }
  }
})

describe("Session", () => {
  it.live("a call that its own callback makes is refused, and a callback may answer whatever has a `then`", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const inner = session.call("math.pi")
      let error: unknown = yield* Effect.flip(session.call("app.back", { args: [() => inner] }))
      while (error instanceof PythonError.CallbackError) error = error.original
      assert.instanceOf(error, SessionBusy)
      assert.isTrue(error.waitsForItself)
      // eslint-disable-next-line unicorn/no-thenable -- that is the point
      const thenable = () => ({ then: (resolve: (value: number) => void) => setTimeout(() => resolve(42), 1) })
      assert.strictEqual(yield* session.call("app.back", { args: [thenable] }), 42)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("calls, reads and streams in one place", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      assert.strictEqual(session.pool, "default")
      assert.strictEqual(yield* session.call("app.session"), session.id)
      assert.strictEqual(yield* session.call("app.echo", { args: [5], success: Schema.Int }), 5)
      assert.strictEqual(yield* session.attribute("math.pi", { success: Schema.Number }), 3.14)
      assert.deepStrictEqual(
        yield* Stream.runCollect(session.stream("app.count", { args: [3], success: Schema.Int })),
        [0, 1, 2]
      )
      const error = yield* Effect.flip(session.call("app.echo", { args: ["5"], success: Schema.Int }))
      assert.strictEqual(error._tag, "DecodeError")
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("keeps any result on demand", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const list = yield* session.ref("app.echo", { args: [[1, 2, 3]] })
      assert.strictEqual(list.pythonType, "list")
      assert.strictEqual(yield* list.item(-1), 3)
      assert.strictEqual((yield* Effect.flip(list.item(7)))._tag, "IndexError")
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("answers refs for what cannot cross, wherever it stands in a result", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const pair = yield* session.call("app.pair", { success: Schema.Array(Schema.Unknown) })
      assert.isTrue(pair.every(isPyRef))
      const [first] = pair
      assert.strictEqual(isPyRef(first) ? yield* first.call("first") : undefined, 1)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("a callback's failure without a message is told by its name", () =>
    Effect.gen(function* () {
      const silent = () => Effect.fail(new RangeError())
      const error = yield* Effect.flip(Snakepit.call("app.back", { args: [silent] }))
      assert.strictEqual(error._tag, "CallbackError")
      assert.strictEqual(error.message, "RangeError")
    }).pipe(Effect.provide(layer))
  )

  it.effect("has tools of its own, before those of the pool", () =>
    Effect.gen(function* () {
      const city = (name: string) =>
        Tool.make("city", { description: "A city", parameters: {}, run: () => Effect.succeed(name) })
      const session = yield* Snakepit.session({ tools: [city("Oslo")] })
      assert.strictEqual(yield* session.call("app.ask"), "Oslo")
      const error = yield* Effect.flip(Snakepit.call("app.ask"))
      assert.strictEqual(error._tag, "KeyError")
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("refuses tools of one name, and what is no tool", () =>
    Effect.gen(function* () {
      const city = Tool.make("city", { description: "A city", parameters: {}, run: () => Effect.succeed("Oslo") })
      for (const [tools, expected] of [
        [[city, city], 'expected tools of different names, got ["city","city"]'],
        [[() => "Oslo"], "expected an array of tools, made with Tool.make"]
      ] as const) {
        // What a program without types could pass.
        const exit = yield* Effect.exit(Snakepit.session({ tools: tools as ReadonlyArray<Tool.AnyTool> }))
        if (exit._tag === "Success") return assert.fail("a session was opened")
        assert.include(String(Cause.squash(exit.cause)), "TypeError: option `tools`: " + expected)
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("serves no calls after its scope", () =>
    Effect.gen(function* () {
      const session = yield* Effect.scoped(Snakepit.session())
      const error = yield* Effect.flip(session.call("app.echo"))
      assert.strictEqual(error._tag, "SessionLost")
      assert.include(error.message, session.id)
    }).pipe(Effect.provide(layer))
  )

  it.effect("is refused in a pool that does not exist", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(Snakepit.session({ pool: "gpu" })))
      assert.strictEqual(error._tag, "PoolNotFound")
    }).pipe(Effect.provide(layer))
  )
})

describe("PyRef", () => {
  it.effect("names the class of its object", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const model = yield* session.construct("app.Model", { kwargs: { rate: 2 } })
      assert.isTrue(isPyRef(model))
      assert.isFalse(isPyRef({ handle: model.handle }))
      assert.strictEqual(String(model), "PyRef(app.Model #1)")
      assert.deepInclude(JSON.parse(JSON.stringify(model)), { _id: "PyRef", type: "app.Model", session: session.id })
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("calls methods, reads and writes attributes and items, and iterates", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const table = yield* session.construct("app.Table")
      yield* table.setItem("b", 2)
      assert.strictEqual(yield* table.item("b", { success: Schema.Int }), 2)
      assert.strictEqual((yield* Effect.flip(table.item("c")))._tag, "KeyError")
      assert.deepStrictEqual(yield* table.get("rows"), { a: 1, b: 2 })
      assert.deepStrictEqual(yield* Stream.runCollect(table.stream("scan", { success: Schema.String })), ["a", "b"])
      yield* table.set("label", "cities")
      assert.strictEqual(yield* table.get("label", { success: Schema.String }), "cities")
      const kept = yield* table.ref("scan")
      assert.deepStrictEqual(yield* Stream.runCollect(kept.iterate()), ["a", "b"])
      const missing = yield* Effect.flip(table.call("drop"))
      assert.strictEqual(missing._tag, "AttributeError")
      const plain = yield* Effect.flip(Stream.runDrain(table.iterate()))
      assert.strictEqual(plain._tag, "TypeError")
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("leaves the context manager with its scope, and tells it of a failure", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const lock = yield* session.construct("app.Lock")
      const held = yield* Effect.scoped(Effect.flatMap(lock.enter(), (entered) => entered.call("held")))
      assert.strictEqual(held, true)
      yield* Effect.exit(Effect.scoped(Effect.andThen(lock.enter(), Effect.fail("no"))))
      assert.deepStrictEqual(yield* lock.get("log"), ["enter", "exit", "enter", "exit after a failure"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("is an argument of calls of its session, and of no others", () =>
    Effect.gen(function* () {
      const [session, other] = [yield* Snakepit.session(), yield* Snakepit.session()]
      const list = yield* session.ref("app.echo", { args: [[1, 2]] })
      const model = yield* session.construct("app.Model")
      assert.strictEqual(yield* model.call("size", { args: [list] }), 2)
      for (const call of [other.call("app.echo", { args: [list] }), Snakepit.call("app.echo", { args: [[list]] })]) {
        assert.strictEqual((yield* Effect.flip(call))._tag, "SessionLost")
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("is gone once it is released; the others stay", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const [a, b] = [
        yield* session.construct("app.Model", { kwargs: { n: 1 } }),
        yield* session.construct("app.Model", { kwargs: { n: 2 } })
      ]
      yield* a.release
      yield* a.release
      assert.strictEqual((yield* Effect.flip(a.get("n")))._tag, "SessionLost")
      assert.strictEqual(yield* b.get("n"), 2)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
