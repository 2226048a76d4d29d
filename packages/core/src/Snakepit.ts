/**
 * Calling Python: the service that users hold, and the functions that use it.
 *
 * `Snakepit.call` runs a Python function, `Snakepit.stream` a generator, `Snakepit.session` keeps Python objects between calls.
 * The service is backend-neutral: `@snakepit/python-worker` provides it over real processes (`SnakepitNode.layer`),
 * {@link layerTest} over plain functions, for tests without Python.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Arguments, CallOptions, Invocation, Success } from "./Call.ts"
import * as Health from "./Health.ts"
import { noteCallSite } from "./internal/callSite.ts"
import { Deadlines } from "./internal/deadlines.ts"
import { isObject, OptionReader } from "./internal/optionReader.ts"
import { show } from "./internal/show.ts"
import { wrongTools } from "./internal/toolNames.ts"
import * as Pool from "./Pool.ts"
import * as PoolConfig from "./PoolConfig.ts"
import { decodeItems, decoderOf, describe, Session } from "./Session.ts"
import { type ConfigError, PoolNotFound, type SnakepitError, type WorkerStartError } from "./SnakepitError.ts"
import * as TestWorker from "./TestWorker.ts"
import type { AnyTool } from "./Tool.ts"
import type { WorkerSpawner } from "./WorkerSpawner.ts"

/** The pools of a program. */
export class Snakepit extends Context.Service<
  Snakepit,
  {
    /** The pool of a name; `default` when none is given. */
    readonly pool: (name?: string) => Effect.Effect<Pool.Pool, PoolNotFound>
    readonly pools: ReadonlyMap<string, Pool.Pool>
  }
>()("@snakepit/core/Snakepit") {}

/** Where a call outside of a session goes. */
export interface PoolOption {
  /** Name of the pool. Defaults to `default`. */
  readonly pool?: string | undefined
  /**
   * Only workers on this device: `cuda:0`, or any of a kind: `cuda`. The pool's workers have to be placed on devices. Defaults to
   * any worker.
   */
  readonly device?: string | undefined
}

/**
 * Calls a Python function. `target` is its dotted path; a name without dots is a built-in.
 *
 * **Example** (A typed result)
 *
 * ```ts
 * const mean = Snakepit.call("statistics.mean", { args: [[1, 2, 4]], success: Schema.Number })
 * ```
 *
 * Interrupting the effect stops the Python code. The call may run twice only if it is `idempotent`.
 */
export function call<A, R = never>(
  target: string,
  options: CallOptions & Arguments & PoolOption & Success<A, R>
): Effect.Effect<A, SnakepitError, Snakepit | R>
export function call(
  target: string,
  options?: CallOptions & Arguments & PoolOption
): Effect.Effect<unknown, SnakepitError, Snakepit>
export function call(
  target: string,
  options: CallOptions & Arguments & PoolOption & Partial<Success<unknown, unknown>> = {}
): Effect.Effect<unknown, SnakepitError, unknown> {
  return invoke(describe("function", target, options, noteCallSite(call)), options)
}

/** Reads an attribute of a module, like `math.pi`. */
export function attribute<A, R = never>(
  target: string,
  options: CallOptions & PoolOption & Success<A, R>
): Effect.Effect<A, SnakepitError, Snakepit | R>
export function attribute(
  target: string,
  options?: CallOptions & PoolOption
): Effect.Effect<unknown, SnakepitError, Snakepit>
export function attribute(
  target: string,
  options: CallOptions & PoolOption & Partial<Success<unknown, unknown>> = {}
): Effect.Effect<unknown, SnakepitError, unknown> {
  return invoke(describe("module_attr", target, {}, noteCallSite(attribute)), options)
}

const invoke = (
  invocation: Invocation,
  options: CallOptions & PoolOption & Partial<Success<unknown, unknown>>
): Effect.Effect<unknown, SnakepitError, unknown> => {
  const decode = decoderOf(options)
  return Effect.withFiber((fiber) => {
    const snakepit = Context.getUnsafe(fiber.context, Snakepit)
    const pool = snakepit.pools.get(options.pool ?? "default")
    if (pool !== undefined) return pool.run(invocation, options, decode)
    // the service's own look-up says what is wrong with the name
    return Effect.flatMap(snakepit.pool(options.pool), (found) => found.run(invocation, options, decode))
  })
}

