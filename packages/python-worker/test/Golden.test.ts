import { readdirSync, readFileSync } from "node:fs"
import { Table, Tensor } from "@snakepit/zero-copy"
import { assert, describe, it } from "@effect/vitest"
import { Decoder, Encoder } from "../src/MessagePack.ts"
import { adapterNamed, fromNotation, hooks, toNotation } from "./notation.ts"

interface Vector {
  readonly name: string
  readonly value: unknown
  readonly typescript: "exact" | "decode"
}

const folder = new URL("../../../protocol/golden/", import.meta.url)

const vectors = readdirSync(folder)
  .filter((file) => file.endsWith(".json"))
  .map((file): readonly [name: string, vector: Vector, bytes: Buffer] => {
    const vector: Vector = JSON.parse(readFileSync(new URL(file, folder), "utf8"))
    return [vector.name, vector, readFileSync(new URL(file.replace(/json$/, "bin"), folder))]
  })

// Callbacks go from TypeScript to Python only.
const decodable = vectors.filter(([, vector]) => !JSON.stringify(vector.value).includes('{"$callback":'))

const exact = vectors.filter(([, vector]) => vector.typescript === "exact")

const adapters = [Tensor.adapter, Table.adapter, adapterNamed("point")]

const encode = (value: unknown): Buffer => {
  const encoder = new Encoder({ adapters })
  const mark = encoder.begin()
  encoder.value(value, "value", hooks.encode)
  encoder.end(mark)
  return Buffer.from(encoder.takeFrames() ?? []).subarray(4)
}

const decode = (bytes: Uint8Array): unknown => new Decoder({ adapters }).decode(bytes, 0, bytes.length, hooks.decode)

describe("golden vectors", () => {
  it("are there", () => {
    assert.isAbove(vectors.length, 100)
  })

  describe("decode to their values", () => {
    it.each(decodable)("%s", (_, vector, bytes) => {
      assert.deepStrictEqual(toNotation(decode(bytes)), toNotation(fromNotation(vector.value)))
    })
  })

  describe("are what their values encode to", () => {
    it.each(exact)("%s", (_, vector, bytes) => {
      assert.strictEqual(encode(fromNotation(vector.value)).toString("hex"), bytes.toString("hex"))
    })
  })

  describe("survive being decoded and encoded", () => {
    it.each(decodable)("%s", (_, __, bytes) => {
      const value = decode(bytes)
      assert.deepStrictEqual(toNotation(decode(encode(value))), toNotation(value))
    })
  })
})
