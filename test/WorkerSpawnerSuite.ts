/**
 * What every `WorkerSpawner` owes, as tests: run it against each implementation. The contract is written in
 * `packages/core/src/Worker.ts`.
 *
 * The targets exist twice: as Python modules in `workers/`, for spawners of real processes, and as {@link targets} for the
 * test layer. Both are called by the same names and do the same.
 */
import {
  type Call,
  isPyRef,
  PoolConfig,
  PyRef,
  PythonError,
  SnakepitError,
  type TestWorker,
  Tool,
  Tuple,
  type Worker,
  WorkerSpawner
} from "@snakepit/core"
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { sampleCall } from "./sampleCall.ts"

// ---------------------------------------------------------------------------------------------------------------------
// The targets, for the test layer
// ---------------------------------------------------------------------------------------------------------------------

type Callback = TestWorker.TestCallback

const makeBox = (items: Array<number>): Record<string, unknown> => {
  const box: Record<string, unknown> = {
    label: "box",
    items,
    ends: [],
    add: ([item]: [number]) => items.push(item),
    itself: () => box,
    merge: ([other]: [{ readonly items: Array<number> }]) => [...items, ...other.items],
    __getitem__: ([index]: [number]) => items[index],
    __setitem__: ([index, item]: [number, number]) => {
      items[index] = item
    },
    __iter__: () => items.values(),
    __enter__: () => box,
    __exit__: ([error]: [string | undefined]) => {
      ;(box["ends"] as Array<unknown>).push(error ?? null) // the list above
    }
  }
  return box
}

/** What the modules in `workers/` do, in TypeScript. */
export const targets: TestWorker.Targets = {
  "echo.constant": 42,
  "echo._hidden": 1,
  "echo.one": ([value]) => value,
  "echo.everything": (args, kwargs) => [args, kwargs],
  "echo.nothing_that_crosses": () => ({ method: () => null }),
  "failing.value_error": ([message]: [string]) => {
    throw PythonError.of("ValueError", message)
  },
  "failing.key_error": ([key]: [string]) => Effect.fail(PythonError.of("KeyError", `'${key}'`, { args: [key] })),
  "counting.up_to": ([n, tick, closed]: [number, Callback, Callback]) =>
    Stream.fromIterable(Array(n).keys()).pipe(
      Stream.rechunk(1),
      Stream.mapEffect((i) => Effect.as(tick(i), i)),
      Stream.ensuring(Effect.ignore(Effect.suspend(closed)))
    ),
  "counting.then_fail": function* ([n]: [number]) {
    for (let i = 0; i < n; i++) yield i
    throw PythonError.of("ValueError", `after ${n}`)
  },
  "counting.async_up_to": async function* ([n, tick]: [number, Callback]) {
    for (let i = 0; i < n; i++) {
      await Effect.runPromise(tick(i))
      yield i
    }
  },
  "calling.back": ([callback, ...args]: [Callback, ...Array<unknown>]) => callback(...args),
  "calling.back_async": ([callback, ...args]: [Callback, ...Array<unknown>]) => Effect.runPromise(callback(...args)),
  "calling.tool": ([name]: [string], kwargs, context) => context.tool(name, kwargs),
  "keeping.Box": ([items]: [Array<number>]) => makeBox(items),
  "crashing.abort": (_args, _kwargs, context) => context.crash("abort")
}

// ---------------------------------------------------------------------------------------------------------------------
// The harness
// ---------------------------------------------------------------------------------------------------------------------

type Outcome =
  | {
      readonly _tag: "Exit"
      readonly exit: Exit.Exit<unknown, SnakepitError.SnakepitError>
      readonly micros: number | undefined
    }
  | { readonly _tag: "Dropped" }

/** Watches one call. */
class Probe implements Worker.CallObserver {
  readonly call: Call.Call
  readonly values: Array<unknown> = []
  readonly outcomes: Array<Outcome> = []
  parked = false
  number = 0
  private readonly watchers = new Set<() => void>()

  constructor(call: Call.Call) {
    this.call = call
  }

  onChunk(values: ReadonlyArray<unknown>): void {
    this.values.push(...values)
    this.changed()
  }

