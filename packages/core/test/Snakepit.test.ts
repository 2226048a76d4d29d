import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as PythonError from "../src/PythonError.ts"
import * as RetryPolicy from "../src/RetryPolicy.ts"
import * as Snakepit from "../src/Snakepit.ts"
import { WorkerCrash } from "../src/SnakepitError.ts"
import * as TestWorker from "../src/TestWorker.ts"
import * as Tool from "../src/Tool.ts"
import { Tuple } from "../src/Tuple.ts"
import { ValueAdapter } from "../src/ValueAdapter.ts"

class Unknown {
  readonly data = 1
}

describe("Snakepit.layerTest", () => {
  it.effect("answers values, effects and promises, decoded by the schema", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("a.value", { args: [2], success: Schema.Number }), 4)
      assert.strictEqual(yield* Snakepit.call("a.effect"), "effect")
      assert.strictEqual(yield* Snakepit.call("a.promise"), "promise")
      assert.strictEqual(yield* Snakepit.call("a.nothing"), null)
      assert.strictEqual(yield* Snakepit.call("len", { args: [[1, 2]] }), 2)
      const date = yield* Snakepit.call("a.date", { success: Schema.DateTimeUtcFromString })
      assert.strictEqual(date.epochMilliseconds, 0)
    }).pipe(
      Effect.provide(
        Snakepit.layerTest({
          "a.value": ([x]: [number]) => x * 2,
          "a.effect": () => Effect.succeed("effect"),
          "a.promise": async () => "promise",
          "a.nothing": () => undefined,
          "a.date": () => "1970-01-01T00:00:00.000Z",
          len: ([items]: [Array<unknown>]) => items.length
        })
      )
    )
  )

  it.effect("reads attributes, also inside objects", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.attribute("math.pi", { success: Schema.Number }), 3.14)
      assert.strictEqual(yield* Snakepit.attribute("app.settings.rate"), 0.5)
      assert.strictEqual(yield* Snakepit.call("app.settings.double", { args: [4] }), 8)
      const error = yield* Effect.flip(Snakepit.attribute("app.settings.rat"))
      assert.strictEqual(error._tag, "AttributeError")
    }).pipe(
      Effect.provide(
        Snakepit.layerTest({ "math.pi": 3.14, "app.settings": { rate: 0.5, double: ([x]: [number]) => x * 2 } })
      )
    )
  )

  it.effect("fails for a target that it does not have, and names those that it has", () =>
    Effect.gen(function* () {
      const attribute = yield* Effect.flip(Snakepit.call("statistics.median"))
      assert.strictEqual(attribute._tag, "AttributeError")
      assert.include(attribute.message, "statistics.mean, len")
      const module = yield* Effect.flip(Snakepit.call("numpy.linalg.solve"))
      assert.strictEqual(module._tag, "ModuleNotFoundError")
      assert.include(module.message, "numpy.linalg")
    }).pipe(Effect.provide(Snakepit.layerTest({ "statistics.mean": () => 1, len: () => 0 })))
  )

  it.effect("fails with what a fake throws or fails with", () =>
    Effect.gen(function* () {
      const caught = (target: string) => Effect.flip(Snakepit.call(target, { args: [1], kwargs: { rate: 2 } }))
      const thrown = yield* caught("a.throws")
      assert.strictEqual(thrown._tag, "ValueError")
      assert.deepStrictEqual(PythonError.isPythonError(thrown) ? thrown.call : undefined, {
        target: "a.throws",
        callType: "function",
        arguments: [
          { name: "0", type: "int" },
          { name: "rate", type: "int" }
        ]
      })
      assert.strictEqual((yield* caught("a.fails"))._tag, "KeyError")
      assert.strictEqual((yield* caught("a.rejects"))._tag, "IndexError")
      const library = yield* caught("a.library")
      assert.isTrue(PythonError.isPythonError(library) && PythonError.isInstanceOf(library, "ValueError"))
      assert.strictEqual((yield* caught("a.runtime"))._tag, "WorkerCrash")
      const own = yield* caught("a.bug")
      assert.strictEqual(own._tag, "RuntimeError")
      assert.include(own.message, "TypeError: ")
      const text = yield* caught("a.text")
      assert.strictEqual(text.message, "just text")
    }).pipe(
      Effect.provide(
        Snakepit.layerTest({
          "a.throws": () => {
            throw PythonError.of("ValueError", "bad")
          },
          "a.fails": () => Effect.fail(PythonError.of("KeyError", "'x'")),
          "a.rejects": () => Promise.reject(PythonError.of("IndexError", "out of range")),
          "a.library": () => Effect.fail(PythonError.of("ValueError", "x", { pythonType: "json.JSONDecodeError" })),
          "a.runtime": () =>
            Effect.fail(
              new WorkerCrash({
                pool: "default",
                worker: "w",
                crash: "oom",
                exitCode: null,
                signal: "SIGKILL",
                stderr: [],
                inFlight: [],
                mayHaveExecuted: true
              })
            ),
          "a.bug": ([x]: [{ readonly deep: { readonly value: number } }]) => x.deep.value,
          "a.text": () => Effect.fail("just text")
        })
      )
    )
  )

  it.effect("streams iterables, generators, async generators and streams, and their failures after the values", () =>
    Effect.gen(function* () {
      const all = (target: string) => Stream.runCollect(Snakepit.stream(target, { success: Schema.Int }))
      for (const target of ["a.list", "a.generator", "a.asyncGenerator", "a.stream", "a.later"]) {
        assert.deepStrictEqual(yield* all(target), [0, 1, 2], target)
      }
      const seen: Array<number> = []
      const error = yield* Snakepit.stream("a.fails", { success: Schema.Int }).pipe(
        Stream.runForEach((value) => Effect.sync(() => seen.push(value))),
        Effect.flip
      )
      assert.strictEqual(error._tag, "ValueError")
      assert.deepStrictEqual(seen, [0, 1])
      const wrong = yield* Effect.flip(Stream.runDrain(Snakepit.stream("a.list", { success: Schema.String })))
      assert.strictEqual(wrong._tag, "DecodeError")
      assert.include(wrong.message, "result[0]")
    }).pipe(
      Effect.provide(
        Snakepit.layerTest({
          "a.list": () => [0, 1, 2],
          "a.generator": function* () {
            yield* [0, 1, 2]
          },
          "a.asyncGenerator": async function* () {
            yield* [0, 1, 2]
          },
          "a.stream": () => Stream.make(0, 1, 2),
          "a.later": () => Effect.succeed(new Set([0, 1, 2])),
          "a.fails": function* () {
            yield* [0, 1]
            throw PythonError.of("ValueError", "after two")
          }
        })
      )
    )
  )

  it.effect("closes the generator of a stream that is left early, and keeps it close to the consumer", () => {
    let furthest = 0
    let closed = 0
    return Effect.gen(function* () {
      const seen = yield* Snakepit.stream("a.endless").pipe(Stream.take(3), Stream.runCollect)
      assert.deepStrictEqual(seen, [0, 1, 2])
      assert.strictEqual(yield* Snakepit.call("a.next"), "served")
      assert.strictEqual(closed, 1)
      assert.isAtMost(furthest, 20)
    }).pipe(
      Effect.provide(
        Snakepit.layerTest({
          "a.endless": function* () {
            try {
              for (let i = 0; ; i++) {
                furthest = i
                yield i
              }
            } finally {
              closed++
            }
          },
          "a.next": () => "served"
        })
      )
    )
  })

  it.effect("keeps objects in sessions: methods, attributes, items, iteration and contexts", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const model = yield* session.construct("sklearn.Forest", { kwargs: { trees: 3 } })
      assert.strictEqual(model.pythonType, "sklearn.Forest")
      assert.strictEqual(yield* model.get("n_trees", { success: Schema.Int }), 3)
      yield* model.set("n_trees", 5)
      assert.strictEqual(yield* model.call("score", { args: [[1, 2]], success: Schema.Number }), 10)
      assert.strictEqual(yield* model.item("b", { success: Schema.Number }), 2)
      assert.deepStrictEqual(yield* Stream.runCollect(model.iterate({ success: Schema.String })), ["a", "b"])
      const fitted = yield* model.ref("fit")
      assert.strictEqual(yield* fitted.get("n_trees"), 5)
      yield* Effect.scoped(Effect.flatMap(model.enter(), (inside) => inside.call("score", { args: [[1]] })))
      assert.strictEqual(yield* model.get("open"), false)
      yield* model.release
      assert.strictEqual((yield* Effect.flip(model.get("n_trees")))._tag, "SessionLost")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Snakepit.layerTest({
          "sklearn.Forest": (_args, { trees }: { readonly trees: number }) => ({
            n_trees: trees,
            open: false,
            score(this: { readonly n_trees: number }, [rows]: [Array<number>]) {
              return rows.length * this.n_trees
            },
            fit() {
              return this
            },
            __getitem__: ([key]: [string]) => ({ a: 1, b: 2 })[key],
            __iter__: () => ["a", "b"],
            __enter__(this: { open: boolean }) {
              this.open = true
              return this
            },
            __exit__(this: { open: boolean }) {
              this.open = false
            }
          })
        })
      )
    )
  )

  it.effect("values cross as they would to Python: copied, and refused where nothing fits", () =>
    Effect.gen(function* () {
      const echo = (value: unknown) => Snakepit.call("echo", { args: [value] })
      assert.strictEqual(yield* echo(undefined), null)
      assert.strictEqual(yield* echo(5n), 5)
      assert.strictEqual(yield* echo(2n ** 70n), 2n ** 70n)
      assert.deepStrictEqual(yield* echo(new Map([["a", 1]])), { a: 1 })
      assert.deepStrictEqual(yield* echo(new Map([[1, "a"]])), new Map([[1, "a"]]))
      assert.isTrue(Tuple.isTuple(yield* echo(Tuple.make(1))))
      const bytes = new Uint8Array([1])
      assert.deepStrictEqual(yield* echo(bytes), bytes)
      assert.notStrictEqual(yield* echo(bytes), bytes)
      const refused = yield* Effect.flip(echo([{ model: new Unknown() }]))
      assert.strictEqual(refused._tag, "EncodeError")
      assert.include(refused.message, "args[0][0].model")
      const answered = yield* Effect.flip(Snakepit.call("unknown"))
      assert.strictEqual(answered._tag, "UnserializableResult")
    }).pipe(Effect.provide(Snakepit.layerTest({ echo: ([value]) => value, unknown: () => new Unknown() })))
  )

  it.effect("lets through what a value adapter in force takes", () =>
    Effect.gen(function* () {
      assert.instanceOf(yield* Snakepit.call("echo", { args: [new Unknown()] }), Unknown)
    }).pipe(
      Effect.provide(
        Snakepit.layerTest({ echo: ([value]) => value }).pipe(
          Layer.provide(
            ValueAdapter.layer({
              name: "test/unknown",
              is: (value): value is Unknown => value instanceof Unknown,
              encode: () => null,
              decode: () => new Unknown()
            })
          )
        )
      )
    )
  )

  it.effect("runs callbacks in the caller's context, and lets fakes call tools", () => {
    class City extends Context.Service<City, string>()("test/City") {}
    const weather = Tool.make("weather", {
      description: "Degrees",
      parameters: { city: Schema.String },
      run: ({ city }) => Effect.succeed(`${city}: -3`)
    })
    return Effect.gen(function* () {
      const ask = () => Effect.map(City, (city) => city)
      assert.strictEqual(yield* Snakepit.call("a.report", { args: [ask] }), "Oslo: -3")
    }).pipe(
      Effect.provideService(City, "Oslo"),
      Effect.provide(
        Snakepit.layerTest(
          {
            "a.report": ([ask]: [TestWorker.TestCallback], _kwargs, { tool }) =>
              Effect.flatMap(ask(), (city) => tool("weather", { city }))
          },
          { pools: { default: { tools: [weather] } } }
        )
      )
    )
  })

  it.effect("follows the test clock", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Snakepit.call("a.slow"))
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), "done")
    }).pipe(Effect.provide(Snakepit.layerTest({ "a.slow": () => Effect.delay(Effect.succeed("done"), "1 minute") })))
  )

  it.effect("a worker that dies fails its call, loses its sessions, and is replaced", () =>
    Effect.gen(function* () {
      const session = yield* Snakepit.session()
      const box = yield* session.construct("a.Box")
      const crash = yield* Effect.flip(Snakepit.call("a.crash"))
      assert.strictEqual(crash._tag, "WorkerCrash")
      assert.include(crash.message, "oom")
      assert.strictEqual((yield* Effect.flip(box.get("x")))._tag, "SessionLost")
      const waiting = yield* Effect.forkChild(Snakepit.call("a.fine"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(waiting), "fine")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Snakepit.layerTest({
          "a.Box": () => ({ x: 1 }),
          "a.crash": (_args, _kwargs, { crash }) => crash("oom"),
          "a.fine": () => "fine"
        })
      )
    )
  )

  it.effect("is the real pool: one worker by default, a bounded waiting room, statistics", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const running = yield* Ref.make(0)
      const program = Effect.gen(function* () {
        const fibers = yield* Effect.forEach([1, 2], () =>
          Effect.forkChild(Snakepit.call("a.hold"), { startImmediately: true })
        )
        const refused = yield* Effect.flip(Snakepit.call("a.hold"))
        assert.strictEqual(refused._tag, "PoolSaturated")
        const [stats] = yield* Snakepit.stats
        assert.deepInclude(stats, { pool: "default", size: 1, requests: 3, rejected: 1, queued: 1, busy: 1, idle: 0 })
        yield* Deferred.succeed(gate, undefined)
        yield* Effect.forEach(fibers, Fiber.join)
        assert.strictEqual(yield* Ref.get(running), 2)
        const [after] = yield* Snakepit.stats
        assert.deepInclude(after, { requests: 3, errors: 1, queued: 0, busy: 0, idle: 1 })
      })
      yield* program.pipe(
        Effect.provide(
          Snakepit.layerTest(
            {
              "a.hold": () =>
                Effect.andThen(
                  Ref.update(running, (n) => n + 1),
                  Deferred.await(gate)
                )
            },
            { pools: { default: { maxQueue: 1 } } }
          )
        )
      )
    })
  )

  it.effect("takes the configuration of the program, options of the backend included", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("a.f", { pool: "big" }), 1)
      const [stats] = yield* Snakepit.stats
      assert.strictEqual(stats?.size, 2)
      const missing = yield* Effect.flip(Snakepit.call("a.f", { pool: "small" }))
      assert.strictEqual(missing._tag, "PoolNotFound")
      assert.include(missing.message, "big")
    }).pipe(
      Effect.provide(
        Snakepit.layerTest(
          { "a.f": () => 1 },
          (() => {
            const big = { size: 2, python: "python3.12", requirements: ["numpy"] }
            return { pools: { big } }
          })()
        )
      )
    )
  )
})

