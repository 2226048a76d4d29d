/**
 * Bytes to values: the decoding half of the codec, written for the hot path and for bytes that nobody vouches for.
 * `MessagePack.ts` says why it is our own, `protocol/README.md` what it reads.
 *
 * Every length is held against the bytes that are left before anything is allocated for it, and the items that all arrays
 * and maps of a frame announce together against the bytes of the frame, so that memory stays in proportion to it.
 */
import { isUtf8 } from "node:buffer"
import { Complex, PlainDate, PlainDateTime, PlainTime, SnakepitError, Tuple, type ValueAdapter } from "@snakepit/core"
import type * as DateTime from "effect/DateTime"
import { parseDecimal } from "./internal/decimal.ts"
import { ExtensionCode, maxDepth } from "./internal/extensionCode.ts"
import { durationOf, instantOf, type Zone } from "./internal/instant.ts"
import {
  entrySegment,
  indexSegment,
  keySegment,
  mapKeySegment,
  memberSegment,
  ValueFailure
} from "./internal/valueFailure.ts"

/** What the decoder asks its caller. */
export interface DecodeHooks {
  /** Makes the ref of a Python object. */
  readonly ref: (session: string, worker: string, id: number, type: string) => unknown
  /** Finds bytes in shared memory: [segment, start, offset, length, region]. Throws for a place that is none. */
  readonly shared?: ((place: ReadonlyArray<unknown>) => unknown) | undefined
}

export interface DecoderOptions {
  /** Found by name when an adapted value arrives. */
  readonly adapters: ReadonlyArray<ValueAdapter>
}

/** Bytes above this size are handed out as a view over the frame, which stays alive with them; others are copied. */
const largestCopy = 4096

/** How many short keys are remembered: messages repeat theirs. */
const keySlots = 1024

/** Up to this length JavaScript builds a string faster than native code is reached. */
const shortText = 15

/** Larger arrays grow as they are read: V8 makes a dictionary of an array that is created with very many slots. */
const largestPreallocation = 1 << 20

/** Memory above this size is let go after each frame, instead of living until the next one comes. */
const largestKept = 1 << 20
const nothing = new Uint8Array(0)

export class Decoder {
  private readonly adapters: ReadonlyMap<string, ValueAdapter>
  private readonly keys: Array<string | undefined> = Array.from({ length: keySlots })
  private bytes: Buffer = Buffer.alloc(0)
  private view: DataView<ArrayBufferLike> = new DataView(new ArrayBuffer(0))
  private position = 0
  /** No byte at or behind it may be read: end of the frame, or of the extension being read. */
  private limit = 0
  private depth = 0
  /** How many items may still be announced in this frame. */
  private budget = 0
  private hooks: DecodeHooks = noHooks

  constructor(options: DecoderOptions) {
    this.adapters = new Map(options.adapters.toReversed().map((adapter) => [adapter.name, adapter]))
  }

  /**
   * Reads the one value that `bytes` hold from `start` to `end`.
   *
   * Throws a `DecodeError` with the path from that value, like `exit.value.rows[3]`, or `value` for itself, for anything
   * else than exactly one value. Byte strings above 4 KiB are views: the memory of `bytes` must not be written to afterwards.
   */
  decode(bytes: Uint8Array, start: number, end: number, hooks: DecodeHooks): unknown {
    const view = this.view
    // Frames mostly come one behind the other in the same memory.
    if (bytes.buffer !== view.buffer || bytes.byteOffset !== view.byteOffset || bytes.byteLength !== view.byteLength)
      this.attach(bytes)
    this.position = start
    this.limit = end
    this.budget = end - start
    this.depth = 0
    this.hooks = hooks
    try {
      const value = this.read()
      if (this.position !== end) {
        throw new ValueFailure(`${end - this.position} bytes behind it`, "one MessagePack value and nothing else")
      }
      return value
    } catch (error) {
      if (error instanceof ValueFailure) {
        throw new SnakepitError.DecodeError({
          path: error.path("") || "value",
          expected: error.reason,
          actual: error.actual
        })
      }
      throw error
    } finally {
      if (bytes.byteLength > largestKept) this.attach(nothing)
    }
  }