  onParked(): void {
    this.parked = true
    this.changed()
  }

  onExit(exit: Exit.Exit<unknown, SnakepitError.SnakepitError>, micros: number | undefined): void {
    this.outcomes.push({ _tag: "Exit", exit, micros })
    this.changed()
  }

  onDropped(): void {
    this.outcomes.push({ _tag: "Dropped" })
    this.changed()
  }

  /** Waits until the condition holds. */
  until(holds: (probe: this) => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const look = () => {
        if (!holds(this)) return
        this.watchers.delete(look)
        resume(Effect.void)
      }
      this.watchers.add(look)
      look()
      return Effect.sync(() => this.watchers.delete(look))
    })
  }

  /** The one outcome of the call. */
  get outcome(): Effect.Effect<Outcome> {
    return Effect.map(
      this.until(() => this.outcomes.length > 0),
      () => {
        assert.lengthOf(this.outcomes, 1)
        const [outcome] = this.outcomes
        return outcome ?? assert.fail("the call has an outcome")
      }
    )
  }

  /** The exit of a call that began. */
  get exit(): Effect.Effect<Exit.Exit<unknown, SnakepitError.SnakepitError>> {
    return Effect.map(this.outcome, (outcome) =>
      outcome._tag === "Exit" ? outcome.exit : assert.fail("the call was dropped")
    )
  }

  /** What the call answered. */
  get value(): Effect.Effect<unknown, SnakepitError.SnakepitError> {
    return Effect.flatten(this.exit)
  }

  /** What the call failed with. */
  get error(): Effect.Effect<SnakepitError.SnakepitError, unknown> {
    return Effect.flip(this.value)
  }

  private changed(): void {
    for (const look of [...this.watchers]) look()
  }
}

/** A function for `calling.back` that returns when it is told to. */
interface Hold {
  /** Waits until Python has called it. */
  readonly entered: Effect.Effect<void>
  readonly enter: () => Effect.Effect<string>
  readonly open: () => void
}

const makeHold = (): Hold => {
  const entered = Deferred.makeUnsafe<void>()
  const gate = Deferred.makeUnsafe<void>()
  return {
    entered: Deferred.await(entered),
    enter: () => {
      Deferred.doneUnsafe(entered, Exit.void)
      return Effect.as(Deferred.await(gate), "held")
    },
    open: () => {
      Deferred.doneUnsafe(gate, Exit.void)
    }
  }
}

/** One worker and what is done with it. */
class Bench {
  readonly worker: Worker.Worker

  constructor(worker: Worker.Worker) {
    this.worker = worker
  }

  /** Starts a call of a target, with these changes. */
  start(target: string, args: ReadonlyArray<unknown> = [], changes: Partial<Call.Call> = {}): Probe {
    const probe = new Probe(sampleCall(target, { args, ...changes }))
    probe.number = this.worker.start(probe)
    return probe
  }

  stream(target: string, args: ReadonlyArray<unknown> = [], changes: Partial<Call.Call> = {}): Probe {
    return this.start(target, args, { stream: true, ...changes })
  }

  /** Calls of a session, whose refs are made by `makeRef`. */
  inSession(session: string) {
    const within = { session, makeRef }
    return {
      call: (target: string, args: ReadonlyArray<unknown> = [], changes: Partial<Call.Call> = {}) =>
        this.start(target, args, { ...within, ...changes }),
      construct: (target: string, args: ReadonlyArray<unknown>) =>
        Effect.map(this.start(target, args, { ...within, callType: "class", result: "ref" }).value, requireRef),
      on: (
        ref: PyRef,
        callType: Call.CallType,
        path: string,
        args: ReadonlyArray<unknown> = [],
        changes: Partial<Call.Call> = {}
      ) =>
        this.start(`${ref.pythonType}.${path}`, args, {
          ...within,
          callType,
          module: "builtins",
          path,
          instance: ref.handle,
          ...changes
        })
    }
  }

