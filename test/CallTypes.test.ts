/** Every call type of the runtime contract, as users reach it. */
import { isPyRef, Snakepit } from "@snakepit/core"
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { pool } from "./harness.ts"

layer(pool(), { excludeTestServices: true })("Call types", (it) => {
  it.effect("class makes an object and answers a ref to it", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter", { args: [5] })
      assert.strictEqual(counter.pythonType, "plain.Counter")
      const nested = yield* session.construct("plain.Counter.Nested")
      assert.strictEqual(yield* nested.get("name"), "nested")
    })
  )

  it.effect("class takes keyword arguments", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter", { kwargs: { start: 9 } })
      assert.strictEqual(yield* counter.get("value"), 9)
    })
  )

  it.effect("method calls a method, with positional and keyword arguments", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter")
      assert.strictEqual(yield* counter.call("increment"), 1)
      assert.strictEqual(yield* counter.call("increment", { kwargs: { by: 4 }, success: Schema.Number }), 5)
    })
  )

  it.effect("method reaches attributes of attributes", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter")
      yield* counter.call("items.update", { args: [{ a: 1 }] })
      assert.deepStrictEqual(yield* counter.get("items"), { a: 1 })
    })
  )

  it.effect("get_attr and set_attr read and write an attribute", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter", { args: [2] })
      assert.strictEqual(yield* counter.get("doubled", { success: Schema.Int }), 4)
      yield* counter.set("value", 10)
      assert.strictEqual(yield* counter.get("doubled"), 20)
      assert.strictEqual((yield* Effect.flip(counter.set("doubled", 1)))._tag, "AttributeError")
    })
  )

  it.effect("module_attr reads an attribute of a module, in a session and outside", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      assert.strictEqual(yield* session.attribute("plain.VALUE"), 42)
      assert.strictEqual(yield* Snakepit.attribute("plain.VALUE"), 42)
    })
  )

  it.effect("item reads and writes by key", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter")
      yield* counter.setItem("key", [1, 2])
      assert.deepStrictEqual(yield* counter.item("key"), [1, 2])
      const error = yield* Effect.flip(counter.item("missing"))
      assert.strictEqual(error._tag, "KeyError")
    })
  )

  it.effect("iterate streams what an object yields", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter", { args: [50] })
      const values = yield* Stream.runCollect(counter.iterate({ success: Schema.Int }))
      assert.deepStrictEqual(
        values,
        Array.from({ length: 50 }, (_, index) => index)
      )
    })
  )

  it.effect("enter and exit run a with block that ends well", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const block = yield* session.construct("plain.Block")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const entered = yield* block.enter()
          assert.deepStrictEqual(yield* entered.get("log"), ["enter"])
        })
      )
      assert.deepStrictEqual(yield* block.get("log"), ["enter", "exit None: None"])
    })
  )

  it.effect("exit is given the error of a with block that fails", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const block = yield* session.construct("plain.Block")
      const scope = yield* Scope.make()
      yield* Scope.provide(block.enter(), scope)
      yield* Scope.close(scope, Exit.fail(new Error("the block went wrong")))
      const log = yield* block.get("log", { success: Schema.Array(Schema.String) })
      assert.match(log[1] ?? "", /^exit CallbackError: .*the block went wrong/s)
    })
  )

  it.effect("what exit answers suppresses no failure of the scope", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const block = yield* session.construct("plain.Suppressing")
      const error = yield* Effect.flip(
        Effect.scoped(Effect.andThen(block.enter(), session.call("int", { args: ["no number"] })))
      )
      assert.strictEqual(error._tag, "ValueError")
      assert.strictEqual(yield* block.get("seen"), "CallbackError")
    })
  )

  it.effect("an object for async with is refused", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const lock = yield* session.construct("asyncio.Lock")
      const error = yield* Effect.flip(Effect.scoped(lock.enter()))
      assert.strictEqual(error._tag, "AttributeError")
      assert.include(error.message, "__enter__")
    })
  )

  it.effect("a result that cannot cross is a ref inside a session", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const value = yield* session.call("plain.Unsendable")
      if (!isPyRef(value)) return assert.fail(`expected a ref, got ${String(value)}`)
      assert.strictEqual(value.pythonType, "plain.Unsendable")
      const inside = yield* session.call("plain.unsendable", {
        success: Schema.Struct({ rows: Schema.Tuple([Schema.Number, Schema.Any]) })
      })
      assert.isTrue(isPyRef(inside.rows[1]))
    })
  )

  it.effect("a ref goes back to Python as the object it names", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const counter = yield* session.construct("plain.Counter", { args: [3] })
      assert.strictEqual(yield* session.call("len", { args: [counter] }), 3)
      assert.deepStrictEqual(
        yield* session
          .call("plain.everything", { args: [[counter]], kwargs: {} })
          .pipe(
            Effect.map(
              (value) =>
                Array.isArray(value) && Array.isArray(value[0]) && Array.isArray(value[0][0]) && isPyRef(value[0][0][0])
            )
          ),
        true
      )
    })
  )

  it.effect("the results of functions and methods can be kept in Python", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const list = yield* session.ref("list", { args: [[1, 2, 3]] })
      assert.strictEqual(list.pythonType, "list")
      yield* list.call("append", { args: [4] })
      const copy = yield* list.ref("copy")
      yield* copy.call("append", { args: [5] })
      assert.strictEqual(yield* session.call("len", { args: [list] }), 4)
      assert.strictEqual(yield* session.call("len", { args: [copy] }), 5)
    })
  )

  it.effect("a session knows its id in Python", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      assert.strictEqual(yield* session.call("snakepit_worker.session_id"), session.id)
      assert.strictEqual(yield* Snakepit.call("snakepit_worker.session_id"), null)
    })
  )
})
