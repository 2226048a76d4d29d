/** The codec as a whole: what goes in comes out, as other implementations write it, and no bytes can break it. */
import { assert, describe, it } from "@effect/vitest"
import { Tensor } from "@snakepit/zero-copy"
import { Packr, Unpackr } from "msgpackr"
import { inspect } from "node:util"
import { decodeErrorOf, makeCodec } from "./codec.ts"
import { leaves, makeRandom, plainValue, value } from "./generate.ts"
import { adapterNamed, toNotation } from "./notation.ts"

const codec = makeCodec([Tensor.adapter, adapterNamed("point")])

const assertSame = (actual: unknown, expected: unknown, seed: number) =>
  assert.deepStrictEqual(toNotation(actual), toNotation(expected), `seed ${seed}: ${inspect(expected)}`)

describe("MessagePack", () => {
  it.each(Object.entries(leaves))("round-trips any %s", (_, make) => {
    for (let seed = 0; seed < 500; seed++) {
      const leaf = make(makeRandom(seed))
      assertSame(codec.roundTrip(leaf), leaf, seed)
    }
  })

  it("round-trips values inside each other", () => {
    for (let seed = 0; seed < 1000; seed++) {
      const nested = value(makeRandom(seed), 4)
      assertSame(codec.roundTrip(nested), nested, seed)
    }
  })

  describe("agrees with msgpackr on plain values", () => {
    const packr = new Packr({ useRecords: false, variableMapSize: true })
    const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true })

    it("writes the same bytes", () => {
      for (let seed = 0; seed < 300; seed++) {
        const plain = plainValue(makeRandom(seed), 3)
        assert.strictEqual(codec.encode(plain).toString("hex"), packr.pack(plain).toString("hex"), `seed ${seed}`)
      }
    })

    it("reads what it writes, and is read by it", () => {
      for (let seed = 0; seed < 300; seed++) {
        const plain = plainValue(makeRandom(seed), 3)
        assertSame(codec.decode(packr.pack(plain)), plain, seed)
        assertSame(unpackr.unpack(codec.encode(plain)), plain, seed)
      }
    })
  })

  describe("survives bytes that nobody vouches for", () => {
    /** A frame may be refused, and in no other way than this. */
    const decodeOrRefuse = (bytes: Uint8Array) => {
      try {
        codec.decode(bytes)
      } catch {
        decodeErrorOf(() => codec.decode(bytes))
      }
    }

    it("random ones", () => {
      for (let seed = 0; seed < 20_000; seed++) {
        const random = makeRandom(seed)
        decodeOrRefuse(Uint8Array.from({ length: random.integer(0, 40) }, () => random.integer(0, 255)))
      }
    })

    it("valid ones with bytes changed, taken out and put in", () => {
      for (let seed = 0; seed < 3000; seed++) {
        const random = makeRandom(seed)
        const bytes = [...codec.encode(value(random, 3))].slice(0, 2000)
        for (let change = random.integer(1, 4); change > 0 && bytes.length > 0; change--) {
          const at = random.integer(0, bytes.length - 1)
          // Tokens of extensions and lengths are what reaches most code.
          const byte = random.pick([random.integer(0, 255), random.integer(0xc0, 0xdf), random.integer(0, 17)])
          bytes.splice(at, random.integer(0, 1), ...(random.next() < 0.7 ? [byte] : []))
        }
        decodeOrRefuse(Uint8Array.from(bytes))
      }
    })

    it("valid ones that end early", () => {
      for (let seed = 0; seed < 200; seed++) {
        const bytes = codec.encode(value(makeRandom(seed), 3)).subarray(0, 600)
        for (let end = 0; end < bytes.length; end++) decodeOrRefuse(bytes.subarray(0, end))
      }
    })
  })
})
