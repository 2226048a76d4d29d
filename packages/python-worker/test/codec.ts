/** The codec as tests use it: one value in, its bytes out, and back. */
import type { ValueAdapter } from "@snakepit/core"
import { SnakepitError } from "@snakepit/core"
import { Decoder, type DecodeHooks, type EncodeHooks, Encoder } from "../src/MessagePack.ts"
import { hooks } from "./notation.ts"

export interface Codec {
  readonly encode: (value: unknown, hooks?: EncodeHooks) => Buffer
  readonly decode: (bytes: Uint8Array, hooks?: DecodeHooks) => unknown
  readonly roundTrip: (value: unknown) => unknown
}

export const makeCodec = (adapters: ReadonlyArray<ValueAdapter> = []): Codec => {
  const encoder = new Encoder({ adapters })
  const decoder = new Decoder({ adapters })
  const encode: Codec["encode"] = (value, encodeHooks = hooks.encode) => {
    const mark = encoder.begin()
    try {
      encoder.value(value, "args[0]", encodeHooks)
    } catch (error) {
      encoder.rollback(mark)
      throw error
    }
    encoder.end(mark)
    return Buffer.from(encoder.takeFrames() ?? []).subarray(4)
  }
  const decode: Codec["decode"] = (bytes, decodeHooks = hooks.decode) =>
    decoder.decode(bytes, 0, bytes.length, decodeHooks)
  return { encode, decode, roundTrip: (value) => decode(encode(value)) }
}

/** The `EncodeError` that a function throws. */
export const encodeErrorOf = (run: () => unknown): SnakepitError.EncodeError => {
  try {
    run()
  } catch (error) {
    if (error instanceof SnakepitError.EncodeError) return error
    throw error
  }
  throw new Error("expected an EncodeError, got none")
}

/** The `DecodeError` that a function throws. */
export const decodeErrorOf = (run: () => unknown): SnakepitError.DecodeError => {
  try {
    run()
  } catch (error) {
    if (error instanceof SnakepitError.DecodeError) return error
    throw error
  }
  throw new Error("expected a DecodeError, got none")
}
