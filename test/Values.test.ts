/** The value table through a real worker: what is sent, what Python makes of it, and what comes back. */
import {
  Complex,
  Float,
  PlainDate,
  PlainDateTime,
  PlainTime,
  Snakepit,
  Tuple,
  type ValueAdapter,
  ValueAdapter as Adapters
} from "@snakepit/core"
import { Table, Tensor } from "@snakepit/zero-copy"
import { assert, describe, it, layer } from "@effect/vitest"
import * as path from "node:path"
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { leaves, makeRandom, type Random } from "../packages/python-worker/test/generate.ts"
import { toNotation } from "../packages/python-worker/test/notation.ts"
import { pool, tempDirectory, waitForFile } from "./harness.ts"

/** What each row of the table arrives as in Python. */
const pythonTypes: Readonly<Record<string, ReadonlyArray<string>>> = {
  null: ["NoneType"],
  boolean: ["bool"],
  number: ["float", "int"],
  bigint: ["int"],
  text: ["str"],
  "text with lone surrogates": ["str"],
  bytes: ["bytes"],
  complex: ["complex"],
  decimal: ["Decimal"],
  dateTime: ["datetime"],
  plainDateTime: ["datetime"],
  plainDate: ["date"],
  plainTime: ["time"],
  duration: ["timedelta"],
  tensor: ["ndarray"]
}

const perRow = 150

/** Containers of hashable and other values, as deep as `depth`. */
const nested = (random: Random, depth: number): unknown => {
  const rows = Object.entries(leaves).filter(([name]) => name in pythonTypes)
  const leaf = () => random.pick(rows)[1](random)
  if (depth === 0 || random.next() < 0.3) return leaf()
  const items = () => Array.from({ length: random.integer(0, 4) }, () => nested(random, depth - 1))
  return random.pick<() => unknown>([
    items,
    () => Tuple.fromArray(items()),
    () => Object.fromEntries(items().map((item, index) => [`key ${index}`, item])),
    // one key at least: without keys that are no strings it is an object
    () => new Map([...items(), 1].map((item, index) => [index % 2 === 0 ? Tuple.make(index) : index, item] as const)),
    () => new Set([random.integer(0, 9)]),
    () => new Map([["__proto__", items()]])
  ])()
}

const same = (back: unknown, sent: unknown, hint: string) =>
  assert.deepStrictEqual(toNotation(back), toNotation(sent), hint)

const sent = (value: unknown) => Snakepit.call("plain.echo", { args: [value] })

const made = (name: string) => Snakepit.call("values_made.make", { args: [name] })

const facts = (value: unknown) =>
  Snakepit.call("values_made.facts", { args: [value], success: Schema.Tuple([Schema.String, Schema.String]) })

