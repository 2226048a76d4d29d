/** The kinds of calls of a chaos run: how each is made, and what it has to answer when nothing goes wrong. */
import { Snakepit } from "@snakepit/core"
import { Tensor, ZeroCopy } from "@snakepit/zero-copy"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { Random } from "./random.ts"

/** What one call of the run is made with. */
export interface Assignment {
  /** Its number in the ledger. */
  readonly id: number
  readonly ledger: string
  readonly pool: string
  readonly random: Random
}

/** How a call is meant to end. */
export type Intention =
  | { readonly _tag: "Succeeds" }
  | { readonly _tag: "TimesOut" }
  | { readonly _tag: "IsInterrupted" }
  | { readonly _tag: "Raises"; readonly error: string }
  /** It ends its worker, with a crash of this class. */
  | { readonly _tag: "Crashes"; readonly crash: string }

export interface Kind {
  readonly name: string
  /** How often it is drawn, beside the others. */
  readonly weight: number
  readonly idempotent: boolean
  readonly intention: Intention
  /** Pools it is not for. */
  readonly not?: string
  /** Makes the call; fails with a string when the answer is wrong. */
  readonly run: (assignment: Assignment) => Effect.Effect<void, unknown, Snakepit.Snakepit>
}

const succeeds: Intention = { _tag: "Succeeds" }

const expect =
  <A>(expected: A) =>
  (actual: A): Effect.Effect<void, string> =>
    actual === expected ? Effect.void : Effect.fail(`wrong answer: expected ${String(expected)}, got ${String(actual)}`)

const callOf = (target: string, { id, ledger, pool }: Assignment, more: ReadonlyArray<unknown>, idempotent: boolean) =>
  Snakepit.call(target, { args: [ledger, id, ...more], success: Schema.Number, pool, idempotent })

const timed = (name: string, weight: number, idempotent: boolean, from: number, to: number): Kind => ({
  name,
  weight,
  idempotent,
  intention: succeeds,
  run: (given) =>
    Effect.flatMap(callOf("chaos.run", given, [given.random.between(from, to)], idempotent), expect(given.id))
})

const fault = (name: string, weight: number, crash: string): Kind => ({
  name,
  weight,
  idempotent: false,
  intention: { _tag: "Crashes", crash },
  run: (given) => Effect.asVoid(callOf(`chaos.${name}`, given, [], false))
})

/** An array there and back: through shared memory from 4,096 numbers on. */
const array = (name: string, weight: number, idempotent: boolean): Kind => ({
  name,
  weight,
  idempotent,
  intention: succeeds,
  run: ({ id, ledger, pool, random }) => {
    const numbers = Float64Array.from({ length: Math.floor(random.between(100, 60_000)) }, (_, index) => index)
    return Snakepit.call("chaos.double", { args: [ledger, id, numbers], success: floats, pool, idempotent }).pipe(
      Effect.flatMap(({ data }) => {
        const wrong = numbers.findIndex((number, index) => data[index] !== 2 * number)
        return expect(`${numbers.length} right`)(
          `${data.length} ${wrong < 0 ? "right" : `wrong from ${wrong} on: ${data[wrong]}`}`
        )
      }),
      ZeroCopy.scoped,
      Effect.scoped
    )
  }
})

const floats = Tensor.schema(Float64Array)

/** A minute of Python that a cancellation ends; on threads, code that no bytecode ends would take its neighbours with it. */
const minute = (pool: string): string => (pool === "threaded" ? "chaos.doze" : "chaos.run")

