/**
 * A digest of what a call does, equal for equal calls: target and call type, and all of `args` and `kwargs`. Two equal calls
 * need not share objects. Worked out only for calls of a target that has killed a worker, since it reads every byte.
 */
import type { Call } from "../Call.ts"

/** `undefined` when the call holds something that has no value of its own: a ref, a function, a tensor in shared memory. */
export const fingerprint = (call: Call): string | undefined => {
  if (call.instance !== undefined) return undefined
  const digest = new Digest()
  digest.text(call.callType)
  digest.text(call.target)
  if (!digest.value(call.args) || !digest.value(call.kwargs ?? {})) return undefined
  return digest.end
}

/** Two 32-bit FNV-1a style streams with different multipliers: 64 bits, plenty for a thousand remembered calls. */
class Digest {
  private a = 0x811c9dc5
  private b = 0x9e3779b9
  private depth = 0

  get end(): string {
    return `${(this.a >>> 0).toString(16)}-${(this.b >>> 0).toString(16)}`
  }

  text(text: string): void {
    this.number(text.length)
    for (let index = 0; index < text.length; index++) this.word(text.charCodeAt(index))
  }

  /** Answers whether the value could be read. */
  value(value: unknown): boolean {
    switch (typeof value) {
      case "undefined":
        return this.tag("null") // Python gets None for both
      case "boolean":
      case "bigint":
      case "number":
        return this.tag(`${typeof value} ${Object.is(value, -0) ? "-0" : String(value)}`)
      case "string":
        return this.tag("string") && this.tag(value)
      case "object":
        return value === null ? this.tag("null") : this.object(value)
      default:
        return false
    }
  }

  private object(value: object): boolean {
    // deeper than any value that can cross, so it is a cycle
    if (this.depth > 256) return false
    this.depth++
    const read = this.contents(value)
    this.depth--
    return read
  }

  private contents(value: object): boolean {
    if (ArrayBuffer.isView(value)) return this.bytes(value)
    if (value instanceof Map) return this.tag(`Map ${value.size}`) && this.all([...value].flat())
    if (value instanceof Set) return this.tag(`Set ${value.size}`) && this.all([...value])
    if (Array.isArray(value)) return this.tag(`${value.constructor.name} ${value.length}`) && this.all(value)
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) return false
    const entries = Object.entries(value)
    return this.tag(`Object ${entries.length}`) && this.all(entries.flat())
  }

  private all(values: ReadonlyArray<unknown>): boolean {
    return values.every((value) => this.value(value))
  }

  private bytes(view: ArrayBufferView): boolean {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    this.text(view.constructor.name)
    this.number(bytes.length)
    for (const byte of bytes) this.word(byte)
    return true
  }

  private tag(text: string): true {
    this.text(text)
    return true
  }

  private number(value: number): void {
    this.word(value & 0xffff)
    this.word(value >>> 16)
  }

  private word(word: number): void {
    this.a = Math.imul(this.a ^ word, 0x01000193)
    this.b = Math.imul(this.b ^ word, 0x85ebca6b)
    this.b ^= this.b >>> 13
  }
}