/**
 * Calls a Python function that answers a generator, an async generator or any iterable, and streams its values.
 *
 * The worker runs at most 16 chunks ahead of the consumer. An exception arrives after the values before it. Leaving the
 * stream closes the generator, so that its `finally` blocks run, and frees the worker.
 */
export function stream<A, R = never>(
  target: string,
  options: CallOptions & Arguments & PoolOption & Success<A, R>
): Stream.Stream<A, SnakepitError, Snakepit | R>
export function stream(
  target: string,
  options?: CallOptions & Arguments & PoolOption
): Stream.Stream<unknown, SnakepitError, Snakepit>
export function stream(
  target: string,
  options: CallOptions & Arguments & PoolOption & Partial<Success<unknown, unknown>> = {}
): Stream.Stream<unknown, SnakepitError, unknown> {
  const invocation = { ...describe("function", target, options, noteCallSite(stream)), stream: true }
  return Stream.unwrap(
    Effect.map(poolOf(options.pool), (pool) => decodeItems(pool.stream(invocation, options), options))
  )
}

/**
 * Opens a session: its calls go to one worker, where Python objects live until the scope ends.
 *
 * `tools` are TypeScript functions that Python code of this session can call by name. Two of one name, or what is no tool, is
 * a mistake of the program: the effect dies with a `TypeError`.
 */
export const session = (
  options: PoolOption & { readonly tools?: ReadonlyArray<AnyTool> | undefined } = {}
): Effect.Effect<Session, SnakepitError, Snakepit | Scope.Scope> =>
  Effect.gen(function* () {
    const wrong = wrongTools(options.tools)
    if (wrong !== undefined) {
      throw new TypeError(`option \`tools\`: expected ${wrong.expected}, got ${show(wrong.value)}`)
    }
    const pool = yield* poolOf(options.pool)
    const span = yield* Effect.makeSpanScoped("snakepit.session", {
      attributes: { "snakepit.pool": pool.options.name }
    })
    const tools = (options.tools ?? []).map((tool) => tool.registration)
    const placement = yield* Effect.acquireRelease(pool.openSession(tools, options.device), pool.closeSession)
    span.attribute("snakepit.session", placement.id)
    span.attribute("snakepit.worker", placement.member.worker.id)
    return new Session(pool, placement, span)
  })

/** Counters and gauges of all pools. */
export const stats: Effect.Effect<ReadonlyArray<Pool.PoolStats>, never, Snakepit> = Effect.flatMap(
  Snakepit,
  (snakepit) => Effect.forEach([...snakepit.pools.values()], (pool) => pool.stats)
)

/** How well the pools are, each and all together; the rules stand in `Health.ts`. */
export const health: Effect.Effect<Health.Health, never, Snakepit> = Effect.flatMap(Snakepit, (snakepit) =>
  healthOf(snakepit)
)

/** The health now, and then whenever a status, an alert or a circuit changes. What only time changes is seen within a second. */
export const healthChanges: Stream.Stream<Health.Health, never, Snakepit> = Stream.unwrap(
  Effect.map(Snakepit, (snakepit) =>
    Stream.mergeAll([Stream.tick("1 second"), ...[...snakepit.pools.values()].map((pool) => pool.changes)], {
      concurrency: "unbounded"
    }).pipe(
      Stream.mapEffect(() => healthOf(snakepit)),
      Stream.changesWith(Health.isSame)
    )
  )
)

/** Crashes of workers of all pools within the last hour, oldest first; at most the latest 1000 of each pool. */
export const crashes = (
  filter: Health.CrashFilter = {}
): Effect.Effect<ReadonlyArray<Health.CrashRecord>, never, Snakepit> =>
  Effect.flatMap(Snakepit, (snakepit) =>
    Effect.map(
      Effect.forEach([...snakepit.pools.values()], (pool) => pool.crashes(filter)),
      (found) => found.flat().sort((one, other) => one.at - other.at)
    )
  )

/** Whether every pool can serve calls: for a readiness probe. Answer 200 when `ready`, else 503. */
export const readiness: Effect.Effect<Health.Readiness, never, Snakepit> = Effect.map(health, Health.readiness)