  private attach(bytes: Uint8Array): void {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  private read(): unknown {
    if (this.position >= this.limit) throw truncated(1, 0)
    const token = this.view.getUint8(this.position++)
    if (token < 0x80) return token
    if (token < 0x90) return this.map(token & 0x0f)
    if (token < 0xa0) return this.array(token & 0x0f)
    if (token < 0xc0) return this.text(token & 0x1f)
    if (token >= 0xe0) return token - 0x100
    switch (token) {
      case 0xc0:
        return null
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
        return this.binary(this.uint8())
      case 0xc5:
        return this.binary(this.uint16())
      case 0xc6:
        return this.binary(this.uint32())
      case 0xc7:
        return this.extension(this.uint8())
      case 0xc8:
        return this.extension(this.uint16())
      case 0xc9:
        return this.extension(this.uint32())
      case 0xca:
        return this.view.getFloat32(this.advance(4))
      case 0xcb:
        return this.view.getFloat64(this.advance(8))
      case 0xcc:
        return this.uint8()
      case 0xcd:
        return this.uint16()
      case 0xce:
        return this.uint32()
      case 0xcf: {
        const at = this.advance(8)
        const high = this.view.getUint32(at)
        return high < 0x200000 ? high * 0x100000000 + this.view.getUint32(at + 4) : this.view.getBigUint64(at)
      }
      case 0xd0:
        return this.view.getInt8(this.advance(1))
      case 0xd1:
        return this.view.getInt16(this.advance(2))
      case 0xd2:
        return this.view.getInt32(this.advance(4))
      case 0xd3: {
        const at = this.advance(8)
        const value = this.view.getInt32(at) * 0x100000000 + this.view.getUint32(at + 4)
        return Number.isSafeInteger(value) ? value : this.view.getBigInt64(at)
      }
      case 0xd4:
        return this.extension(1)
      case 0xd5:
        return this.extension(2)
      case 0xd6:
        return this.extension(4)
      case 0xd7:
        return this.extension(8)
      case 0xd8:
        return this.extension(16)
      case 0xd9:
        return this.text(this.uint8())
      case 0xda:
        return this.text(this.uint16())
      case 0xdb:
        return this.text(this.uint32())
      case 0xdc:
        return this.array(this.uint16())
      case 0xdd:
        return this.array(this.uint32())
      case 0xde:
        return this.map(this.uint16())
      case 0xdf:
        return this.map(this.uint32())
      default:
        throw new ValueFailure(`the byte 0x${token.toString(16)}`, "a MessagePack token")
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Positions and lengths
  // -------------------------------------------------------------------------------------------------------------------

  /** Goes over `size` bytes, which must be there, and answers where they begin. */
  private advance(size: number): number {
    const at = this.position
    if (size > this.limit - at) throw truncated(size, this.limit - at)
    this.position = at + size
    return at
  }

  private uint8(): number {
    return this.view.getUint8(this.advance(1))
  }

  private uint16(): number {
    return this.view.getUint16(this.advance(2))
  }

  private uint32(): number {
    return this.view.getUint32(this.advance(4))
  }

  /** Goes one level down, into `items` announced items. Each of them takes a byte at least. */
  private enter(items: number): void {
    if (items > this.limit - this.position) throw truncated(items, this.limit - this.position)
    this.budget -= items
    if (this.budget < 0) throw new ValueFailure("more items than bytes", "no more items than the frame has bytes")
    if (++this.depth > maxDepth) {
      throw new ValueFailure("more than that", `values nested at most ${maxDepth} deep`)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Text and bytes
  // -------------------------------------------------------------------------------------------------------------------

  private text(size: number): string {
    const from = this.advance(size)
    return size <= shortText ? (this.asciiText(from, size) ?? this.longText(from)) : this.longText(from)
  }

  /** At most 16 bytes of ASCII, or undefined when they are not. Eight at a time: each call of `fromCharCode` costs. */
  private asciiText(from: number, size: number): string | undefined {
    const view = this.view
    let at = from
    let text = ""
    if (size >= 8) {
      const a = view.getUint8(at)
      const b = view.getUint8(at + 1)
      const c = view.getUint8(at + 2)
      const d = view.getUint8(at + 3)
      const e = view.getUint8(at + 4)
      const f = view.getUint8(at + 5)
      const g = view.getUint8(at + 6)
      const h = view.getUint8(at + 7)
      if ((a | b | c | d | e | f | g | h) > 0x7f) return undefined
      text = String.fromCharCode(a, b, c, d, e, f, g, h)
      at += 8
    }
    if (size & 4) {
      const a = view.getUint8(at)
      const b = view.getUint8(at + 1)
      const c = view.getUint8(at + 2)
      const d = view.getUint8(at + 3)
      if ((a | b | c | d) > 0x7f) return undefined
      text += String.fromCharCode(a, b, c, d)
      at += 4
    }
    if (size & 2) {
      const a = view.getUint8(at)
      const b = view.getUint8(at + 1)
      if ((a | b) > 0x7f) return undefined
      text += String.fromCharCode(a, b)
      at += 2
    }
    if (size & 1) {
      const a = view.getUint8(at)
      if (a > 0x7f) return undefined
      text += String.fromCharCode(a)
    }
    return text
  }

  private longText(from: number): string {
    let text: string
    try {
      text = this.bytes.toString("utf8", from, this.position)
    } catch {
      throw new ValueFailure(`text of ${this.position - from} bytes`, "text within V8's largest string")
    }
    // Bytes that are no UTF-8 decode to this character, which may also stand there honestly.
    if (text.includes("\ufffd") && !isUtf8(this.bytes.subarray(from, this.position))) {
      throw new ValueFailure("bytes that are not", "text in valid UTF-8")
    }
    return text
  }

  /** A key of a map: a string, and most likely one that was seen before. */
  private key(): string {
    if (this.position >= this.limit) throw truncated(1, 0)
    const token = this.view.getUint8(this.position)
    if (token < 0xa0 || token >= 0xc0) {
      const key = this.read()
      if (typeof key === "string" && key !== "__proto__") return key
      throw new ValueFailure(
        typeof key === "string" ? JSON.stringify(key) : `a key of type ${key === null ? "null" : typeof key}`,
        `keys that are strings other than "__proto__"`
      )
    }
    const size = token & 0x1f
    this.position++
    const from = this.advance(size)
    const view = this.view
    let hash = size
    for (let i = from; i < this.position; i++) hash = (Math.imul(hash, 31) + view.getUint8(i)) | 0
    const slot = (hash ^ (hash >>> 10)) & (keySlots - 1)
    const cached = this.keys[slot]
    if (cached !== undefined && cached.length === size) {
      let i = 0
      while (i < size && cached.charCodeAt(i) === view.getUint8(from + i)) i++
      if (i === size) return cached
    }
    const key = this.longText(from)
    if (key === "__proto__") {
      throw new ValueFailure(JSON.stringify(key), `keys that are strings other than "__proto__"`)
    }
    // Only ASCII has one byte for each unit, so nothing else can be taken for a cached key.
    if (key.length === size) this.keys[slot] = key
    return key
  }

  private binary(size: number): Uint8Array {
    const from = this.advance(size)
    return size > largestCopy
      ? new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + from, size)
      : Uint8Array.from(this.bytes.subarray(from, from + size))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Containers
  // -------------------------------------------------------------------------------------------------------------------

  private array(length: number): Array<unknown> {
    this.enter(length)
    const items: Array<unknown> = length <= largestPreallocation ? new Array<unknown>(length) : []
    let i = 0
    try {
      for (; i < length; i++) items[i] = this.read()
    } catch (error) {
      throw located(error, items, indexSegment(i))
    }
    this.depth--
    return items
  }

  private map(length: number): Record<string, unknown> {
    this.enter(length * 2)
    const fields: Record<string, unknown> = {}
    let key: string | undefined
    try {
      for (let i = 0; i < length; i++) {
        key = undefined
        key = this.key()
        fields[key] = this.read()
      }
    } catch (error) {
      throw key === undefined ? error : located(error, fields, keySegment(key))
    }
    this.depth--
    return fields
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Extensions
  // -------------------------------------------------------------------------------------------------------------------

  private extension(size: number): unknown {
    const code = this.view.getInt8(this.advance(1))
    const from = this.advance(size)
    switch (code) {
      case ExtensionCode.int:
        return this.bigInteger(from)
      case ExtensionCode.complex:
        if (size !== 16) throw new ValueFailure(`${size} bytes`, "a complex number of 16 bytes")
        return new Complex(this.view.getFloat64(from, true), this.view.getFloat64(from + 8, true))
      case ExtensionCode.decimal: {
        const decimal = parseDecimal(this.bytes.toString("latin1", from, this.position))
        if (typeof decimal === "string") throw new ValueFailure(decimal, "a finite decimal")
        return decimal
      }
      case ExtensionCode.text:
        return this.surrogateText(from)
      case ExtensionCode.float:
        if (size !== 8) throw new ValueFailure(`${size} bytes`, "a float of 8 bytes")
        return this.view.getFloat64(from, true)
    }
    // The payload of the others is MessagePack: read it as a value that ends where the extension does.
    const outer = this.limit
    const end = this.position
    this.position = from
    this.limit = end
    const value = this.structured(code)
    if (this.position !== end)
      throw new ValueFailure(`${end - this.position} bytes behind it`, `one value in extension ${code}`)
    this.limit = outer
    return value
  }

  private structured(code: number): unknown {
    switch (code) {
      case ExtensionCode.tuple:
        return this.tuple()
      case ExtensionCode.set:
        return this.set()
      case ExtensionCode.map:
        return this.entries()
      case ExtensionCode.datetime:
        return this.dateTime()
      case ExtensionCode.date: {
        const [year, month, day] = this.integers("a date", 3)
        return checked("a date", () => new PlainDate(year, month, day))
      }
      case ExtensionCode.time:
        return this.time()
      case ExtensionCode.timedelta: {
        const [days, seconds, microseconds] = this.integers("a timedelta", 3)
        return durationOf(days, seconds, microseconds)
      }
      case ExtensionCode.adapted:
        return this.adapted()
      case ExtensionCode.shared:
        return this.shared()
      case ExtensionCode.ref:
        return this.reference()
      case ExtensionCode.callback:
        throw new ValueFailure("extension 16", "no callback: functions cross from TypeScript to Python only")
      default:
        throw new ValueFailure(`extension ${code}`, "an extension of protocol version 1")
    }
  }

  private bigInteger(from: number): number | bigint {
    const size = this.position - from
    if (size === 0) throw new ValueFailure("no bytes", "an integer of one byte or more")
    let magnitude: bigint
    try {
      magnitude = BigInt(`0x${this.bytes.toString("hex", from, this.position)}`)
    } catch {
      throw new ValueFailure(`an integer of ${size} bytes`, "an integer within V8's largest bigint")
    }
    const value = this.view.getUint8(from) < 0x80 ? magnitude : magnitude - (1n << BigInt(size * 8))
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
  }

  /** UTF-8 in which lone surrogates are three bytes each, as Python's `surrogatepass` writes it. */
  private surrogateText(from: number): string {
    const { limit, position: end, view } = this
    let text = ""
    let at = from
    // A continuation byte; an overrun reads a byte behind the text at most, which is refused right after.
    const next = (): number => {
      const byte = at < end && at < limit ? view.getUint8(at++) : 0
      if ((byte & 0xc0) !== 0x80) throw new ValueFailure("bytes that are not", "text in UTF-8 with surrogates")
      return byte & 0x3f
    }
    let before = 0
    while (at < end) {
      const lead = view.getUint8(at++)
      let code: number
      let least = 0
      if (lead < 0x80) code = lead
      else if (lead >= 0xc2 && lead < 0xe0) {
        code = ((lead & 0x1f) << 6) | next()
      } else if (lead >= 0xe0 && lead < 0xf0) {
        code = ((lead & 0x0f) << 12) | (next() << 6) | next()
        least = 0x800
      } else if (lead >= 0xf0 && lead < 0xf5) {
        code = ((lead & 0x07) << 18) | (next() << 12) | (next() << 6) | next()
        least = 0x10000
      } else throw new ValueFailure("bytes that are not", "text in UTF-8 with surrogates")
      if (code < least || code > 0x10ffff) throw new ValueFailure("bytes that are not", "text in UTF-8 with surrogates")
      if (before >= 0xd800 && before < 0xdc00 && code >= 0xdc00 && code < 0xe000) {
        throw new ValueFailure(
          "a high and a low surrogate, which are one character in JavaScript and two in Python",
          "lone surrogates only"
        )
      }
      text += String.fromCodePoint(code)
      before = code
    }
    return text
  }

  /** The header of the array that an extension holds. */
  private header(what: string): number {
    const token = this.uint8()
    if (token >= 0x90 && token < 0xa0) return token & 0x0f
    if (token === 0xdc) return this.uint16()
    if (token === 0xdd) return this.uint32()
    throw new ValueFailure(`the byte 0x${token.toString(16)}`, `${what} as an array`)
  }

  private tuple(): Tuple {
    const items = this.array(this.header("a tuple"))
    return Tuple.fromArray(items)
  }

  private set(): Set<unknown> {
    const length = this.header("a set")
    this.enter(length)
    const members = new Set()
    let i = 0
    try {
      for (; i < length; i++) members.add(this.read())
    } catch (error) {
      throw located(error, members, memberSegment(i))
    }
    this.depth--
    if (members.size !== length) {
      throw new ValueFailure(
        `${length - members.size} members that are equal in JavaScript`,
        "a set of different members"
      )
    }
    return members
  }

  /** A dict whose keys are not all strings is a Map. One whose keys only could not stand in a MessagePack map is an object. */
  private entries(): unknown {
    const items = this.header("a map")
    if (items % 2 !== 0) throw new ValueFailure(`${items} items`, "a map as keys and values")
    this.enter(items)
    const map = new Map<unknown, unknown>()
    let plain = items > 0
    let where = ""
    try {
      for (let i = 0; i < items; i += 2) {
        where = mapKeySegment(i / 2)
        const key = this.read()
        if (typeof key !== "string" || key === "__proto__") plain = false
        where = entrySegment(key)
        map.set(key, this.read())
      }
    } catch (error) {
      throw located(error, map, where)
    }
    this.depth--
    if (map.size * 2 !== items) {
      throw new ValueFailure(`${items / 2 - map.size} keys that are equal in JavaScript`, "a map of different keys")
    }
    return plain ? Object.fromEntries(map) : map
  }

  private integers(what: string, length: 3): readonly [number, number, number]
  private integers(what: string, length: number): ReadonlyArray<number>
  private integers(what: string, length: number): ReadonlyArray<number> {
    const actual = this.header(what)
    if (actual !== length) throw new ValueFailure(`${actual} items`, `${what} of ${length} items`)
    return this.integerItems(what, length)
  }

  private integerItems(what: string, length: number): ReadonlyArray<number> {
    const items: Array<number> = []
    for (let i = 0; i < length; i++) {
      const item = this.read()
      if (!Number.isSafeInteger(item)) throw new ValueFailure(`a ${typeof item} at index ${i}`, `${what} of integers`)
      items.push(Number(item))
    }
    return items
  }

  private dateTime(): PlainDateTime | DateTime.DateTime {
    const length = this.header("a datetime")
    if (length !== 8) throw new ValueFailure(`${length} items`, "a datetime of 8 items")
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, micro = 0] = this.integerItems(
      "a datetime",
      7
    )
    const clock = checked("a datetime", () => new PlainDateTime(year, month, day, hour, minute, second, micro))
    const zone = this.zone("a datetime")
    return zone === null ? clock : instantOf(clock, zone)
  }

  private time(): PlainTime {
    const length = this.header("a time")
    if (length !== 5) throw new ValueFailure(`${length} items`, "a time of 5 items")
    const [hour = 0, minute = 0, second = 0, microsecond = 0] = this.integerItems("a time", 4)
    const zone = this.zone("a time")
    return checked(
      "a time",
      () => new PlainTime(hour, minute, second, microsecond, zone?.offset ?? null, zone?.key ?? null)
    )
  }

  private zone(what: string): Zone | null {
    const zone = this.read()
    if (zone === null) return null
    const [key, offset] = Array.isArray(zone) && zone.length === 2 ? zone : [null, zone]
    if ((key !== null && typeof key !== "string") || !(Number.isInteger(offset) && Math.abs(Number(offset)) < 86_400)) {
      throw new ValueFailure("another zone", `${what} with null, an offset in seconds, or [zone key, offset]`)
    }
    return { key, offset: Number(offset) }
  }

  private adapted(): unknown {
    const length = this.header("an adapted value")
    const name = length === 2 ? this.read() : undefined
    if (typeof name !== "string")
      throw new ValueFailure("something else", "an adapted value as [adapter name, payload]")
    const adapter = this.adapters.get(name)
    if (adapter === undefined) {
      throw new ValueFailure(
        `a value adapted by "${name}"`,
        `one of the adapters ${[...this.adapters.keys()].join(", ")}; provide it with ValueAdapter.layer`
      )
    }
    this.enter(1)
    let payload: unknown
    try {
      payload = this.read()
    } catch (error) {
      throw located(error, adapter, `.<${name}>`)
    }
    this.depth--
    try {
      return adapter.decode(payload)
    } catch (error) {
      throw new ValueFailure(
        error instanceof Error ? error.message : String(error),
        `a payload that the value adapter "${name}" decodes`
      )
    }
  }

  private shared(): unknown {
    const length = this.header("a place in shared memory")
    if (length !== 5) throw new ValueFailure(`${length} items`, "a place in shared memory of 5 items")
    const place = [this.read(), this.read(), this.read(), this.read(), this.read()]
    const open = this.hooks.shared
    if (open === undefined) throw new ValueFailure("bytes in shared memory", "bytes inside the message")
    try {
      return open(place)
    } catch (error) {
      throw new ValueFailure(JSON.stringify(place), error instanceof Error ? error.message : String(error))
    }
  }

  private reference(): unknown {
    const length = this.header("a ref")
    if (length === 4) {
      const [session, worker, id, type] = [this.read(), this.read(), this.read(), this.read()]
      if (
        typeof session === "string" &&
        typeof worker === "string" &&
        typeof id === "number" &&
        typeof type === "string"
      ) {
        return this.hooks.ref(session, worker, id, type)
      }
    }
    throw new ValueFailure("something else", "a ref as [session id, worker id, ref id, type name]")
  }
}

const noHooks: DecodeHooks = {
  ref: () => {
    throw new ValueFailure("a ref", "no ref outside a session")
  }
}

const truncated = (needed: number, left: number): ValueFailure =>
  new ValueFailure(`${left} bytes to its end`, `${needed} bytes or more`)

/** Passes on what is not about the value: what the caller's hook threw. */
const located = (error: unknown, container: object, segment: string): unknown =>
  error instanceof ValueFailure ? error.at(container, segment) : error

/** Makes a value whose constructor checks its fields. */
const checked = <A>(what: string, make: () => A): A => {
  try {
    return make()
  } catch (error) {
    throw new ValueFailure(error instanceof Error ? error.message : String(error), what)
  }
}