  /** Proves that the worker still serves. */
  get serves(): Effect.Effect<void, SnakepitError.SnakepitError> {
    return Effect.map(
      Effect.suspend(() => this.start("echo.one", ["still here"]).value),
      (value) => assert.strictEqual(value, "still here")
    )
  }
}

const notInvoked = () => Effect.die(new Error("the suite calls refs by hand"))

const makeRef = (handle: PyRef["handle"]): PyRef =>
  new PyRef(handle, {
    id: handle.session,
    invoke: notInvoked,
    iterate: () => Stream.die("by hand"),
    keep: notInvoked,
    release: () => Effect.void
  })

const requireRef = (value: unknown): PyRef =>
  isPyRef(value) ? value : assert.fail(`expected a ref, got ${String(value)}`)

class City extends Context.Service<City, { readonly name: string }>()("suite/City") {}

class Unknown {
  readonly data = 1
}

const temperature = (name: string, degrees: number) =>
  Tool.make(name, {
    description: "Temperature of a city, in degrees Celsius",
    parameters: { city: Schema.String },
    run: ({ city }) =>
      city === "Atlantis"
        ? Effect.fail(new SnakepitError.PoolNotFound({ pool: city, known: [] }))
        : Effect.succeed({ city, degrees })
  }).registration

// ---------------------------------------------------------------------------------------------------------------------
// The suite
// ---------------------------------------------------------------------------------------------------------------------

/** How the suite is run against one spawner. */
export interface SuiteOptions {
  /** Pool options that this spawner needs; the suite sets the general ones. */
  readonly backend?: Readonly<Record<string, unknown>> | undefined
}

