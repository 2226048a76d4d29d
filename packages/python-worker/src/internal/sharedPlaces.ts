/**
 * The places in shared memory that a message names, without making values of it: for a message that does not decode, whose places
 * nobody else will free.
 *
 * MessagePack is a sequence of tokens, so it is gone through without a stack, however deep it nests. Where it is no MessagePack
 * at all, the places before that are found.
 */
import { ExtensionCode } from "./extensionCode.ts"

/** Extensions that hold values, in which places may stand. */
const holders: ReadonlySet<number> = new Set([
  ExtensionCode.tuple,
  ExtensionCode.set,
  ExtensionCode.map,
  ExtensionCode.adapted
])

/** Bytes of the number behind each token from 0xca, a float of 32 bits, to 0xd3, an integer of 64. */
const numberSizes = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8]

/** Where the payloads of extension 14 begin and end, in the order in which a decoder comes to them. */
export const sharedPlaces = (bytes: Buffer, start: number, end: number): ReadonlyArray<readonly [number, number]> => {
  const found: Array<readonly [number, number]> = []
  let at = start
  const size = (width: number): number => {
    at += width
    return at > end ? Infinity : bytes.readUIntBE(at - width, width)
  }
  const skip = (length: number): void => void (at += length)
  const extension = (length: number): void => {
    const code = at < end ? bytes[at++] : undefined
    if (code === ExtensionCode.shared && at + length <= end) found.push([at, at + length])
    if (code === undefined || !holders.has(code)) skip(length)
  }
  while (at < end) {
    const token = bytes[at++] ?? 0xc0
    if (token >= 0xa0 && token < 0xc0) skip(token & 0x1f)
    else if (token >= 0xc4 && token <= 0xc6) skip(size(1 << (token - 0xc4)))
    else if (token >= 0xc7 && token <= 0xc9) extension(size(1 << (token - 0xc7)))
    else if (token >= 0xca && token <= 0xd3) skip(numberSizes[token - 0xca] ?? 0)
    else if (token >= 0xd4 && token <= 0xd8) extension(1 << (token - 0xd4))
    else if (token >= 0xd9 && token <= 0xdb) skip(size(1 << (token - 0xd9)))
    else if (token >= 0xdc && token <= 0xdf) skip(token % 2 === 0 ? 2 : 4) // what the array or map holds comes behind it
  }
  return found
}
