import { assert, describe, it } from "@effect/vitest"
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { Decoder } from "../src/MessagePack.ts"
import { decodeErrorOf, makeCodec } from "./codec.ts"
import { Adapted, adapterNamed, hooks } from "./notation.ts"

const codec = makeCodec([adapterNamed("point")])

const decode = (hex: string): unknown => codec.decode(Buffer.from(hex, "hex"))

const failureOf = (hex: string) => decodeErrorOf(() => decode(hex))

const text = (value: string): string => Buffer.from(value).toString("hex")

/** An extension of less than 256 bytes, by its payload in hexadecimal. */
const extension = (code: number, payload: string): string =>
  "c7" + Buffer.of(payload.length / 2, code).toString("hex") + payload

describe("Decoder", () => {
  describe("reads", () => {
    it.each([
      ["the largest safe integer", "cf001fffffffffffff", Number.MAX_SAFE_INTEGER],
      ["an integer beyond it", "cf0020000000000000", 2n ** 53n],
      ["the smallest safe integer", "d3ffe0000000000001", Number.MIN_SAFE_INTEGER],
      ["an integer below it", "d3ffe0000000000000", -(2n ** 53n)],
      ["a large integer of any length", "d5020005", 5],
      ["a negative one of any length", "c70302fffffe", -2],
      ["float32", "ca3fc00000", 1.5],
      ["whole floats as numbers", "cb4014000000000000", 5],
      ["text with a replacement character of its own", "a3efbfbd", "\ufffd"],
      ["text in 32 bits of length", "db0000000161", "a"],
      ["a Map with a key __proto__", extension(4, `92a9${text("__proto__")}01`), new Map([["__proto__", 1]])],
      ["an object whose key is a lone surrogate", extension(4, `92${extension(11, "eda080")}01`), { "\ud800": 1 }],
      ["an empty Map", "d40490", new Map()]
    ])("%s", (_, hex, value) => {
      assert.deepStrictEqual(decode(hex), value)
    })

    it("decimals with their scale", () => {
      for (const [decimal, value, scale] of [
        ["1.10", 110n, 2],
        ["-1E+5", -1n, -5],
        ["0.00", 0n, 2],
        ["0E-9", 0n, 9]
      ] as const) {
        const hex = extension(6, text(decimal))
        assert.deepStrictEqual(decode(hex), BigDecimal.make(value, scale))
        assert.strictEqual(codec.encode(decode(hex)).subarray(-decimal.length).toString(), decimal)
      }
    })

    it("timedeltas to the microsecond, from end to end of their range", () => {
      const limits = [
        [-999_999_999, 0, 0],
        [999_999_999, 86_399, 999_999],
        [0, 0, 1],
        [-1, 86_399, 999_999]
      ] as const
      for (const [days, seconds, micros] of limits) {
        const nanos = ((BigInt(days) * 86_400n + BigInt(seconds)) * 1_000_000n + BigInt(micros)) * 1000n
        const bytes = codec.encode(Duration.nanos(nanos))
        const duration = codec.decode(bytes)
        assert.isTrue(Duration.isDuration(duration) && Duration.toNanosUnsafe(duration) === nanos)
        assert.deepStrictEqual(codec.encode(duration), bytes)
      }
    })

    it("datetimes with the zone that Python named, aliases included", () => {
      // Intl calls this zone Asia/Calcutta.
      const bytes = Buffer.from(extension(7, `98cd07e807010500000092ac${text("Asia/Kolkata")}cd4d58`), "hex")
      const value = codec.decode(bytes)
      assert.isTrue(DateTime.isDateTime(value) && DateTime.isZoned(value) && value.zone._tag === "Named")
      assert.strictEqual(DateTime.isDateTime(value) ? DateTime.formatIso(value) : "", "2024-06-30T23:30:00.000Z")
      assert.deepStrictEqual(codec.encode(value), bytes)
    })

    it("microseconds of every instant that a DateTime tells apart, and refuses those that it does not", () => {
      // 2024-01-01T00:00:00.123457Z, and the same in 9999.
      assert.strictEqual(
        Reflect.get(Object(decode(extension(7, "98cd07e80101000000ce0001e24100"))), "epochMilliseconds"),
        1_704_067_200_123.457
      )
      const error = failureOf(extension(7, "98cd270f0101000000ce0001e24100"))
      assert.include(error.actual, "9999-01-01T00:00:00.123457")
      assert.include(error.expected, "1691 and 2248")
    })

    it("refs through the hook", () => {
      const value = codec.decode(Buffer.from(extension(15, "94a173a17707a3612e62"), "hex"), {
        ref: (...parts) => parts
      })
      assert.deepStrictEqual(value, ["s", "w", 7, "a.b"])
    })

    it("what the hook throws goes out as it is", () => {
      const thrown = new Error("the session is gone")
      const run = () =>
        codec.decode(Buffer.from("91" + extension(15, "94a173a17707a3612e62"), "hex"), {
          ref: () => {
            throw thrown
          }
        })
      assert.throws(run, thrown)
    })

    it("adapted values by their name", () => {
      assert.deepStrictEqual(decode(extension(13, `92a5${text("point")}07`)), new Adapted("point", 7))
    })

    it("one value among others in the same memory", () => {
      const bytes = Buffer.from("ff93010203ff", "hex")
      assert.deepStrictEqual(new Decoder({ adapters: [] }).decode(bytes, 1, 5, hooks.decode), [1, 2, 3])
      assert.deepStrictEqual(new Decoder({ adapters: [] }).decode(new Uint8Array(bytes), 2, 3, hooks.decode), 1)
    })

    it("small bytes as copies, large ones as views", () => {
      for (const [size, shared] of [
        [4096, false],
        [4097, true]
      ] as const) {
        const frame = codec.encode(new Uint8Array(size))
        const value = codec.decode(frame)
        frame.fill(7)
        assert.isTrue(value instanceof Uint8Array && !Buffer.isBuffer(value) && (value[0] === 7) === shared)
      }
    })

    it("the same keys again and others in their place", () => {
      const keys = Array.from({ length: 5000 }, (_, i) => `key${i * 7919}`)
      for (let round = 0; round < 2; round++) {
        for (const key of keys) assert.deepStrictEqual(codec.roundTrip({ [key]: 1, ключ: 2 }), { [key]: 1, ключ: 2 })
      }
    })
  })

  describe("refuses", () => {
    it.each([
      ["nothing", "", "1 bytes or more"],
      ["more than one value", "0101", "nothing else"],
      ["the token that MessagePack does not use", "c1", "token"],
      ["text that is no UTF-8", "a2c328", "valid UTF-8"],
      ["text that is no UTF-8 and long", `b8${"61".repeat(22)}eda0`, "valid UTF-8"],
      ["an array longer than its bytes", "dd7fffffff01", "2147483647 bytes or more"],
      ["a map longer than its bytes", "df7fffffff01", "bytes or more"],
      ["bytes longer than their frame", "c67fffffff01", "bytes or more"],
      ["text longer than its frame", "db7fffffff61", "bytes or more"],
      ["a key that is no string", "810102", "keys that are strings"],
      ["a key __proto__", `81a9${text("__proto__")}80`, `other than "__proto__"`],
      ["an extension longer than its frame", "c9ffffffff01", "bytes or more"],
      ["an extension that it does not know", "d46300", "protocol version 1"],
      ["a place in shared memory that is no array", "d40e00", "a place in shared memory as an array"],
      ["a place of too few parts", "c7050e9400000000", "a place in shared memory of 5 items"],
      ["a negative extension", "d4ff00", "protocol version 1"],
      ["a callback", "d41001", "TypeScript to Python only"],
      ["bytes behind an extension's value", "d5019000", "one value in extension 1"],
      ["an extension whose value runs over", "d5019201", "bytes or more"],
      ["a tuple that is no array", "d40101", "a tuple as an array"],
      ["an integer without bytes", "c70002", "one byte or more"],
      ["a complex number of 8 bytes", "d7050000000000000000", "16 bytes"],
      ["a float of 4 bytes", "d60c00000000", "8 bytes"],
      ["keys without a value", "d5049101", "keys and values"],
      ["keys that are equal", extension(4, "9401020103"), "different keys"],
      ["members that are equal", extension(3, "920101"), "different members"],
      ["a decimal that is not finite", extension(6, text("NaN")), "finite decimal"],
      ["a decimal of minus zero", extension(6, text("-0.0")), "finite decimal"],
      ["a decimal with a huge exponent", extension(6, text("1E+999999999999999999")), "finite decimal"],
      ["a date that does not exist", extension(8, "93cd07e7021d"), "a date"],
      ["a date of other things", extension(8, "93c0c0c0"), "integers"],
      ["a datetime that is too short", extension(7, "93010203"), "8 items"],
      ["a datetime in no zone", extension(7, "98cd07e8010100000000a155"), "[zone key, offset]"],
      ["a datetime in an unknown zone", extension(7, "98cd07e801010000000092a358585800"), "time zone"],
      ["an offset of a day", extension(7, "98cd07e8010100000000ce00015180"), "[zone key, offset]"],
      ["an adapter that is not there", extension(13, `92a3${text("foo")}07`), "ValueAdapter.layer"],
      ["an adapted value without a name", "d50d9101", "[adapter name, payload]"],
      ["a ref of other things", extension(15, "94c0c0c0c0"), "[session id, worker id, ref id, type name]"],
      ["surrogates that JavaScript would join", extension(11, "eda0bdedb880"), "lone surrogates"],
      ["an overlong character", "d50bc080", "UTF-8 with surrogates"],
      ["a character beyond Unicode", "d60bf4908080", "UTF-8 with surrogates"],
      ["half a character", "d50be282", "UTF-8 with surrogates"]
    ])("%s", (_, hex, expected) => {
      assert.include(failureOf(hex).expected, expected)
    })

    it("with the path to what is wrong", () => {
      const bytes = codec.encode({ exit: { value: [1, { "a b": new Map([["k", new Set([1])]]) }] } })
      // The set's member becomes a token that does not exist.
      bytes[bytes.length - 1] = 0xc1
      assert.strictEqual(decodeErrorOf(() => codec.decode(bytes)).path, `exit.value[1]["a b"].get("k").values()[0]`)
    })

    it("more than 512 levels, of arrays, maps and extensions alike", () => {
      for (const level of ["91", "81a161"]) {
        assert.include(failureOf(`${level.repeat(513)}c0`).expected, "512")
        decode(`${level.repeat(512)}c0`)
      }
      assert.include(failureOf("91".repeat(100_000)).expected, "512")
    })

    it("arrays that announce more items than the frame has bytes, before making room for them", () => {
      // Each array alone could be true; together they would take half a gigabyte.
      const frame = Buffer.alloc(1 << 20, 0xc0)
      for (let level = 0; level < 500; level++) {
        frame[level * 5] = 0xdd
        frame.writeUInt32BE(frame.length - 5 * 500, level * 5 + 1)
      }
      assert.include(decodeErrorOf(() => codec.decode(frame)).actual, "more items than bytes")
    })

    it("what an adapter cannot decode", () => {
      const throwing = makeCodec([
        {
          ...adapterNamed("point"),
          decode: () => {
            throw new Error("no point")
          }
        }
      ])
      const bytes = throwing.encode({ at: new Adapted("point", 1) })
      const error = decodeErrorOf(() => throwing.decode(bytes))
      assert.strictEqual(error.path, "at")
      assert.strictEqual(error.actual, "no point")
    })
  })
})