/** Declares the tests. */
export const WorkerSpawnerSuite = <E>(
  name: string,
  spawners: Layer.Layer<WorkerSpawner, E>,
  { backend = {} }: SuiteOptions = {}
): void => {
  let spawned = 0

  /** A worker that ends with the scope of the test. */
  const boot = (input: PoolConfig.PoolInput = {}) =>
    Effect.gen(function* () {
      const { spawn } = yield* WorkerSpawner
      const options = yield* PoolConfig.resolve("suite", { size: 1, ...input, ...backend }, Object.keys(backend))
      return new Bench(yield* spawn({ pool: "suite", worker: `suite-${spawned++}`, options }))
    })

  // without a logger: what a dying worker writes to stderr is no concern of who reads the results
  const quietly = Layer.merge(spawners, Logger.layer([]))
  layer(quietly, { excludeTestServices: true, timeout: "60 seconds" })(name, (it) => {
    const test = <A, E2>(title: string, effect: () => Effect.Effect<A, E2, WorkerSpawner | Scope.Scope>) =>
      it.effect(title, effect, 10_000)

    test("answers the result of a function", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        assert.deepStrictEqual(yield* bench.start("echo.one", [[1, "two", null, true, 2n ** 70n]]).value, [
          1,
          "two",
          null,
          true,
          2n ** 70n
        ])
        assert.deepStrictEqual(yield* bench.start("echo.everything", [1, undefined], { kwargs: { rate: 2 } }).value, [
          [1, null],
          { rate: 2 }
        ])
        const tuple = yield* bench.start("echo.one", [Tuple.make(1, 2)]).value
        assert.isTrue(Tuple.isTuple(tuple))
      }))

    test("answers what crossed, not what the caller holds", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const sent = { rows: [1, 2] }
        const probe = bench.start("echo.one", [sent])
        sent.rows.push(3)
        assert.deepStrictEqual(yield* probe.value, { rows: [1, 2] })
      }))

    test("reads an attribute of a module", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        assert.strictEqual(yield* bench.start("echo.constant", [], { callType: "module_attr" }).value, 42)
      }))

    test("never answers inside start, interrupt or recall", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const hold = makeHold()
        const probes = [
          bench.start("calling.back", [hold.enter]),
          bench.start("echo.one", [1]),
          bench.start("echo.one", [2])
        ]
        yield* hold.entered
        const [running, ...queued] = probes.map((probe) => probe.number)
        bench.worker.recall(queued)
        bench.worker.interrupt(running ?? 0)
        for (const probe of probes) assert.lengthOf(probe.outcomes, 0)
        yield* Effect.forEach(probes, (probe) => probe.outcome)
      }))

    test("says what the worker is", () =>
      Effect.gen(function* () {
        const { worker } = yield* boot()
        assert.match(worker.id, /^suite-\d+$/)
        assert.strictEqual(worker.concurrency, 1)
        assert.isTrue(worker.isOpen)
        const threads = yield* boot({ profile: "thread", threads: 3 })
        assert.strictEqual(threads.worker.concurrency, 3)
      }))

    test("gives each call a number of its own", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const probes = [1, 2, 3].map((value) => bench.start("echo.one", [value]))
        assert.strictEqual(new Set(probes.map((probe) => probe.number)).size, 3)
        yield* Effect.forEach(probes, (probe) => probe.value)
      }))

    test("runs calls in the order they were started", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const order: Array<unknown> = []
        const note = (value: unknown) => Effect.sync(() => order.push(value))
        const probes = Array.from({ length: 20 }, (_, index) => bench.start("calling.back", [note, index]))
        yield* Effect.forEach(probes, (probe) => probe.value)
        assert.deepStrictEqual(order, [...probes.keys()])
      }))

    test("runs one call at a time in the process profile, and several in the thread profile", () =>
      Effect.gen(function* () {
        const single = yield* boot()
        const [first, second] = [makeHold(), makeHold()]
        const running = single.start("calling.back", [first.enter])
        const queued = single.start("calling.back", [second.enter])
        yield* first.entered
        let secondEntered = false
        yield* Effect.forkScoped(Effect.map(second.entered, () => (secondEntered = true)))
        first.open()
        yield* running.until(() => running.outcomes.length > 0 || secondEntered)
        assert.lengthOf(running.outcomes, 1)
        second.open()
        assert.strictEqual(yield* queued.value, "held")

        const threads = yield* boot({ profile: "thread", threads: 2 })
        const [left, right] = [makeHold(), makeHold()]
        const both = [left, right].map((hold) => threads.start("calling.back", [hold.enter]))
        yield* left.entered
        yield* right.entered
        left.open()
        right.open()
        assert.deepStrictEqual(yield* Effect.forEach(both, (probe) => probe.value), ["held", "held"])
      }))

    test("tells the time in the target of traced calls, and of no others", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const trace = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331", sampled: true }
        const traced = yield* bench.start("echo.one", [1], { trace }).outcome
        const plain = yield* bench.start("echo.one", [1]).outcome
        assert.isNumber(traced._tag === "Exit" ? traced.micros : undefined)
        assert.isUndefined(plain._tag === "Exit" ? plain.micros : 0)
      }))

    // ----- failures

    test("answers an exception by its tag, and goes on", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const error = yield* bench.start("failing.value_error", ["bad rate"]).error
        assert.isTrue(PythonError.isPythonError(error))
        assert.strictEqual(error._tag, "ValueError")
        assert.strictEqual(error.message, "bad rate")
        if (!PythonError.isPythonError(error)) return
        assert.deepStrictEqual(error.mro, ["ValueError", "Exception", "BaseException"])
        assert.deepStrictEqual(error.args, ["bad rate"])
        assert.strictEqual(error.call?.target, "failing.value_error")
        assert.deepStrictEqual(error.call?.arguments, [{ name: "0", type: "str" }])
        const key = yield* bench.start("failing.key_error", ["rate"]).error
        assert.strictEqual(key._tag, "KeyError")
        assert.strictEqual(key.message, "'rate'")
        yield* bench.serves
      }))

    test("answers a target that does not exist with the exception that Python has for it", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const module = yield* bench.start("no_such_module.anything").error
        assert.strictEqual(module._tag, "ModuleNotFoundError")
        assert.include(module.message, "no_such_module")
        const attribute = yield* bench.start("echo.no_such_function").error
        assert.strictEqual(attribute._tag, "AttributeError")
        assert.include(attribute.message, "no_such_function")
        const notCallable = yield* bench.start("echo.constant").error
        assert.strictEqual(notCallable._tag, "TypeError")
        assert.include(notCallable.message, "not callable")
      }))

    test("refuses private names, unless the pool allows them", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const error = yield* bench.start("echo._hidden", [], { callType: "module_attr" }).error
        assert.strictEqual(error._tag, "AttributeError")
        assert.include(error.message, "allowPrivate")
        const open = yield* boot({ allowPrivate: true })
        assert.strictEqual(yield* open.start("echo._hidden", [], { callType: "module_attr" }).value, 1)
      }))

    test("answers a result that cannot cross with UnserializableResult outside of sessions", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const error = yield* bench.start("echo.nothing_that_crosses").error
        assert.strictEqual(error._tag, "UnserializableResult")
        assert.strictEqual(error._tag === "UnserializableResult" ? error.path : "", "result")
        yield* bench.serves
      }))

    test("throws EncodeError from start, with the path, and sends nothing", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const refused = (args: ReadonlyArray<unknown>, kwargs?: Readonly<Record<string, unknown>>) => {
          try {
            bench.start("echo.everything", args, { kwargs })
          } catch (error) {
            return error instanceof SnakepitError.EncodeError
              ? error
              : assert.fail(`expected EncodeError, got ${String(error)}`)
          }
          return assert.fail("start accepted what cannot cross")
        }
        assert.strictEqual(refused([1, { rows: [0, new Unknown()] }]).path, "args[1].rows[1]")
        assert.strictEqual(refused([], { rate: new Unknown() }).path, "kwargs.rate")
        assert.include(refused([new Unknown()]).message, "Unknown")
        refused([Symbol("s")])
        refused([new Date(Number.NaN)])
        const cyclic: Array<unknown> = []
        cyclic.push(cyclic)
        assert.include(refused([cyclic]).message, "back to args[0]")
        yield* bench.serves
      }))

    // ----- streams

    test("streams values in order and ends with null", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const probe = bench.stream("counting.up_to", [5, () => null, () => null])
        assert.strictEqual(yield* probe.value, null)
        assert.deepStrictEqual(probe.values, [0, 1, 2, 3, 4])
        const list = bench.stream("echo.one", [["a", "b"]])
        yield* list.value
        assert.deepStrictEqual(list.values, ["a", "b"])
      }))

    test("stops the producer of a stream that nobody acknowledges", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        let acked = 0
        let furthest = 0
        const tick = (i: number) => {
          furthest = Math.max(furthest, i - acked)
          return null
        }
        const probe = bench.stream("counting.up_to", [100, tick, () => null])
        yield* probe.until(() => probe.values.length === 16)
        for (let wanted = 17; wanted <= 100; wanted++) {
          acked++
          bench.worker.ack(probe.number)
          yield* probe.until(() => probe.values.length === wanted)
          assert.lengthOf(probe.values, wanted)
        }
        yield* probe.value
        // sixteen chunks that nobody acknowledged, and one value that waits to be sent
        assert.isAtMost(furthest, 16)
      }))

    test("fails a stream after the values before the failure", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const probe = bench.stream("counting.then_fail", [3])
        const error = yield* probe.error
        assert.deepStrictEqual(probe.values, [0, 1, 2])
        assert.strictEqual(error._tag, "ValueError")
        assert.strictEqual(error.message, "after 3")
        const notIterable = yield* bench.stream("echo.one", [5]).error
        assert.strictEqual(notIterable._tag, "TypeError")
        assert.include(notIterable.message, "not iterable")
        yield* bench.serves
      }))

    test("runs the cleanup of a stream that is left, and frees the worker", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        let closed = 0
        const probe = bench.stream("counting.up_to", [1_000_000, () => null, () => Effect.sync(() => closed++)])
        yield* probe.until(() => probe.values.length === 16)
        bench.worker.interrupt(probe.number)
        assert.isTrue(Exit.isFailure(yield* probe.exit))
        assert.strictEqual(closed, 1)
        yield* bench.serves
      }))

    // ----- async def

    test("parks what runs on the event loop: its slot is free, and many run at the same time", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const holds = [makeHold(), makeHold(), makeHold()]
        const probes = holds.map((hold) => bench.start("calling.back_async", [hold.enter]))
        yield* Effect.forEach(holds, (hold) => hold.entered)
        yield* Effect.forEach(probes, (probe) => probe.until(() => probe.parked))
        yield* bench.serves
        for (const hold of holds) hold.open()
        assert.deepStrictEqual(yield* Effect.forEach(probes, (probe) => probe.value), ["held", "held", "held"])
      }))

    test("streams from an async generator, parked", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const probe = bench.stream("counting.async_up_to", [10, () => null])
        yield* probe.value
        assert.isTrue(probe.parked)
        assert.deepStrictEqual(probe.values, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
      }))

    test("stops a parked call that is interrupted", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const hold = makeHold()
        const probe = bench.start("calling.back_async", [hold.enter])
        yield* hold.entered
        bench.worker.interrupt(probe.number)
        assert.isTrue(Exit.isFailure(yield* probe.exit))
        yield* bench.serves
      }))

    // ----- stopping

    test("stops a running call that is interrupted, and is free for the next", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const hold = makeHold()
        const probe = bench.start("calling.back", [hold.enter])
        yield* hold.entered
        bench.worker.interrupt(probe.number)
        bench.worker.interrupt(probe.number)
        assert.isTrue(Exit.isFailure(yield* probe.exit))
        yield* bench.serves
        assert.lengthOf(probe.outcomes, 1)
      }))

    test("drops a queued call that is interrupted: it never runs", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const hold = makeHold()
        let ran = false
        const running = bench.start("calling.back", [hold.enter])
        const queued = bench.start("calling.back", [() => (ran = true)])
        yield* hold.entered
        bench.worker.interrupt(queued.number)
        assert.strictEqual((yield* queued.outcome)._tag, "Dropped")
        hold.open()
        assert.strictEqual(yield* running.value, "held")
        yield* bench.serves
        assert.isFalse(ran)
        assert.lengthOf(queued.outcomes, 1)
      }))

    test("ignores the interrupt of a call that has ended", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const probe = bench.start("echo.one", [1])
        yield* probe.value
        bench.worker.interrupt(probe.number)
        bench.worker.recall([probe.number])
        bench.worker.ack(probe.number)
        yield* bench.serves
        assert.lengthOf(probe.outcomes, 1)
      }))

    test("takes back the calls that have not begun, and no others", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const hold = makeHold()
        const running = bench.start("calling.back", [hold.enter])
        const queued = [1, 2, 3].map((value) => bench.start("echo.one", [value]))
        yield* hold.entered
        bench.worker.recall([running.number, ...queued.slice(1).map((probe) => probe.number)])
        yield* Effect.forEach(queued.slice(1), (probe) =>
          Effect.map(probe.outcome, (outcome) => assert.strictEqual(outcome._tag, "Dropped"))
        )
        hold.open()
        assert.strictEqual(yield* running.value, "held")
        assert.strictEqual(yield* queued[0]?.value ?? Effect.void, 1)
        yield* bench.serves
      }))

    // ----- sessions

    test("keeps objects in sessions, and reaches them by their refs", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const session = bench.inSession("s1")
        const box = yield* session.construct("keeping.Box", [[1, 2]])
        assert.include(box.pythonType, "keeping.Box")
        assert.strictEqual(yield* session.on(box, "method", "add", [3]).value, 3)
        assert.deepStrictEqual(yield* session.on(box, "get_attr", "items").value, [1, 2, 3])
        assert.strictEqual(yield* session.on(box, "set_attr", "label", ["crate"]).value, null)
        assert.strictEqual(yield* session.on(box, "get_attr", "label").value, "crate")
        assert.strictEqual(yield* session.on(box, "item", "", [1]).value, 2)
        assert.strictEqual(yield* session.on(box, "item", "", [1, 20]).value, null)
        assert.deepStrictEqual(yield* session.on(box, "iterate", "").value, [1, 20, 3])
        const items = session.on(box, "iterate", "", [], { stream: true })
        yield* items.value
        assert.deepStrictEqual(items.values, [1, 20, 3])
        assert.strictEqual((yield* session.on(box, "get_attr", "no_such_attribute").error)._tag, "AttributeError")
      }))

    test("enters and leaves objects as context managers", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const session = bench.inSession("s1")
        const box = yield* session.construct("keeping.Box", [[1]])
        const entered = requireRef(yield* session.on(box, "enter", "", [], { result: "ref" }).value)
        assert.deepStrictEqual(yield* session.on(entered, "get_attr", "items").value, [1])
        yield* session.on(box, "exit", "").value
        yield* session.on(box, "exit", "", ["the block failed"]).value
        assert.deepStrictEqual(yield* session.on(box, "get_attr", "ends").value, [null, "the block failed"])
      }))

    test("passes refs as arguments, and keeps what cannot cross as a ref", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const session = bench.inSession("s1")
        const [left, right] = [
          yield* session.construct("keeping.Box", [[1]]),
          yield* session.construct("keeping.Box", [[2]])
        ]
        assert.deepStrictEqual(yield* session.on(left, "method", "merge", [right]).value, [1, 2])
        const itself = requireRef(yield* session.on(left, "method", "itself").value)
        assert.deepStrictEqual(yield* session.on(itself, "get_attr", "items").value, [1])
        const kept = requireRef(yield* session.call("echo.one", [[1, 2, 3]], { result: "ref" }).value)
        assert.strictEqual(kept.pythonType, "list")
        assert.strictEqual(yield* session.on(kept, "item", "", [-1]).value, 3)
        assert.isTrue(isPyRef(yield* session.call("echo.nothing_that_crosses").value))
      }))

    test("answers SessionLost for refs of another session, and for those that were released", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const [mine, other] = [bench.inSession("s1"), bench.inSession("s2")]
        const [box, second] = [yield* mine.construct("keeping.Box", [[1]]), yield* mine.construct("keeping.Box", [[2]])]
        yield* other.construct("keeping.Box", [[3]])
        assert.strictEqual((yield* other.on(box, "get_attr", "items").error)._tag, "SessionLost")
        assert.strictEqual((yield* bench.start("echo.one", [box]).error)._tag, "SessionLost")
        bench.worker.release("s1", [box.handle.id])
        assert.strictEqual((yield* mine.on(box, "get_attr", "items").error)._tag, "SessionLost")
        assert.deepStrictEqual(yield* mine.on(second, "get_attr", "items").value, [2])
        bench.worker.release("s1")
        assert.strictEqual((yield* mine.on(second, "get_attr", "items").error)._tag, "SessionLost")
      }))

    test("makes an object only in a session", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const error = yield* bench.start("keeping.Box", [[1]], { callType: "class", result: "ref" }).error
        assert.strictEqual(error._tag, "SessionLost")
        yield* bench.serves
      }))

    // ----- calling back

    test("calls functions among the arguments, in the context of the caller", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        assert.strictEqual(yield* bench.start("calling.back", [(x: number) => x + 1, 1]).value, 2)
        assert.strictEqual(yield* bench.start("calling.back", [async (x: number) => x + 1, 2]).value, 3)
        const greet = (greeting: string) => Effect.map(City, (city) => `${greeting}, ${city.name}`)
        const context = Context.make(City, { name: "Oslo" }) as unknown as Context.Context<never> // as the pool passes it
        assert.strictEqual(yield* bench.start("calling.back", [greet, "hello"], { context }).value, "hello, Oslo")
        assert.strictEqual(yield* bench.start("calling.back_async", [greet, "bye"], { context }).value, "bye, Oslo")
      }))

    test("raises in Python what a function failed with", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        for (const refuse of [
          () => Effect.fail(new Error("no answer")),
          () => {
            throw new Error("no answer")
          }
        ]) {
          const error = yield* bench.start("calling.back", [refuse]).error
          if (error._tag !== "CallbackError") return assert.fail(`expected a CallbackError, got ${error._tag}`)
          assert.strictEqual(error.pythonType, "snakepit_worker.callbacks.CallbackError")
          assert.instanceOf(error.original, Error)
          assert.include(error.message, "no answer")
        }
        yield* bench.serves
      }))

    test("fails a function that answers what cannot cross, and the call goes on", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const error = yield* bench.start("calling.back", [() => new Unknown()]).error
        assert.strictEqual(error._tag, "CallbackError")
        assert.include(error.message, "Unknown")
        yield* bench.serves
      }))

    test("makes tools callable by name: those of the pool for all, those of a session for its calls", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        bench.worker.registerTools([temperature("temperature", 20)])
        bench.worker.registerTools([temperature("temperature", -3), temperature("frost", -10)], "s1")
        const ask = (tool: string, session?: string) =>
          bench.start("calling.tool", [tool], { session, kwargs: { city: "Oslo" } })
        assert.deepStrictEqual(yield* ask("temperature").value, { city: "Oslo", degrees: 20 })
        assert.deepStrictEqual(yield* ask("temperature", "s1").value, { city: "Oslo", degrees: -3 })
        assert.deepStrictEqual(yield* ask("frost", "s1").value, { city: "Oslo", degrees: -10 })
        const unknown = yield* ask("frost").error
        assert.strictEqual(unknown._tag, "KeyError")
        assert.include(unknown.message, "registered: temperature")
        bench.worker.release("s1")
        assert.deepStrictEqual(yield* ask("temperature", "s1").value, { city: "Oslo", degrees: 20 })
      }))

    test("raises in Python what a tool fails with, wrong parameters included", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        bench.worker.registerTools([temperature("temperature", 20)])
        const failed = yield* bench.start("calling.tool", ["temperature"], { kwargs: { city: "Atlantis" } }).error
        assert.include(failed.message, "Atlantis")
        const wrong = yield* bench.start("calling.tool", ["temperature"], { kwargs: { city: 5 } }).error
        assert.strictEqual(wrong._tag, "CallbackError")
        assert.include(wrong.message, "city")
        yield* bench.serves
      }))

    // ----- the end of a worker

    test("settles every call when the worker dies: what had not begun is dropped", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const crashing = bench.start("crashing.abort")
        const queued = [1, 2].map((value) => bench.start("echo.one", [value]))
        const error = yield* crashing.error
        assert.strictEqual(error._tag, "WorkerCrash")
        if (error._tag === "WorkerCrash") {
          assert.strictEqual(error.crash, "abort")
          assert.strictEqual(error.signal, "SIGABRT")
          assert.isTrue(error.mayHaveExecuted)
          assert.deepStrictEqual(error.inFlight, ["crashing.abort", "echo.one", "echo.one"])
        }
        yield* Effect.forEach(queued, (probe) =>
          Effect.map(probe.outcome, (outcome) => assert.strictEqual(outcome._tag, "Dropped"))
        )
        const end = yield* bench.worker.ended
        assert.deepStrictEqual(end, { crash: "abort", exitCode: null, signal: "SIGABRT" })
        assert.isFalse(bench.worker.isOpen)
      }))

    test("fails parked calls with the crash of their worker", () =>
      Effect.gen(function* () {
        const bench = yield* boot()
        const hold = makeHold()
        const parked = bench.start("calling.back_async", [hold.enter])
        yield* hold.entered
        bench.start("crashing.abort")
        const error = yield* parked.error
        assert.strictEqual(error._tag, "WorkerCrash")
        yield* bench.worker.ended
        assert.lengthOf(parked.outcomes, 1)
      }))

    test("ends with its scope, and settles every call before it says so", () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const bench = yield* boot().pipe(Scope.provide(scope))
        const hold = makeHold()
        const running = bench.start("calling.back", [hold.enter])
        const queued = bench.start("echo.one", [1])
        yield* hold.entered
        bench.worker.interrupt(running.number)
        yield* Scope.close(scope, Exit.void)
        const end = yield* bench.worker.ended
        assert.isUndefined(end.crash)
        assert.isFalse(bench.worker.isOpen)
        for (const probe of [running, queued]) assert.lengthOf(probe.outcomes, 1)
        assert.isTrue(Exit.isFailure(yield* running.exit))
      }))

    test("ends an idle worker with its scope", () =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const bench = yield* boot().pipe(Scope.provide(scope))
        yield* bench.serves
        yield* Scope.close(scope, Exit.void)
        assert.isUndefined((yield* bench.worker.ended).crash)
      }))
  })
}