/** That the host is alive: for a liveness probe. */
export const liveness: Effect.Effect<Health.Liveness, never, Snakepit> = Effect.map(health, ({ pools }) => ({
  alive: true,
  workers: pools.reduce((sum, pool) => sum + pool.workers, 0)
}))

const healthOf = (snakepit: Snakepit["Service"]): Effect.Effect<Health.Health> =>
  Effect.map(
    Effect.forEach([...snakepit.pools.values()], (pool) => pool.health),
    Health.summarize
  )

const poolOf = (name: string | undefined): Effect.Effect<Pool.Pool, PoolNotFound, Snakepit> =>
  Effect.flatMap(Snakepit, (snakepit) => snakepit.pool(name))

/** Configuration of the service. */
export interface Config<Options extends PoolConfig.PoolInput = PoolConfig.PoolInput> {
  /** Pools by name. Defaults to one pool `default` with default options. */
  readonly pools?: Readonly<Record<string, Options>> | undefined
}

/** What a backend has to say to the configuration. */
export interface Backend {
  /** Pool options that the backend knows beside the general ones. */
  readonly keys?: ReadonlyArray<string> | undefined
  /** Checks the values of those options. */
  readonly validate?: ((options: PoolConfig.PoolOptions) => Effect.Effect<unknown, ConfigError>) | undefined
}

/**
 * The service over a {@link WorkerSpawner}. `backend` says what the spawner knows of pool options beside the general ones.
 */
export const layer = (
  config: Config = {},
  backend: Backend = {}
): Layer.Layer<Snakepit, ConfigError | WorkerStartError, WorkerSpawner> =>
  Layer.effect(
    Snakepit,
    Effect.gen(function* () {
      const deadlines = new Deadlines()
      const pools = yield* poolsOf(config)
      const resolved = yield* Effect.forEach(Object.entries(pools), ([name, input]) =>
        PoolConfig.resolve(name, input, backend.keys)
      )
      // all of the configuration is checked before anything starts
      if (backend.validate !== undefined) yield* Effect.forEach(resolved, backend.validate, { discard: true })
      const made = yield* Effect.forEach(resolved, (options) => Pool.make(options, deadlines), {
        concurrency: "unbounded"
      })
      const byName = new Map(made.map((pool) => [pool.options.name, pool]))
      return Snakepit.of({
        pools: byName,
        pool: (name = "default") => {
          const pool = byName.get(name)
          return pool === undefined
            ? Effect.fail(new PoolNotFound({ pool: name, known: [...byName.keys()] }))
            : Effect.succeed(pool)
        }
      })
    })
  )

/** The pools that the configuration names; their options are not looked at yet. */
const poolsOf = (config: Config): Effect.Effect<NonNullable<Config["pools"]>, ConfigError> => {
  const reader = new OptionReader()
  const { pools = { default: {} } }: Config = reader.object("", config, ["pools"]) ? config : {}
  if (!isObject(pools)) reader.refuse("pools", pools, "an object of pools by name")
  return reader.result(pools)
}

/**
 * The whole service without Python, for tests: calls, streams, sessions and refs over plain functions and values.
 * `TestWorker.ts` says what they may be. Unless `config` says otherwise, pools have one worker and do not wait for running
 * calls when they close. Options of a backend in it are ignored, so the program's own configuration can be passed.
 *
 * **Example** (A test without Python)
 *
 * ```ts
 * const layer = Snakepit.layerTest({
 *   "math.pi": 3.14,
 *   "statistics.mean": ([xs]: [Array<number>]) => xs.reduce((sum, x) => sum + x) / xs.length,
 *   "app.load": () => Effect.fail(PythonError.of("FileNotFoundError", "no such file: data.csv"))
 * })
 * ```
 */
export const layerTest = (
  targets: TestWorker.Targets,
  config: Config = {}
): Layer.Layer<Snakepit, ConfigError | WorkerStartError> => {
  const pools = Object.entries(config.pools ?? { default: {} }).map(
    ([name, input]) => [name, { size: 1, drainTimeout: 0, ...input }] as const
  )
  const backendKeys = pools.flatMap(([, input]) => Object.keys(input).filter((key) => !PoolConfig.keys.includes(key)))
  return layer({ pools: Object.fromEntries(pools) }, { keys: backendKeys }).pipe(
    Layer.provide(TestWorker.layer(targets))
  )
}