layer(pool(), { excludeTestServices: true })("Values", (shared) => {
  for (const [row, types] of Object.entries(pythonTypes)) {
    shared.effect(`${row}: generated values arrive as ${types.join(" or ")} and come back the same`, () =>
      Effect.gen(function* () {
        const generate = leaves[row]
        if (generate === undefined) return assert.fail(`there is no generator for ${row}`)
        const values = Array.from({ length: perRow }, (_, seed) => generate(makeRandom(seed)))
        const back = yield* Snakepit.call("plain.echo", { args: [values], success: Schema.Array(Schema.Any) })
        values.forEach((value, seed) => same(back[seed], value, `seed ${seed}`))
        const seen = yield* Snakepit.call("values_made.types_of", {
          args: [values],
          success: Schema.Array(Schema.String)
        })
        assert.includeMembers([...types], [...seen])
        for (const value of values.slice(0, 10)) same(yield* sent(value), value, "alone")
      })
    )
  }

  shared.effect("generated values inside each other come back the same", () =>
    Effect.gen(function* () {
      for (let seed = 0; seed < 200; seed++) {
        const value = nested(makeRandom(seed), 4)
        same(yield* sent(value), value, `seed ${seed}`)
      }
    })
  )

  shared.effect("Python sees each value as itself", () =>
    Effect.gen(function* () {
      const expected: ReadonlyArray<readonly [unknown, string, string]> = [
        [undefined, "NoneType", "None"],
        [5, "int", "5"],
        [2.5, "float", "2.5"],
        [new Float(5), "float", "5.0"],
        [-0, "float", "-0.0"],
        [5n, "int", "5"],
        [2n ** 70n, "int", String(2n ** 70n)],
        [new Uint8Array([0, 255]), "bytes", "b'\\x00\\xff'"],
        [new Uint8Array([0, 1]).buffer, "bytes", "b'\\x00\\x01'"],
        [[1, undefined], "list", "[1, None]"],
        [Tuple.make(1, "a"), "tuple", "(1, 'a')"],
        [{ a: 1, b: undefined }, "dict", "{'a': 1, 'b': None}"],
        [
          new Map<unknown, unknown>([
            [1, "a"],
            ["b", 2]
          ]),
          "dict",
          "{1: 'a', 'b': 2}"
        ],
        [new Set([1]), "set", "{1}"],
        [new Complex(1, -2), "complex", "(1-2j)"],
        [BigDecimal.make(110n, 2), "Decimal", "Decimal('1.10')"],
        [new PlainDate(2024, 2, 29), "date", "datetime.date(2024, 2, 29)"],
        [new PlainTime(1, 2, 3, 4), "time", "datetime.time(1, 2, 3, 4)"],
        [new PlainDateTime(2024, 1, 2, 3, 4, 5, 6), "datetime", "datetime.datetime(2024, 1, 2, 3, 4, 5, 6)"],
        [new Date(0), "datetime", "datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)"],
        [DateTime.makeUnsafe(0), "datetime", "datetime.datetime(1970, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)"],
        [Duration.micros(1_500_001n), "timedelta", "datetime.timedelta(seconds=1, microseconds=500001)"]
      ]
      for (const [value, type, repr] of expected) assert.deepStrictEqual(yield* facts(value), [type, repr])
    })
  )

  const expectations: Readonly<Record<string, unknown>> = {
    none: null,
    booleans: [true, false],
    text: ["", "蛇", "\0", "a\nb", "\ud800 alone \udc00", "😀"],
    small_ints: [0, -1, 2 ** 31, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
    large_ints: [
      2n ** 53n,
      2n ** 53n + 1n,
      -(2n ** 53n) - 1n,
      2n ** 63n,
      2n ** 64n - 1n,
      2n ** 64n,
      -(2n ** 63n) - 1n,
      10n ** 50n
    ],
    floats: [0.5, -0, 5, NaN, Infinity, -Infinity, 5e-324, Number.MAX_VALUE],
    bytes: [new Uint8Array(), new Uint8Array([0, 255]), new Uint8Array([97, 98]), new Uint8Array([97, 99, 101])],
    lists: [[], [1, [2, [3]]]],
    tuples: [Tuple.make(), Tuple.make(1), Tuple.make(1, Tuple.make(2, [3]))],
    dicts: [{}, { b: 1, a: 2, "": 3 }, { constructor: 1 }],
    odd_keys: [
      new Map([[1, "one"]]),
      new Map<unknown, unknown>([
        ["1", "a"],
        [1, "b"]
      ]),
      new Map([[Tuple.make(1, 2), "tuple"]]),
      new Map<unknown, unknown>([
        [null, 0],
        [true, 1]
      ]),
      new Map([["__proto__", 1]])
    ],
    sets: [new Set(), new Set([1]), new Set(["a"])],
    complex: [new Complex(1, -0), new Complex(Infinity, 2)],
    decimals: [BigDecimal.make(110n, 2), BigDecimal.make(-1n, 3), BigDecimal.make(1n, -30)],
    naive: new PlainDateTime(2024, 2, 29, 12, 30, 15, 123456),
    date: new PlainDate(2024, 2, 29),
    time: new PlainTime(23, 59, 58, 999999),
    timedelta: [Duration.micros(-86_399_999_999n), Duration.micros((400n * 86_400n + 5n) * 1_000_000n)],
    uuid: "12345678-1234-5678-1234-567812345678",
    path: ["/a/b", "c"],
    enums: ["red", Tuple.make(1, 2), 3],
    dataclass: { x: 1, y: 2.5 },
    namedtuple: { left: 1, right: [2] },
    subclasses: [
      { b: 1, a: 2 },
      { a: 2, b: 1 }
    ]
  }
  for (const [name, expected] of Object.entries(expectations)) {
    shared.effect(`made in Python: ${name}`, () => Effect.map(made(name), (value) => same(value, expected, name)))
  }

  shared.effect("made in Python: instants keep their microseconds and their zone", () =>
    Effect.gen(function* () {
      const instant = (value: unknown): DateTime.DateTime =>
        DateTime.isDateTime(value) ? value : assert.fail(`expected a DateTime, got ${String(value)}`)
      const utc = instant(yield* made("utc"))
      assert.strictEqual(utc.epochMilliseconds, Date.UTC(2024, 1, 29, 12, 30, 15, 123) + 0.456)
      const offset = instant(yield* made("offset"))
      assert.strictEqual(DateTime.formatIsoOffset(offset as DateTime.Zoned), "2024-02-29T12:30:15.000+05:30")
      const zone = instant(yield* made("zone"))
      assert.isTrue(zone._tag === "Zoned" && zone.zone._tag === "Named" && zone.zone.id === "Europe/Berlin")
      assert.strictEqual(zone.epochMilliseconds, Date.UTC(2024, 6, 1, 10))
    })
  )

  shared.effect("a numpy scalar that Python has no type for is a tensor without dimensions", () =>
    Effect.gen(function* () {
      const day = yield* Snakepit.call("numpy.datetime64", { args: ["2026-01-02"] })
      assert.strictEqual(String(day), "Tensor(<M8[D], no dimensions)")
      assert.match(String(yield* Snakepit.call("repr", { args: [day] })), /^array\('2026-01-02'/)
    })
  )

  shared.effect("safe integers are ints in Python, all other numbers are floats", () =>
    Effect.gen(function* () {
      const numbers = [2 ** 53 - 1, 2 ** 53, -(2 ** 53), 1e21, 0, -0]
      assert.strictEqual(
        yield* Snakepit.call("repr", { args: [numbers] }),
        "[9007199254740991, 9007199254740992.0, -9007199254740992.0, 1e+21, 0, -0.0]"
      )
    })
  )

  shared.effect("an exception that is returned is refused, since only raised ones have a row", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("ValueError", { args: ["no"] }))
      assert.strictEqual(error._tag, "UnserializableResult")
    })
  )

  shared.effect("the order of a dict is kept by an object as JavaScript can, and by a Map", () =>
    Effect.gen(function* () {
      const args = ['{"b": 1, "10": 2, "9": 3}']
      const dict = yield* Snakepit.call("json.loads", { args, success: Schema.Record(Schema.String, Schema.Int) })
      assert.deepStrictEqual(Object.entries(dict), [
        ["9", 3],
        ["10", 2],
        ["b", 1]
      ])
      const ordered = new Map([
        ["b", 1],
        ["10", 2],
        ["9", 3]
      ])
      assert.strictEqual(yield* Snakepit.call("json.dumps", { args: [ordered] }), args[0])
    })
  )

  shared.effect("schemas decode what crossed", () =>
    Effect.gen(function* () {
      const decoded = yield* Snakepit.call("values_made.make", {
        args: ["dataclass"],
        success: Schema.Struct({ x: Schema.Int, y: Schema.Number })
      })
      assert.strictEqual(decoded.x + decoded.y, 3.5)
      assert.deepStrictEqual(
        yield* Snakepit.call("values_made.make", { args: ["bytes"], success: Schema.Array(Schema.Uint8Array) }).pipe(
          Effect.map((all) => all.length)
        ),
        4
      )
    })
  )

  // ---- arrays and tables ---------------------------------------------------------------------------------------------

  shared.effect("numpy scalars are numbers, bigints and booleans", () =>
    Effect.gen(function* () {
      const scalar = (dtype: string, value: unknown) =>
        Snakepit.call("values_made.numpy_scalar", { args: [dtype, value] })
      assert.strictEqual(yield* scalar("int8", -5), -5)
      assert.strictEqual(yield* scalar("uint64", 2n ** 64n - 1n), 2n ** 64n - 1n)
      assert.strictEqual(yield* scalar("float32", 0.5), 0.5)
      assert.strictEqual(yield* scalar("float16", 1.5), 1.5)
      assert.strictEqual(yield* scalar("bool", 1), true)
    })
  )

  for (const dtype of [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128"
  ]) {
    shared.effect(`arrays of ${dtype} cross both ways, of every shape`, () =>
      Effect.gen(function* () {
        for (const shape of [[], [0], [3], [2, 3], [2, 0, 4], [1, 2, 3]]) {
          const array = yield* Snakepit.call("values_made.numpy_array", { args: [dtype, shape] })
          if (!Tensor.isTensor(array)) return assert.fail(`expected a Tensor, got ${String(array)}`)
          assert.deepStrictEqual([...array.shape], shape)
          const [type, , back] = yield* Snakepit.call("values_made.numpy_facts", {
            args: [array],
            success: Schema.Array(Schema.Any)
          })
          assert.deepStrictEqual([type, back], ["ndarray", shape])
          assert.deepStrictEqual(toNotation(yield* sent(array)), toNotation(array))
        }
      })
    )
  }

  shared.effect("an array of any strides arrives with its values in order", () =>
    Effect.gen(function* () {
      const array = yield* Snakepit.call("values_made.numpy_strided")
      if (!Tensor.isTensor(array)) return assert.fail("expected a Tensor")
      assert.deepStrictEqual([...array.shape], [2, 2])
      const [, , , values] = yield* Snakepit.call("values_made.numpy_facts", {
        args: [array],
        success: Schema.Array(Schema.Any)
      })
      assert.deepStrictEqual(values, [
        [5, 17],
        [2, 14]
      ])
    })
  )

  shared.effect("a typed array arrives as an ndarray of its type", () =>
    Effect.gen(function* () {
      const seen = yield* Snakepit.call("values_made.numpy_facts", { args: [new Float32Array([1, 2.5])] })
      assert.deepStrictEqual(seen, ["ndarray", "<f4", [2], [1, 2.5]])
    })
  )

  for (const kind of ["pandas", "pyarrow"]) {
    shared.effect(`a ${kind} table arrives as a Table`, () =>
      Effect.gen(function* () {
        const table = yield* Snakepit.call("values_made.frame", { args: [kind] })
        if (!Table.isTable(table)) return assert.fail(`expected a Table, got ${String(table)}`)
        assert.strictEqual(table.numRows, 3)
        assert.deepStrictEqual(table.getChild("s")?.toArray().map(String).slice(0, 1), ["a"])
        const [, columns, rows] = yield* Snakepit.call("values_made.frame_facts", {
          args: [Table.as(table, "pandas")],
          success: Schema.Array(Schema.Any)
        })
        assert.deepStrictEqual([columns, rows], [["n", "s"], 3])
      })
    )
  }
})

