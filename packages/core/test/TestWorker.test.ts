import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as PythonFunction from "../src/PythonFunction.ts"
import * as Snakepit from "../src/Snakepit.ts"
import * as TestWorker from "../src/TestWorker.ts"
import { targets, WorkerSpawnerSuite } from "../../../test/WorkerSpawnerSuite.ts"

WorkerSpawnerSuite("TestWorker keeps the contract of a spawner", TestWorker.layer(targets))

it.effect("a string streams its characters, whole ones", () =>
  Effect.gen(function* () {
    assert.deepStrictEqual(yield* Stream.runCollect(Snakepit.stream("word")), ["a", "🐍"])
  }).pipe(Effect.provide(Snakepit.layerTest({ word: () => "a🐍" })))
)

it.effect("a crash of no known class is a mistake of the fake, and ends nothing", () => {
  const crash: TestWorker.TestFunction = ([kind], _kwargs, context) => Reflect.apply(context.crash, undefined, [kind])
  return Effect.gen(function* () {
    const error = yield* Effect.flip(Snakepit.call("crash", { args: ["nonsense"] }))
    assert.strictEqual(error._tag, "RuntimeError")
    assert.include(error.message, "context.crash: expected one of segfault, abort, killed")
    assert.include(error.message, 'got "nonsense"')
    const crashed = yield* Effect.flip(Snakepit.call("crash", { args: ["abort"] }))
    assert.deepInclude(crashed, { _tag: "WorkerCrash", crash: "abort" })
  }).pipe(Effect.provide(Snakepit.layerTest({ crash })))
})

describe("devices", () => {
  const where: TestWorker.TestFunction = (_args, _kwargs, { worker }) => worker
  const layer = (devices: unknown) =>
    Snakepit.layerTest(
      { where, each: (_args, _kwargs, { worker }) => [worker, worker] },
      { pools: { default: { size: 3, ...{ devices } } } }
    )

  it.effect("workers stand on the devices of the configuration in turn, and everything that names one reaches it", () =>
    Effect.gen(function* () {
      const [pool] = yield* Snakepit.stats
      assert.deepStrictEqual(
        pool?.workers.map(({ device, worker }) => [worker, device]),
        [
          ["default-0", "cuda:0"],
          ["default-1", "cuda:1"],
          ["default-2", "cuda:0"]
        ]
      )
      const device = "cuda:1"
      assert.strictEqual(yield* Snakepit.call("where", { device }), "default-1")
      assert.deepStrictEqual(yield* Stream.runCollect(Snakepit.stream("each", { device })), ["default-1", "default-1"])
      const located = PythonFunction.make("where", { payload: {}, success: Schema.String, device })
      assert.strictEqual(yield* located({}), "default-1")
      const session = yield* Snakepit.session({ device })
      assert.strictEqual(yield* session.call("where"), "default-1")
    }).pipe(Effect.scoped, Effect.provide(layer(["cuda", "cuda:1"])))
  )

  it.effect("workers without devices serve no call that names one", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("where", { device: "cpu" }))
      assert.strictEqual(error._tag, "DeviceNotInPool")
      assert.include(error.message, "its workers are placed on none")
    }).pipe(Effect.provide(layer(undefined)))
  )

  it.effect("what is best is the processor, in tests", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("where", { device: "cpu" }), "default-0")
    }).pipe(Effect.provide(layer("auto")))
  )
})
