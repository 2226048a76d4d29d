import { assert, describe, it } from "@effect/vitest"
import { Complex, Float, PlainDate, Tuple, type ValueAdapter } from "@snakepit/core"
import { tableFromArrays } from "apache-arrow"
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { runInNewContext } from "node:vm"
import { Encoder } from "../src/MessagePack.ts"
import { encodeErrorOf, makeCodec } from "./codec.ts"
import { adapterNamed, Adapted } from "./notation.ts"

const codec = makeCodec()

const hex = (value: unknown) => codec.encode(value).toString("hex")

const table = tableFromArrays({ a: Int32Array.of(1, 2) })

const failureOf = (value: unknown) => encodeErrorOf(() => codec.encode(value))

describe("Encoder", () => {
  describe("values", () => {
    it.each([
      ["null", null, "c0"],
      ["undefined, as null", undefined, "c0"],
      ["an undefined field, as null", { a: undefined }, "81a161c0"],
      ["a hole in an array, as null", Array(2), "92c0c0"],
      ["an integer beyond 32 bits", 2 ** 40, "cf0000010000000000"],
      ["the smallest safe integer", Number.MIN_SAFE_INTEGER, "d3ffe0000000000001"],
      ["an integer that is not safe, as a float", 2 ** 53, "cb4340000000000000"],
      ["a small bigint", 5n, "05"],
      ["a bigint of 64 bits", 2n ** 64n - 1n, "cfffffffffffffffff"],
      ["a bigint of 65 bits", 2n ** 64n, "c70902010000000000000000"],
      ["minus zero", -0, "d70c0000000000000080"],
      ["a Float", new Float(1), "d70c000000000000f03f"],
      ["a Complex", new Complex(1, 2), "d805000000000000f03f0000000000000040"],
      ["a buffer", Buffer.from([1, 2]), "c4020102"],
      ["an ArrayBuffer", Uint8Array.of(1, 2).buffer, "c4020102"],
      ["a DataView", new DataView(Uint8Array.of(0, 1, 2, 3).buffer, 1, 2), "c4020102"],
      ["a lone surrogate", "\ud800", "c7030beda080"],
      ["a surrogate pair", "😀", "a4f09f9880"],
      ["a tuple", Tuple.make(1, 2), "c70301920102"],
      ["a set", new Set([1]), "d5039101"],
      ["a Map, even with string keys", new Map([["a", 1]]), "d60492a16101"],
      ["a key that is a lone surrogate", { "\udc00": 1 }, "d70492c7030bedb08001"],
      ["a key __proto__", JSON.parse(`{"a":1,"__proto__":2}`), "c70f0494a16101a95f5f70726f746f5f5f02"],
      ["an object without prototype", Object.assign(Object.create(null), { a: 1 }), "81a16101"],
      ["a Date", new Date(0), "c70b0798cd07b201010000000000"],
      ["a PlainDate", new PlainDate(2024, 2, 29), "c7060893cd07e8021d"],
      ["a decimal with its scale", BigDecimal.make(110n, 2), "d606312e3130"],
      ["a negative duration", Duration.micros(-1n), "c70c0a93ffce0001517fce000f423f"]
    ])("writes %s", (_, value, bytes) => {
      assert.strictEqual(hex(value), bytes)
    })

    it("takes objects and arrays of other realms as what they are", () => {
      assert.strictEqual(hex(runInNewContext("({ a: [1] })")), hex({ a: [1] }))
    })

    it("keeps the fraction of a millisecond of a DateTime", () => {
      const instant = DateTime.mapEpochMillis(DateTime.makeUnsafe(0), () => 1.5)
      assert.deepStrictEqual(codec.roundTrip(instant), instant)
      assert.strictEqual(hex(instant), "c70d0798cd07b20101000000cd05dc00")
    })

    it("registers functions with the hook", () => {
      const seen: Array<unknown> = []
      const callback = () => 1
      const bytes = codec.encode(
        { on: callback },
        {
          callback: (fn) => {
            seen.push(fn)
            return 300
          }
        }
      )
      assert.strictEqual(bytes.toString("hex"), "81a26f6ec70310cd012c")
      assert.deepStrictEqual(seen, [callback])
    })

    it("asks adapters in order, before the built-in rows", () => {
      const dates: ValueAdapter<Date> = {
        name: "dates",
        is: (value): value is Date => value instanceof Date,
        encode: (date) => date.getTime(),
        decode: (payload) => new Date(Number(payload))
      }
      const both = makeCodec([dates, { ...dates, name: "never" }])
      assert.deepStrictEqual(both.roundTrip({ at: new Date(7) }), { at: new Date(7) })
    })
  })

  describe("refuses", () => {
    const sparse: Array<unknown> = []
    sparse[2] = [Symbol("x")]
    const getter = {
      get broken() {
        throw new Error("no value")
      }
    }
    class Model {
      readonly weight = 1
    }

    it.each([
      ["a symbol", { rows: [1, { tag: Symbol("x") }] }, "args[0].rows[1].tag", "Symbol(x)", "send its description"],
      ["what stands behind holes", sparse, "args[0][2][0]", "Symbol(x)", "A symbol"],
      ["a key that is no name", { "a b": Symbol("x") }, `args[0]["a b"]`, "Symbol(x)", "A symbol"],
      ["in a tuple", Tuple.make(1, Symbol("x")), "args[0][1]", "Symbol(x)", "A symbol"],
      ["in a set", new Set([1, Symbol("x")]), "args[0].values()[1]", "Symbol(x)", "A symbol"],
      ["as a key of a Map", new Map([[Symbol("x"), 1]]), "args[0].keys()[0]", "Symbol(x)", "A symbol"],
      ["as a value of a Map", new Map([[7, Symbol("x")]]), "args[0].get(7)", "Symbol(x)", "A symbol"],
      [
        "beside a key __proto__",
        JSON.parse(`{"__proto__":1}`, (k, v) => (k === "" ? { ...v, ["__proto__"]: v, a: Symbol("x") } : v)),
        "args[0].a",
        "Symbol(x)",
        "A symbol"
      ],
      ["an instance of a class", [new Model()], "args[0][0]", "an instance of Model", "provide a ValueAdapter"],
      ["an Error", new RangeError("x"), "args[0]", "an instance of RangeError", "Send a plain object"],
      ["a record batch", table.batches[0], "args[0]", "a RecordBatch of apache-arrow", "new Table(batch)"],
      ["a vector", table.getChild("a"), "args[0]", "a Vector of apache-arrow", "new Table({ name: vector })"],
      ["a Promise", Promise.resolve(1), "args[0]", "a Promise", "Await it first"],
      ["an Effect", Effect.void, "args[0]", "an Effect", "Run it first"],
      ["a typed array without the tensor adapter", new Float32Array(1), "args[0]", "a Float32Array", "tensor adapter"],
      ["a class", { model: Model }, "args[0].model", "the function Model", "A class cannot be called"],
      ["an invalid Date", new Date(NaN), "args[0]", "an invalid Date", "Send a valid date"],
      ["a Date before year 1", new Date(-1e14), "args[0]", "a date in the year -1199", "years 1 to 9999"],
      ["an infinite duration", Duration.infinity, "args[0]", "an infinite Duration", "finite"],
      ["nanoseconds", Duration.nanos(1n), "args[0]", "a Duration of 1 ns", "microseconds"],
      ["a duration that is too long", Duration.days(1e9), "args[0]", "a Duration of 1000000000 days", "at most"],
      ["a getter that throws", getter, "args[0].broken", "a value that throws when it is read", "no value"]
    ])("%s, with the path to it", (_, value, path, actual, reason) => {
      const error = failureOf(value)
      assert.strictEqual(error.path, path)
      assert.strictEqual(error.actual, actual)
      assert.include(error.reason, reason)
    })

    it("functions where no hook takes them", () => {
      const error = encodeErrorOf(() => codec.encode([() => 1], {}))
      assert.strictEqual(error.path, "args[0][0]")
    })

    it("offsets that Python does not have", () => {
      const zoned = DateTime.setZone(DateTime.makeUnsafe(0), DateTime.zoneMakeOffset(1500))
      assert.include(failureOf(zoned).reason, "whole seconds")
    })

    it("what an adapter refuses, or answers wrongly", () => {
      const throwing = makeCodec([
        {
          ...adapterNamed("point"),
          encode: () => {
            throw new Error("too far")
          }
        }
      ])
      const thrown = encodeErrorOf(() => throwing.encode({ at: new Adapted("point", 1) }))
      assert.strictEqual(thrown.path, "args[0].at")
      assert.include(thrown.reason, `"point" threw: too far`)
      const wrong = makeCodec([adapterNamed("point")])
      const nested = encodeErrorOf(() => wrong.encode([new Adapted("point", { x: Symbol("x") })]))
      assert.strictEqual(nested.path, "args[0][0].<point>.x")
    })

    it("cycles, with both places", () => {
      const rows: Array<unknown> = [1]
      rows.push({ back: rows })
      const error = failureOf({ rows })
      assert.strictEqual(error.path, "args[0].rows[1].back")
      assert.strictEqual(error.actual, "a reference back to args[0].rows")
      const map = new Map<string, unknown>()
      map.set("self", map)
      assert.strictEqual(failureOf(map).path, `args[0].get("self")`)
    })

    it("more than 512 levels, and takes 512", () => {
      const nest = (levels: number) => {
        let value: unknown = 1
        for (let i = 0; i < levels; i++) value = [value]
        return value
      }
      assert.deepStrictEqual(codec.roundTrip(nest(512)), nest(512))
      const { actual, path } = failureOf(nest(100_000))
      assert.include(actual, "512")
      assert.match(path, /^args\[0\](\[0\])+(\[0?)?\.\.\..+\[0\]$/)
      assert.isAtMost(path.length, 500)
    })

    it("more than 125 extensions inside each other, and takes 125", () => {
      const nest = (levels: number) => {
        let value: unknown = 1
        for (let i = 0; i < levels; i++) value = Tuple.make(value)
        return value
      }
      assert.deepStrictEqual(codec.roundTrip(nest(125)), nest(125))
      assert.include(failureOf(nest(126)).actual, "125")
    })
  })

  describe("frames", () => {
    const write = (encoder: Encoder, value: unknown) => {
      const mark = encoder.begin()
      encoder.value(value, "value", {})
      return encoder.end(mark)
    }

    it("begin with their length and are taken together", () => {
      const encoder = new Encoder({ adapters: [] })
      assert.strictEqual(write(encoder, 1), 1)
      assert.strictEqual(write(encoder, "ab"), 3)
      assert.deepStrictEqual([...(encoder.takeFrames() ?? [])], [1, 0, 0, 0, 1, 3, 0, 0, 0, 0xa2, 0x61, 0x62])
      assert.isUndefined(encoder.takeFrames())
    })

    it("are built from parts", () => {
      const encoder = new Encoder({ adapters: [] })
      const mark = encoder.begin()
      encoder.mapHeader(2)
      encoder.text("id")
      encoder.uint(2 ** 40)
      encoder.raw(Uint8Array.of(0xa1, 0x61))
      encoder.arrayHeader(1)
      encoder.value(null, "value", {})
      encoder.end(mark)
      assert.strictEqual(
        Buffer.from(encoder.takeFrames() ?? []).toString("hex"),
        "1100000082a26964cf0000010000000000a16191c0"
      )
    })

    it("are forgotten by a rollback, and those before are not", () => {
      const encoder = new Encoder({ adapters: [], slabBytes: 1024 })
      write(encoder, 1)
      const mark = encoder.begin()
      // Large enough to move to another slab first.
      assert.throws(() => encoder.value(["x".repeat(5000), Symbol("x")], "value", {}))
      encoder.rollback(mark)
      write(encoder, 2)
      assert.deepStrictEqual([...(encoder.takeFrames() ?? [])], [1, 0, 0, 0, 1, 1, 0, 0, 0, 2])
    })

    it("are never written over once taken", () => {
      const encoder = new Encoder({ adapters: [], slabBytes: 1024 })
      const taken: Array<readonly [frames: Uint8Array, copy: string]> = []
      for (let i = 0; i < 300; i++) {
        for (let frame = 0; frame <= i % 3; frame++)
          write(encoder, ["x".repeat((i * 7) % 400), i, new Uint8Array(i % 100)])
        const frames = encoder.takeFrames() ?? new Uint8Array()
        taken.push([frames, Buffer.from(frames).toString("hex")])
      }
      for (const [frames, copy] of taken) assert.strictEqual(Buffer.from(frames).toString("hex"), copy)
    })

    it("larger than a slab arrive whole, extensions across the move included", () => {
      const encoder = new Encoder({ adapters: [], slabBytes: 1024 })
      write(encoder, 1)
      const large = [
        new Set(["x".repeat(3000)]),
        Tuple.make("日".repeat(3000), "\ud800".repeat(3000)),
        new Uint8Array(70_000)
      ]
      write(encoder, large)
      const frames = Buffer.from(encoder.takeFrames() ?? [])
      const length = frames.readUInt32LE(5)
      assert.strictEqual(frames.length, 9 + length)
      assert.deepStrictEqual(codec.decode(frames.subarray(9)), large)
      // The slab of a large frame is not used for the next.
      write(encoder, 1)
      assert.isBelow(encoder.takeFrames()?.buffer.byteLength ?? 0, 2000)
    })

    it("do not nest", () => {
      const encoder = new Encoder({ adapters: [] })
      const mark = encoder.begin()
      assert.throws(() => encoder.begin(), "still open")
      assert.throws(() => encoder.takeFrames(), "still open")
      encoder.rollback(mark)
      encoder.end(encoder.begin())
    })
  })
})
