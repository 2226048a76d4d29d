import { assert, describe, it } from "@effect/vitest"
import { Complex } from "@snakepit/core"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import { type DType, Storage, Tensor } from "../src/index.ts"

/** A payload whose bytes are where the adapter wrote them. */
const written = (payload: unknown): unknown =>
  Array.isArray(payload)
    ? payload.map((part: unknown) => {
        if (!(part instanceof Storage.Unwritten)) return part
        const bytes = new Uint8Array(part.byteLength)
        part.write(bytes)
        return bytes
      })
    : payload

const fromHex = (dtype: DType, shape: ReadonlyArray<number>, hex: string): Tensor =>
  Tensor.fromBytes(dtype, shape, Buffer.from(hex, "hex"))

describe("Tensor", () => {
  describe("of", () => {
    it.each([
      [new Int8Array(2), "|i1"],
      [new Uint8Array(2), "|u1"],
      [new Int16Array(2), "<i2"],
      [new Uint16Array(2), "<u2"],
      [new Int32Array(2), "<i4"],
      [new Uint32Array(2), "<u4"],
      [new BigInt64Array(2), "<i8"],
      [new BigUint64Array(2), "<u8"],
      [new Float32Array(2), "<f4"],
      [new Float64Array(2), "<f8"]
    ])("takes the dtype of %o", (data, dtype) => {
      const tensor = Tensor.of(data)
      assert.strictEqual(tensor.dtype, dtype)
      assert.deepStrictEqual(tensor.shape, [2])
      assert.strictEqual(tensor.data.constructor, data.constructor)
    })

    it("shares the memory of the array, of a part of it too", () => {
      const whole = new Float64Array([0, 1, 2, 3, 4])
      const tensor = Tensor.of(whole.subarray(1, 5), [2, 2])
      whole[1] = 10
      assert.deepStrictEqual(tensor.toNested(), [
        [10, 2],
        [3, 4]
      ])
      tensor.data[0] = 11
      assert.strictEqual(whole[1], 11)
    })

    it("refuses a shape with another number of items", () => {
      assert.throws(() => Tensor.of(new Float64Array(5), [2, 3]), RangeError, "the shape 2x3 has 6 items, the array 5")
      assert.throws(() => Tensor.of(new Float64Array(5), [-5]), TypeError, "non-negative")
    })
  })

  describe("data", () => {
    it.each([
      ["|b1", "0100", new Uint8Array([1, 0])],
      ["<i4", "01000000ffffffff", new Int32Array([1, -1])],
      [">i4", "00000001ffffffff", new Int32Array([1, -1])],
      [">f8", "3ff8000000000000", new Float64Array([1.5])],
      ["<c8", "0000c03f000020c0", new Float32Array([1.5, -2.5])],
      [">c16", "3ff80000000000000000000000000000", new Float64Array([1.5, 0])],
      ["<M8[ns]", "0000000000000080", new BigInt64Array([-(2n ** 63n)])],
      ["<m8[s]", "fbffffffffffffff", new BigInt64Array([-5n])]
    ])("of %s %s is a typed array", (dtype, hex, data) => {
      assert.deepStrictEqual(
        fromHex(dtype, [hex.length / 2 / (dtype.includes("c") ? data.byteLength : data.BYTES_PER_ELEMENT)], hex).data,
        data
      )
    })

    it("is over the bytes themselves when they are aligned, and over a copy when not", () => {
      const buffer = new ArrayBuffer(24)
      const aligned = Tensor.fromBytes("<f8", [2], new Uint8Array(buffer, 8, 16))
      const unaligned = Tensor.fromBytes("<f8", [2], new Uint8Array(buffer, 3, 16))
      assert.strictEqual(aligned.data.buffer, buffer)
      assert.notStrictEqual(unaligned.data.buffer, buffer)
      assert.strictEqual(unaligned.data, unaligned.data)
    })

    it("leaves the bytes of the other byte order as they are", () => {
      const tensor = fromHex(">i2", [1], "0001")
      assert.deepStrictEqual(tensor.data, new Int16Array([1]))
      assert.deepStrictEqual([...tensor.bytes], [0, 1])
    })

    it("holds float16 as numbers or as bits", () => {
      const { data } = fromHex("<f2", [1], "003c")
      assert.strictEqual(data[0], data instanceof Uint16Array ? 0x3c00 : 1)
    })

    it.each([
      ["<U1", "61000000"],
      ["|S1", "61"],
      ["|V1", "61"],
      ["<f16", "00".repeat(16)]
    ])("has no form for %s", (dtype, hex) => {
      assert.throws(() => fromHex(dtype, [1], hex).data, TypeError, `${dtype} has no typed array`)
    })
  })

  describe("toNested", () => {
    it.each<[dtype: DType, shape: ReadonlyArray<number>, hex: string, nested: unknown]>([
      ["|b1", [2], "0100", [true, false]],
      ["|i1", [1, 2], "ff01", [[-1, 1]]],
      ["<u2", [1], "ffff", [65_535]],
      [">u4", [1], "00000001", [1]],
      ["<i8", [2], "0100000000000000ffffffffffffff7f", [1, 2n ** 63n - 1n]],
      ["<u8", [1], "ffffffffffffffff", [2n ** 64n - 1n]],
      ["<f2", [6], "003c00c00100007c00fc007e", [1, -2, 2 ** -24, Infinity, -Infinity, NaN]],
      ["<f4", [1], "0000c03f", [1.5]],
      ["<f8", [], "000000000000f83f", 1.5],
      ["<c8", [1], "0000c03f000020c0", [new Complex(1.5, -2.5)]],
      ["<c16", [1], "000000000000f83f00000000000004c0", [new Complex(1.5, -2.5)]],
      ["<M8[ns]", [1], "0100000000000000", [1n]],
      ["<U2", [2], "e900000000000000164e00004c750000", ["é", "世界"]],
      [">U1", [1], "0001f600", ["😀"]],
      ["|S3", [2], "61620078797a", [Uint8Array.of(0x61, 0x62), Uint8Array.of(0x78, 0x79, 0x7a)]],
      ["|V2", [1], "0001", [Uint8Array.of(0, 1)]],
      ["<f4", [0, 3], "", []],
      ["<f4", [2, 0], "", [[], []]],
      [
        [
          ["x", "<i4"],
          ["", "|V4"],
          [["title", "y"], "<i2", [2]],
          ["z", [["inner", "|u1"]]]
        ],
        [1],
        "07000000000000000100020009",
        [{ x: 7, y: [1, 2], z: { inner: 9 } }]
      ]
    ])("of %j %j", (dtype, shape, hex, nested) => {
      assert.deepStrictEqual(fromHex(dtype, shape, hex).toNested(), nested)
    })

    it("has no form for long doubles", () => {
      assert.throws(() => fromHex("<f16", [1], "00".repeat(16)).toNested(), TypeError, "convert the array in Python")
    })
  })

  describe("fromNested", () => {
    it.each<[nested: unknown, dtype: string, shape: ReadonlyArray<number>]>([
      [
        [
          [1, 2.5],
          [3, 4]
        ],
        "<f8",
        [2, 2]
      ],
      [[1, 2, 3], "<f8", [3]],
      [1.5, "<f8", []],
      [[true, false], "|b1", [2]],
      [[1n, -(2n ** 60n)], "<i8", [2]],
      [[new Complex(1, 2)], "<c16", [1]],
      [["a", "日本", "😀"], "<U2", [3]]
    ])("chooses the dtype of %o", (nested, dtype, shape) => {
      const tensor = Tensor.fromNested(nested)
      assert.strictEqual(tensor.dtype, dtype)
      assert.deepStrictEqual(tensor.shape, shape)
      assert.deepStrictEqual(
        JSON.stringify(tensor.toNested(), (_, item) => (typeof item === "bigint" ? Number(item) : item)),
        JSON.stringify(nested, (_, item) => (typeof item === "bigint" ? Number(item) : item))
      )
    })

    it.each(["<i2", ">i4", "<i8", "|u1", "<u8", "<f4", ">f8", "<c8"])("writes %s", (dtype) => {
      const expected = dtype === "<c8" ? [new Complex(1, 0), new Complex(2, 0)] : [1, 2]
      assert.deepStrictEqual(Tensor.fromNested([1, 2], dtype).toNested(), expected)
    })

    it("keeps Python objects as they are", () => {
      const tensor = Tensor.fromNested([[null], [{ a: 1 }]], "|O")
      assert.deepStrictEqual(tensor.shape, [2, 1])
      assert.deepStrictEqual(tensor.items, [null, { a: 1 }])
      assert.deepStrictEqual(tensor.toNested(), [[null], [{ a: 1 }]])
      assert.throws(() => tensor.bytes, TypeError, "no bytes")
    })

    it("refuses what does not fit", () => {
      assert.throws(() => Tensor.fromNested([[1, 2], [3]]), RangeError, "dimension 1, got one of 1 instead of 2")
      assert.throws(() => Tensor.fromNested([[1], 2]), RangeError, "got an item instead of 1")
      assert.throws(() => Tensor.fromNested([1, [2]]), RangeError)
      assert.throws(() => Tensor.fromNested([256], "|u1"), RangeError, "expected 0 to 255 for |u1, got 256")
      assert.throws(() => Tensor.fromNested([1.5], "<i4"), TypeError, "expected an integer for <i4, got 1.5")
      assert.throws(() => Tensor.fromNested(["abc"], "<U2"), RangeError, "at most 2 characters")
      assert.throws(() => Tensor.fromNested([1, "a"]), TypeError)
      assert.throws(() => Tensor.fromNested([1], "float64"), TypeError, `expected a dtype like "<f8", got "float64"`)
    })
  })

  describe("fromBytes", () => {
    it("refuses the wrong size and unknown dtypes", () => {
      assert.throws(() => fromHex("<f8", [2], "00"), RangeError, "expected 16 bytes for <f8 of shape 2, got 1")
      for (const dtype of ["<x8", "f8", "<f3", "", "|O8x"]) assert.throws(() => fromHex(dtype, [0], ""), TypeError)
      assert.throws(() => fromHex("<f8", [2 ** 30, 2 ** 30], ""), RangeError, "at most 2**53 items")
    })
  })

  it("takes another shape over the same bytes", () => {
    const tensor = Tensor.of(new Float64Array([1, 2, 3, 4]))
    assert.deepStrictEqual(tensor.reshape([2, 2]).toNested(), [
      [1, 2],
      [3, 4]
    ])
    assert.strictEqual(tensor.reshape([2, 2]).bytes, tensor.bytes)
    assert.throws(() => tensor.reshape([3]), RangeError)
  })

  it("equals one with the same dtype, shape and items", () => {
    const make = (shape: ReadonlyArray<number>) => Tensor.of(new Float64Array([1, 2]), shape)
    assert.isTrue(Equal.equals(make([2]), make([2])))
    assert.strictEqual(Hash.hash(make([2])), Hash.hash(make([2])))
    assert.isFalse(Equal.equals(make([2]), make([1, 2])))
    assert.isFalse(Equal.equals(make([2]), Tensor.of(new Float64Array([1, 3]))))
    assert.isFalse(Equal.equals(make([2]), Tensor.of(new BigInt64Array(2))))
  })

  it("prints its dtype and shape", () => {
    assert.strictEqual(inspect(Tensor.of(new Float64Array(6), [2, 3])), "Tensor(<f8, 2x3)")
    assert.strictEqual(String(Tensor.fromNested(1)), "Tensor(<f8, no dimensions)")
    assert.strictEqual(
      String(
        fromHex(
          [
            ["x", "<i4"],
            ["", "|V4"]
          ],
          [1],
          "00".repeat(8)
        )
      ),
      "Tensor({x: <i4}, 1)"
    )
  })

  describe("schema", () => {
    const matches = (schema: Schema.Top, value: unknown) => Schema.is(schema)(value as never)

    it("matches one dtype in either byte order", () => {
      assert.isTrue(matches(Tensor.schema(Float64Array), Tensor.of(new Float64Array(1))))
      assert.isTrue(matches(Tensor.schema(Float64Array), fromHex(">f8", [0], "")))
      assert.isFalse(matches(Tensor.schema(Float64Array), Tensor.of(new Float32Array(1))))
      assert.isFalse(matches(Tensor.schema(Float64Array), fromHex("<c16", [0], "")))
      assert.isFalse(matches(Tensor.schema(Uint8Array), fromHex("|b1", [0], "")))
      assert.isFalse(matches(Tensor.schema(Float64Array), new Float64Array(1)))
      assert.isTrue(matches(Tensor.schema("<M8[ns]"), fromHex("<M8[ns]", [0], "")))
    })

    it("matches a shape, whose nulls are any length", () => {
      const schema = Tensor.schema(Float64Array, { shape: [null, 2] })
      assert.isTrue(matches(schema, Tensor.of(new Float64Array(6), [3, 2])))
      assert.isFalse(matches(schema, Tensor.of(new Float64Array(6), [2, 3])))
      assert.isFalse(matches(schema, Tensor.of(new Float64Array(6))))
    })

    it("names what it expects in its error, and types the data", () => {
      const decode = Schema.decodeUnknownSync(Tensor.schema(Float64Array, { shape: [null, 2] }))
      assert.throws(() => decode([1]), "Tensor(<f8, ?x2)")
      const data: Float64Array = decode(Tensor.of(new Float64Array(2), [1, 2])).data
      assert.strictEqual(data.length, 2)
    })
  })

  describe("adapter", () => {
    const { decode, encode, is } = Tensor.adapter

    it("takes tensors and typed arrays, and leaves bytes alone", () => {
      assert.isTrue(is(Tensor.of(new Float64Array(1))))
      assert.isTrue(is(new Float32Array(1)))
      for (const other of [new Uint8Array(1), new DataView(new ArrayBuffer(1)), [1], null]) assert.isFalse(is(other))
    })

    it("decodes what it encodes", () => {
      const tensors = [
        Tensor.of(new Float64Array([1, 2]), [2, 1]),
        Tensor.fromNested([{ a: 1 }, null], "|O"),
        fromHex([["x", "<i4"]], [1], "01000000"),
        Tensor.fromNested(1)
      ]
      for (const tensor of tensors) assert.isTrue(Equal.equals(decode(written(encode(tensor))), tensor))
      assert.deepStrictEqual(written(encode(new Int16Array([1]))), ["<i2", [1], Uint8Array.of(1, 0)])
    })

    it("refuses other payloads", () => {
      const payloads = [
        null,
        ["<f8", [1]],
        ["<f8", [1], new Uint8Array(7)],
        ["<f8", [1], "a"],
        ["|O", [2], [1]],
        ["|O", [-1], []],
        [[["x"]], [0], new Uint8Array(0)]
      ]
      for (const payload of payloads) assert.throws(() => decode(payload))
    })
  })
})