describe("Snakepit", () => {
  it.effect("a call is not made before its effect runs, and again each time it runs", () =>
    Effect.gen(function* () {
      let calls = 0
      const count = Snakepit.call("a.count").pipe(Effect.provide(Snakepit.layerTest({ "a.count": () => ++calls })))
      assert.strictEqual(calls, 0)
      assert.strictEqual(yield* count, 1)
      assert.strictEqual(yield* count, 2)
    })
  )

  it.effect("interrupting a call stops what it runs, and frees the worker", () =>
    Effect.gen(function* () {
      const entered = yield* Deferred.make<void>()
      const stopped = yield* Deferred.make<void>()
      yield* Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Snakepit.call("a.hang"))
        yield* Deferred.await(entered)
        yield* Fiber.interrupt(fiber)
        yield* Deferred.await(stopped)
        assert.strictEqual(yield* Snakepit.call("a.next"), "next")
      }).pipe(
        Effect.provide(
          Snakepit.layerTest({
            "a.hang": () =>
              Deferred.succeed(entered, undefined).pipe(
                Effect.andThen(Effect.never),
                Effect.onInterrupt(() => Deferred.succeed(stopped, undefined))
              ),
            "a.next": () => "next"
          })
        )
      )
    })
  )

  for (const timeout of ["soon", {}, Number.NaN, null]) {
    it.effect(`a timeout that is no duration, like ${JSON.stringify(timeout)}, is a defect that names the option`, () =>
      Effect.gen(function* () {
        // what a program without types could pass
        const options = { timeout: timeout as unknown as number }
        for (const effect of [
          Snakepit.call("a.f", options),
          Snakepit.call("a.f", { ...options, retry: RetryPolicy.make() }),
          Stream.runDrain(Snakepit.stream("a.f", options))
        ]) {
          const defect = Cause.squash(yield* Effect.flip(Effect.sandbox(effect)))
          assert.instanceOf(defect, TypeError)
          assert.include(defect.message, "option `timeout`: expected a duration")
        }
      }).pipe(Effect.provide(Snakepit.layerTest({ "a.f": () => 1 })))
    )
  }

  for (const [config, key] of [
    [null, "config"],
    [[], "config"],
    [{ pools: null }, "pools"],
    [{ pools: [] }, "pools"],
    [{ pool: { size: 1 } }, "pool"],
    [{ pools: { main: null } }, "pools.main"]
  ] as const) {
    it.effect(`a configuration like ${JSON.stringify(config)} stops the start and names \`${key}\``, () =>
      Effect.gen(function* () {
        // what a program without types could pass
        const layer = Snakepit.layer(config as unknown as Snakepit.Config).pipe(Layer.provide(TestWorker.layer({})))
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, `\`${key}\``)
        assert.notInclude(error.message, "a value")
      })
    )
  }

  it.live("a call past its deadline fails with CallTimeout", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("a.hang", { timeout: "20 millis" }))
      assert.strictEqual(error._tag, "CallTimeout")
      const byPool = yield* Effect.flip(Snakepit.call("a.hang", { pool: "hasty" }))
      assert.strictEqual(byPool._tag, "CallTimeout")
      assert.include(byPool.message, "30 ms")
    }).pipe(
      Effect.provide(
        Snakepit.layerTest(
          { "a.hang": () => Effect.never },
          { pools: { default: {}, hasty: { callTimeout: "30 millis" } } }
        )
      )
    )
  )

  it.live("a call that no worker takes in time fails with QueueTimeout", () =>
    Effect.gen(function* () {
      yield* Effect.forkChild(Snakepit.call("a.hang"), { startImmediately: true })
      const error = yield* Effect.flip(Snakepit.call("a.hang"))
      assert.strictEqual(error._tag, "QueueTimeout")
    }).pipe(
      Effect.provide(
        Snakepit.layerTest({ "a.hang": () => Effect.never }, { pools: { default: { queueTimeout: "20 millis" } } })
      )
    )
  )

  it.effect("a closed pool fails its callers at once", () =>
    Effect.gen(function* () {
      const context = yield* Layer.build(Snakepit.layerTest({ "a.hang": () => Effect.never })).pipe(Effect.scoped)
      const error = yield* Effect.flip(Snakepit.call("a.hang").pipe(Effect.provide(context)))
      assert.strictEqual(error._tag, "PoolClosed")
    })
  )

  it.effect("closing waits for running calls within the drain time", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const entered = yield* Deferred.make<void>()
      const built = yield* Deferred.make<Context.Context<Snakepit.Snakepit>>()
      const leave = yield* Deferred.make<void>()
      const layer = Snakepit.layerTest(
        {
          "a.hold": () => Effect.andThen(Deferred.succeed(entered, undefined), Effect.as(Deferred.await(gate), "held"))
        },
        { pools: { default: { drainTimeout: "1 minute" } } }
      )
      const owner = yield* Layer.build(layer).pipe(
        Effect.tap((context) => Deferred.succeed(built, context)),
        Effect.andThen(Deferred.await(leave)),
        Effect.scoped,
        Effect.forkChild
      )
      const context = yield* Deferred.await(built)
      const caller = yield* Effect.forkChild(Snakepit.call("a.hold").pipe(Effect.provide(context)))
      yield* Deferred.await(entered)
      yield* Deferred.succeed(leave, undefined)
      yield* Deferred.succeed(gate, undefined)
      assert.strictEqual(yield* Fiber.join(caller), "held")
      yield* Fiber.join(owner)
    })
  )

  it.effect("a configuration that does not hold stops the start with its key", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(
        Effect.scoped(Layer.build(Snakepit.layerTest({}, { pools: { default: { size: 0 } } })))
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.include(String(exit), "pools.default.size")
    })
  )
})