class Money {
  readonly amount: number
  readonly currency: string

  constructor(amount: number, currency: string) {
    this.amount = amount
    this.currency = currency
  }
}

const moneyAdapter: ValueAdapter<Money> = {
  name: "test/money",
  is: (value): value is Money => value instanceof Money,
  encode: ({ amount, currency }) => [amount, currency],
  decode: (payload) => new Money(...Schema.decodeUnknownSync(Schema.Tuple([Schema.Number, Schema.String]))(payload))
}

describe("Values of users' own types", () => {
  it.live("cross by an adapter on either side", () =>
    Effect.gen(function* () {
      yield* Snakepit.call("values_made.register_money")
      const doubled = yield* Snakepit.call("values_made.double_money", { args: [new Money(5, "EUR")] })
      assert.deepStrictEqual(doubled, new Money(10, "EUR"))
    }).pipe(Effect.provide(pool()), Effect.provide(Adapters.layer(moneyAdapter)))
  )

  /** Takes money of one currency only. */
  const pickyAdapter: ValueAdapter<Money> = {
    ...moneyAdapter,
    decode: (payload) => {
      const money = moneyAdapter.decode(payload)
      if (money.currency !== "EUR") throw new Error(`no ${money.currency} here`)
      return money
    }
  }
  const picky = <A, E>(program: Effect.Effect<A, E, Snakepit.Snakepit>) =>
    Effect.andThen(Snakepit.call("values_made.register_money"), program).pipe(
      Effect.provide(pool()),
      Effect.provide(Adapters.layer(pickyAdapter))
    )

  it.live("a result that an adapter refuses is a DecodeError with its path, and the worker goes on", () =>
    picky(
      Effect.gen(function* () {
        const error = yield* Effect.flip(Snakepit.call("values_made.wallet", { args: ["USD"] }))
        if (error._tag !== "DecodeError") return assert.fail(error.message)
        assert.strictEqual(error.path, "result.coins[0]")
        assert.isTrue(error.mayHaveExecuted)
        assert.include(error.message, "no USD here")
        assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
      })
    )
  )

  it.live("an item that an adapter refuses fails its stream, closes the generator, and frees the worker", () =>
    picky(
      Effect.scoped(
        Effect.gen(function* () {
          const file = path.join(yield* tempDirectory, "closed")
          const seen: Array<unknown> = []
          const error = yield* Snakepit.stream("values_made.endless_money", { args: [file] }).pipe(
            Stream.runForEach((money) => Effect.sync(() => seen.push(money))),
            Effect.flip
          )
          assert.deepStrictEqual(seen, [new Money(0, "EUR"), new Money(1, "EUR")])
          assert.strictEqual(error._tag, "DecodeError")
          assert.include(error.message, "no USD here")
          assert.strictEqual(yield* waitForFile(file), "closed")
          assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
        })
      )
    )
  )

  it.live("an argument of a callback that an adapter refuses fails the callback in Python", () =>
    picky(
      Effect.gen(function* () {
        const caught = yield* Snakepit.call("values_made.pay", { args: [() => "paid", "USD"], success: Schema.String })
        assert.include(caught, "no USD here")
        assert.strictEqual(yield* Snakepit.call("values_made.pay", { args: [() => "paid", "EUR"] }), "paid")
      })
    )
  )
})