export const kinds: ReadonlyArray<Kind> = [
  timed("short", 30, false, 0, 0),
  timed("short, idempotent", 30, true, 0, 0),
  timed("long", 5, false, 0.01, 0.1),
  timed("long, idempotent", 8, true, 0.01, 0.1),
  array("array", 4, false),
  array("array, idempotent", 3, true),
  {
    name: "async",
    weight: 6,
    idempotent: false,
    intention: succeeds,
    run: (given) => Effect.flatMap(callOf("chaos.nap", given, [given.random.between(0, 0.05)], false), expect(given.id))
  },
  {
    name: "async, idempotent",
    weight: 4,
    idempotent: true,
    intention: succeeds,
    run: (given) => Effect.flatMap(callOf("chaos.nap", given, [given.random.between(0, 0.05)], true), expect(given.id))
  },
  {
    name: "async, cancelled",
    weight: 2,
    idempotent: false,
    intention: { _tag: "IsInterrupted" },
    run: (given) =>
      Effect.raceFirst(
        Effect.asVoid(callOf("chaos.nap", given, [60], false)),
        Effect.andThen(Effect.sleep(given.random.between(0, 30)), Effect.interrupt)
      )
  },
  {
    name: "stream",
    weight: 6,
    idempotent: false,
    intention: succeeds,
    run: ({ id, ledger, pool, random }) => {
      const items = Math.floor(random.between(1, 40))
      return Stream.runCollect(
        Snakepit.stream("chaos.count", { args: [ledger, id, items], success: Schema.Number, pool })
      ).pipe(Effect.flatMap((got) => expect([...Array(items).keys()].join())(got.join())))
    }
  },
  {
    name: "stream, left early",
    weight: 3,
    idempotent: false,
    intention: succeeds,
    run: ({ id, ledger, pool }) =>
      Stream.runCollect(
        Stream.take(Snakepit.stream("chaos.count", { args: [ledger, id, 10_000], success: Schema.Number, pool }), 3)
      ).pipe(Effect.flatMap((got) => expect("0,1,2")(got.join())))
  },
  {
    name: "session",
    weight: 5,
    idempotent: false,
    intention: succeeds,
    run: ({ id, ledger, pool }) =>
      Effect.scoped(
        Effect.gen(function* () {
          const session = yield* Snakepit.session({ pool })
          const counter = yield* session.construct("chaos.Counter")
          yield* Effect.flatMap(counter.call("increment", { args: [ledger, id], success: Schema.Number }), expect(1))
        })
      )
  },
  {
    name: "callback",
    weight: 6,
    idempotent: false,
    intention: succeeds,
    run: (given) =>
      Effect.flatMap(
        callOf("chaos.ask", given, [(item: number) => Effect.as(Effect.yieldNow, item * 2), 5], false),
        expect(20)
      )
  },
  {
    name: "cancelled",
    weight: 4,
    idempotent: false,
    intention: { _tag: "IsInterrupted" },
    run: (given) =>
      Effect.raceFirst(
        Effect.asVoid(callOf(minute(given.pool), given, [60], false)),
        Effect.andThen(Effect.sleep(given.random.between(0, 30)), Effect.interrupt)
      )
  },
  {
    name: "timing out",
    weight: 3,
    idempotent: false,
    intention: { _tag: "TimesOut" },
    run: ({ id, ledger, pool, random }) =>
      Effect.asVoid(Snakepit.call(minute(pool), { args: [ledger, id, 60], pool, timeout: random.between(5, 40) }))
  },
  {
    name: "grandchild",
    weight: 0.5,
    idempotent: false,
    intention: succeeds,
    run: (given) => Effect.asVoid(callOf("chaos.start_child", given, [], false))
  },
  {
    name: "flood",
    weight: 0.4,
    idempotent: false,
    intention: succeeds,
    run: (given) => Effect.flatMap(callOf("chaos.flood", given, [], false), expect(given.id))
  },
  {
    name: "exhaust",
    weight: 0.4,
    // the memory is that of the process: calls on its other threads run out of it too
    not: "threaded",
    idempotent: false,
    intention: { _tag: "Raises", error: "OutOfMemory" },
    run: (given) => Effect.asVoid(callOf("chaos.exhaust", given, [], false))
  },
  fault("segfault", 0.5, "segfault"),
  fault("abort", 0.5, "abort"),
  fault("leave", 0.5, "exit"),
  fault("freeze", 0.15, "unresponsive"),
  fault("cut", 0.4, "killed")
]
