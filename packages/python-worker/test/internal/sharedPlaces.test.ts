import { assert, describe, it } from "@effect/vitest"
import { sharedPlaces } from "../../src/internal/sharedPlaces.ts"

/** What the payloads are, of a message that is written as bytes, texts and messages in it. */
const placesIn = (...parts: ReadonlyArray<number | string | Buffer>) => {
  const frame = Buffer.concat([
    Buffer.from([0xff]), // a frame begins anywhere in its memory
    ...parts.map((part) => (typeof part === "number" ? Buffer.from([part]) : Buffer.from(part))),
    Buffer.from([0xff])
  ])
  return sharedPlaces(frame, 1, frame.length - 1).map(([from, to]) => frame.toString("latin1", from, to))
}

const extension = (code: number, ...payload: ReadonlyArray<number | string | Buffer>): Buffer => {
  const body = Buffer.concat(
    payload.map((part) => (typeof part === "number" ? Buffer.from([part]) : Buffer.from(part)))
  )
  return Buffer.concat([Buffer.from([0xc7, body.length, code]), body])
}

describe("sharedPlaces", () => {
  it("finds them in arrays, maps, tuples, sets and adapted values, in their order", () => {
    assert.deepStrictEqual(
      placesIn(
        ...[
          0x95,
          extension(14, "one"),
          0x81,
          0xa1,
          "k",
          extension(14, "two"),
          extension(1, 0x91, extension(14, "three"))
        ],
        ...[extension(4, 0x92, 0xc0, extension(14, "four"))],
        ...[extension(13, 0x92, 0xa1, "n", 0x92, 1, extension(14, "five"))],
        ...[0xd7, 14, "12345678", 0xdc, 0, 1, extension(3, 0x91, extension(14, "six"))]
      ),
      ["one", "two", "three", "four", "five", "12345678", "six"]
    )
  })

  it("takes nothing inside texts, bytes, numbers and other extensions for one", () => {
    const place = extension(14, "no")
    const [head = 0, ...rest] = place
    assert.deepStrictEqual(
      placesIn(
        ...[0xa0 + place.length, place, 0xd9, place.length, place, 0xda, 0, place.length, place],
        ...[0xdb, 0, 0, 0, place.length, place, 0xc4, place.length, place, 0xc5, 0, place.length, place],
        ...[0xcc, head, 0xcd, 0, head, 0xca, 0, 0, 0, head, 0xcb, 0, 0, 0, 0, 0, 0, 0, head],
        ...[0xcf, 0, 0, 0, 0, 0, 0, 0, head, 0xd0, head, 0xd1, 0, head, 0xd3, 0, 0, 0, 0, 0, 0, 0, head],
        ...[0xc7, place.length, 2, head, ...rest, 0xc8, 0, place.length, 15, place, 0xd6, 5, 1, 2, 3, head],
        ...[0xde, 0, 1, 0xa1, "k", 0xdf, 0, 0, 0, 1, 0x20, 0xdd, 0, 0, 0, 1, 0xe0, extension(14, "yes")]
      ),
      ["yes"]
    )
  })

  it("answers those before the place where the message ends too early, at whatever byte that is", () => {
    const frame = Buffer.concat([
      Buffer.from([0x93]),
      extension(14, "one"),
      Buffer.from([0xc8, 0, 3, 14]),
      Buffer.from("two")
    ])
    for (let end = 0; end <= frame.length; end++) {
      const expected = end === frame.length ? 2 : end >= 7 ? 1 : 0
      assert.lengthOf(sharedPlaces(frame, 0, end), expected, `${end} bytes`)
    }
  })

  it("goes through what nests deeper than any stack", () => {
    assert.deepStrictEqual(placesIn(Buffer.alloc(1_000_000, 0x91), extension(14, "deep")), ["deep"])
  })
})
