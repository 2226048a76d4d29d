/// <reference lib="es2024.string" preserve="true" />
/**
 * Values to bytes: the encoding half of the codec, written for the hot path. `MessagePack.ts` says why it is our own,
 * `protocol/README.md` what it writes.
 *
 * An {@link Encoder} writes frames one behind the other into a slab of memory and hands out all that are finished as
 * one view, so that the frames of a tick leave in one write.
 */
import {
  Complex,
  Float,
  isPyRef,
  PlainDate,
  PlainDateTime,
  PlainTime,
  type PyRef,
  Tuple,
  type ValueAdapter
} from "@snakepit/core"
import { Storage } from "@snakepit/zero-copy"
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { formatDecimal } from "./internal/decimal.ts"
import { adapterFailure, describe, encodeError, located, unknownInstance } from "./internal/encodeFailure.ts"
import { ExtensionCode, maxDepth, maxNestedExtensions } from "./internal/extensionCode.ts"
import {
  entrySegment,
  indexSegment,
  keySegment,
  mapKeySegment,
  memberSegment,
  ValueFailure
} from "./internal/valueFailure.ts"

/** A function met in a value. What it takes and gives is between the caller and Python. */
export type CallbackFunction = (...args: ReadonlyArray<never>) => unknown

/** What the encoder asks its caller. */
export interface EncodeHooks {
  /** Registers a function and answers the number by which Python calls it. Without it functions cannot cross. */
  readonly callback?: ((callback: CallbackFunction) => number) | undefined
  /** Where large bytes of adapted values go. Without it they are inside the message. */
  readonly storage?: Storage.Outgoing | undefined
}

export interface EncoderOptions {
  /** Asked in order about instances of classes, before the built-in rows. */
  readonly adapters: ReadonlyArray<ValueAdapter>
  /** Size of a slab in bytes. Defaults to 64 KiB. */
  readonly slabBytes?: number | undefined
}

/** Strings up to this many UTF-16 units are written in JavaScript: crossing into native code costs about 50 ns. */
const shortText = 20

/** Room that is always there before a value is written: the longest fixed-size form is an extension of 16 bytes. */
const headRoom = 32

/** A slab with less than this left is replaced when a frame begins. */
const minimumRoom = 1024

const extensionHeader = 6

export class Encoder {
  /** End of what was written in the current slab. */
  position = 0

  private readonly adapters: ReadonlyArray<ValueAdapter>
  private readonly slabBytes: number
  private slab: Buffer<ArrayBuffer>
  private view: DataView<ArrayBuffer>
  /** Beginning of what was not taken yet. Marks are relative to it, so that they survive a move to another slab. */
  private start = 0
  private open = false
  private depth = 0
  /** How many extensions that hold other values are around the one being written. */
  private nested = 0
  /** How many texts were written as extensions, by which an object learns that a key was. */
  private surrogateTexts = 0
  private hooks: EncodeHooks = {}

  constructor(options: EncoderOptions) {
    this.adapters = options.adapters
    this.slabBytes = Math.max(options.slabBytes ?? 65_536, minimumRoom)
    // Not zeroed: only what was written is ever handed out.
    this.slab = Buffer.allocUnsafeSlow(this.slabBytes)
    this.view = new DataView(this.slab.buffer)
  }

  /** Begins a frame and answers its mark. Frames do not nest. */
  begin(): number {
    if (this.open) throw new Error("Encoder.begin: the frame before is still open; end it or roll it back first")
    this.open = true
    if (this.slab.length - this.position < minimumRoom) this.move(minimumRoom)
    const mark = this.position - this.start
    this.position += 4
    return mark
  }

  /** Ends the frame begun at `mark`: fills in its length and answers it, in bytes without the four of itself. */
  end(mark: number): number {
    const frame = this.start + mark
    const length = this.position - frame - 4
    this.view.setUint32(frame, length, true)
    this.open = false
    return length
  }

  /** Forgets the frame begun at `mark`. */
  rollback(mark: number): void {
    this.position = this.start + mark
    this.open = false
  }

  /**
   * All frames finished since the last take, as one view, or undefined when there are none. The bytes are the caller's:
   * nothing is written there again.
   */
  takeFrames(): Uint8Array | undefined {
    if (this.open) throw new Error("Encoder.takeFrames: a frame is still open; end it or roll it back first")
    if (this.position === this.start) return undefined
    const frames = this.slab.subarray(this.start, this.position)
    this.start = this.position
    // A slab that was made for a large frame ends with it, or a small frame behind it would keep all of it alive.
    if (this.slab.length > this.slabBytes) this.move(minimumRoom)
    return frames
  }

  /** Appends bytes that are MessagePack already. */
  raw(bytes: Uint8Array): void {
    this.ensure(bytes.length)
    this.slab.set(bytes, this.position)
    this.position += bytes.length
  }

  /** Appends a ref. */
  ref(handle: PyRef["handle"]): void {
    this.fields(ExtensionCode.ref, [handle.session, handle.worker, handle.id, handle.type])
  }

  /** Appends a non-negative safe integer in the form of nine bytes, whatever its size. */
  uint64(n: number): void {
    this.ensure(9)
    this.slab[this.position] = 0xcf
    this.view.setUint32(this.position + 1, Math.floor(n / 0x1_0000_0000))
    this.view.setUint32(this.position + 5, n % 0x1_0000_0000)
    this.position += 9
  }

  /** Appends a non-negative safe integer. */
  uint(n: number): void {
    this.ensure(headRoom)
    this.int(n)
  }

  /** Appends a string; one with lone surrogates as its extension. */
  text(text: string): void {
    const length = text.length
    if (length > shortText) {
      if (text.isWellFormed()) this.longText(text)
      else this.surrogateText(text)
      return
    }
    this.ensure(headRoom + shortText * 3)
    const slab = this.slab
    const from = this.position + 1
    let position = from
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i)
      if (unit < 0x80) slab[position++] = unit
      else if (unit < 0x800) {
        slab[position++] = 0xc0 | (unit >> 6)
        slab[position++] = 0x80 | (unit & 0x3f)
      } else if (unit < 0xd800 || unit > 0xdfff) {
        slab[position++] = 0xe0 | (unit >> 12)
        slab[position++] = 0x80 | ((unit >> 6) & 0x3f)
        slab[position++] = 0x80 | (unit & 0x3f)
      } else {
        const code = text.codePointAt(i++) ?? 0
        if (code < 0x10000) {
          this.surrogateText(text)
          return
        }
        slab[position++] = 0xf0 | (code >> 18)
        slab[position++] = 0x80 | ((code >> 12) & 0x3f)
        slab[position++] = 0x80 | ((code >> 6) & 0x3f)
        slab[position++] = 0x80 | (code & 0x3f)
      }
    }
    const size = position - from
    if (size < 32) {
      slab[from - 1] = 0xa0 | size
      this.position = position
    } else {
      slab.copyWithin(from + 1, from, position)
      slab[from - 1] = 0xd9
      slab[from] = size
      this.position = position + 1
    }
  }

  /** Appends the header of an array; its `n` items follow. */
  arrayHeader(n: number): void {
    this.ensure(headRoom)
    if (n < 16) this.slab[this.position++] = 0x90 | n
    else this.header(0xdc, n)
  }

  /** Appends the header of a map; its `n` keys and values follow. */
  mapHeader(n: number): void {
    this.ensure(headRoom)
    if (n < 16) this.slab[this.position++] = 0x80 | n
    else this.header(0xde, n)
  }

  /**
   * Appends any value that can cross.
   *
   * Throws an `EncodeError` with the path below `root`, like `args[0].rows[3]`, for one that cannot; the frame is then
   * to be rolled back.
   */
  value(value: unknown, root: string, hooks: EncodeHooks): void {
    this.hooks = hooks
    this.depth = 0
    this.nested = 0
    try {
      this.write(value)
    } catch (error) {
      throw encodeError(error, root)
    }
  }

  private write(value: unknown): void {
    if (this.slab.length - this.position < headRoom) this.move(headRoom)
    switch (typeof value) {
      case "string":
        this.text(value)
        return
      case "number":
        this.number(value)
        return
      case "boolean":
        this.slab[this.position++] = value ? 0xc3 : 0xc2
        return
      case "undefined":
        this.slab[this.position++] = 0xc0
        return
      case "object":
        if (value === null) this.slab[this.position++] = 0xc0
        else this.object(value)
        return
      case "bigint":
        this.bigint(value)
        return
      case "function":
        this.callback(value)
        return
      case "symbol":
        throw new ValueFailure(String(value), "A symbol means nothing in another process; send its description.")
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Numbers. The caller has ensured head room.
  // -------------------------------------------------------------------------------------------------------------------

  private number(n: number): void {
    if (Number.isSafeInteger(n) && (n !== 0 || 1 / n > 0)) this.int(n)
    else if (n === 0) this.float(n)
    else {
      this.slab[this.position] = 0xcb
      this.view.setFloat64(this.position + 1, n)
      this.position += 9
    }
  }

  /** A safe integer in its shortest form. */
  private int(n: number): void {
    const slab = this.slab
    if (n >= 0) {
      if (n < 0x80) slab[this.position++] = n
      else if (n < 0x100) {
        slab[this.position] = 0xcc
        slab[this.position + 1] = n
        this.position += 2
      } else if (n < 0x10000) {
        slab[this.position] = 0xcd
        this.view.setUint16(this.position + 1, n)
        this.position += 3
      } else if (n < 0x100000000) {
        slab[this.position] = 0xce
        this.view.setUint32(this.position + 1, n)
        this.position += 5
      } else {
        slab[this.position] = 0xcf
        this.view.setUint32(this.position + 1, Math.floor(n / 0x100000000))
        this.view.setUint32(this.position + 5, n >>> 0)
        this.position += 9
      }
    } else if (n >= -0x20) slab[this.position++] = n
    else if (n >= -0x80) {
      slab[this.position] = 0xd0
      slab[this.position + 1] = n
      this.position += 2
    } else if (n >= -0x8000) {
      slab[this.position] = 0xd1
      this.view.setInt16(this.position + 1, n)
      this.position += 3
    } else if (n >= -0x80000000) {
      slab[this.position] = 0xd2
      this.view.setInt32(this.position + 1, n)
      this.position += 5
    } else {
      slab[this.position] = 0xd3
      this.view.setInt32(this.position + 1, Math.floor(n / 0x100000000))
      this.view.setUint32(this.position + 5, n >>> 0)
      this.position += 9
    }
  }

  private bigint(n: bigint): void {
    if (n >= BigInt(Number.MIN_SAFE_INTEGER) && n <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.int(Number(n))
    } else if (n >= 0n && n < 1n << 64n) {
      this.slab[this.position] = 0xcf
      this.view.setBigUint64(this.position + 1, n)
      this.position += 9
    } else if (n < 0n && n >= -(1n << 63n)) {
      this.slab[this.position] = 0xd3
      this.view.setBigInt64(this.position + 1, n)
      this.position += 9
    } else {
      const bytes = twosComplement(n)
      const mark = this.beginExtension()
      this.raw(bytes)
      this.endExtension(mark, ExtensionCode.int)
    }
  }

  /** A number that has to arrive as a Python float. */
  private float(n: number): void {
    const slab = this.slab
    slab[this.position] = 0xd7
    slab[this.position + 1] = ExtensionCode.float
    this.view.setFloat64(this.position + 2, n, true)
    this.position += 10
  }

  private complex(value: Complex): void {
    const slab = this.slab
    slab[this.position] = 0xd8
    slab[this.position + 1] = ExtensionCode.complex
    this.view.setFloat64(this.position + 2, value.re, true)
    this.view.setFloat64(this.position + 10, value.im, true)
    this.position += 18
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Text and bytes
  // -------------------------------------------------------------------------------------------------------------------

  private longText(text: string): void {
    // Three bytes for each UTF-16 unit always suffice; counting is only worth it where that would waste a lot.
    this.ensure(5 + (text.length < 4096 ? text.length * 3 : Buffer.byteLength(text)))
    // Nearly all text is ASCII: guess the header from that, and move the bytes where the guess was too small.
    const guess = textHeader(text.length)
    const size = this.slab.write(text, this.position + guess, "utf8")
    const header = textHeader(size)
    if (header !== guess) {
      this.slab.copyWithin(this.position + header, this.position + guess, this.position + guess + size)
    }
    if (header === 1) this.slab[this.position] = 0xa0 | size
    else if (header === 2) {
      this.slab[this.position] = 0xd9
      this.slab[this.position + 1] = size
    } else if (header === 3) {
      this.slab[this.position] = 0xda
      this.view.setUint16(this.position + 1, size)
    } else {
      this.slab[this.position] = 0xdb
      this.view.setUint32(this.position + 1, size)
    }
    this.position += header + size
  }

  /** UTF-8 with lone surrogates as three bytes each, which is what Python's `surrogatepass` reads. */
  private surrogateText(text: string): void {
    this.surrogateTexts++
    const mark = this.beginExtension()
    this.ensure(text.length * 3)
    const slab = this.slab
    let position = this.position
    for (const character of text) {
      const code = character.codePointAt(0) ?? 0
      if (code < 0x80) slab[position++] = code
      else if (code < 0x800) {
        slab[position++] = 0xc0 | (code >> 6)
        slab[position++] = 0x80 | (code & 0x3f)
      } else {
        if (code < 0x10000) slab[position++] = 0xe0 | (code >> 12)
        else {
          slab[position++] = 0xf0 | (code >> 18)
          slab[position++] = 0x80 | ((code >> 12) & 0x3f)
        }
        slab[position++] = 0x80 | ((code >> 6) & 0x3f)
        slab[position++] = 0x80 | (code & 0x3f)
      }
    }
    this.position = position
    this.endExtension(mark, ExtensionCode.text)
  }

  private bytes(bytes: Uint8Array): void {
    // asked first, since it may move on to another slab
    const from = this.bytesRoom(bytes.length)
    this.slab.set(bytes, from)
  }

  /** Goes over room for so many bytes, behind their header, and answers where it begins. */
  private bytesRoom(size: number): number {
    this.ensure(5 + size)
    if (size < 0x100) {
      this.slab[this.position] = 0xc4
      this.slab[this.position + 1] = size
      this.position += 2
    } else this.header(0xc5, size)
    const from = this.position
    this.position += size
    return from
  }

  private unwritten(value: Storage.Unwritten): void {
    const { byteLength, write } = value
    const storage = this.hooks.storage
    const place =
      storage !== undefined && byteLength >= storage.thresholdBytes ? storage.store(byteLength, write) : undefined
    if (place !== undefined) return this.fields(ExtensionCode.shared, place)
    const from = this.bytesRoom(byteLength)
    write(this.slab.subarray(from, from + byteLength))
  }

  private part(part: Storage.Part): void {
    const { byteLength, lease, offset } = part
    const place = this.hooks.storage?.place(part)
    if (place === undefined) this.bytes(lease.bytes.subarray(offset, offset + byteLength))
    else this.fields(ExtensionCode.shared, place)
  }

  /** A 16 or 32 bit length; `token` is that of the 16 bit form. */
  private header(token: number, n: number): void {
    if (n < 0x10000) {
      this.slab[this.position] = token
      this.view.setUint16(this.position + 1, n)
      this.position += 3
    } else if (n < 0x100000000) {
      this.slab[this.position] = token + 1
      this.view.setUint32(this.position + 1, n)
      this.position += 5
    } else throw new ValueFailure(`a length of ${n}`, "At most 4294967295 items or bytes cross in one value.")
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Containers
  // -------------------------------------------------------------------------------------------------------------------

  private object(value: object): void {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (Array.isArray(value)) {
      if (prototype !== Array.prototype && Tuple.isTuple(value)) {
        const mark = this.beginNested()
        this.array(value)
        this.endNested(mark, ExtensionCode.tuple)
      } else this.array(value)
    } else if (prototype === Object.prototype || isPlainPrototype(prototype)) this.plainObject(value)
    else this.instance(value)
  }

  private array(items: ReadonlyArray<unknown>): void {
    const length = items.length
    this.arrayHeader(length)
    this.enter()
    let i = 0
    try {
      for (; i < length; i++) this.write(items[i])
    } catch (error) {
      throw located(error).at(items, indexSegment(i))
    }
    this.depth--
  }

  private plainObject(value: object): void {
    // An object read as what it is, a bag of unknown values; keys come from Object.keys, so nothing is inherited.
    const fields = value as Record<string, unknown>
    const keys = Object.keys(fields)
    const length = keys.length
    const mark = this.position - this.start
    this.mapHeader(length)
    this.enter()
    const surrogateTexts = this.surrogateTexts
    let key = ""
    let carried = true
    try {
      for (let i = 0; i < length; i++) {
        key = keys[i] ?? ""
        this.text(key)
        carried = key !== "__proto__" && this.surrogateTexts === surrogateTexts
        if (!carried) break
        this.write(fields[key])
      }
    } catch (error) {
      throw located(error).at(value, keySegment(key))
    }
    this.depth--
    if (carried) return
    // MessagePack maps do not carry such a key: take back what was written, and send the object as a map.
    this.position = this.start + mark
    this.map(
      keys.map((name) => [name, fields[name]]),
      value,
      keySegment
    )
  }

  private map(
    entries: ReadonlyArray<readonly [unknown, unknown]>,
    container: object,
    segment: (key: string) => string = entrySegment
  ): void {
    const mark = this.beginNested()
    this.arrayHeader(entries.length * 2)
    this.enter()
    let where = ""
    try {
      for (const [i, [key, value]] of entries.entries()) {
        where = mapKeySegment(i)
        this.write(key)
        where = typeof key === "string" ? segment(key) : entrySegment(key)
        this.write(value)
      }
    } catch (error) {
      throw located(error).at(container, where)
    }
    this.depth--
    this.endNested(mark, ExtensionCode.map)
  }

  private set(members: ReadonlySet<unknown>): void {
    const mark = this.beginNested()
    this.arrayHeader(members.size)
    this.enter()
    let i = 0
    try {
      for (const member of members) {
        this.write(member)
        i++
      }
    } catch (error) {
      throw located(error).at(members, memberSegment(i))
    }
    this.depth--
    this.endNested(mark, ExtensionCode.set)
  }

  private enter(): void {
    if (++this.depth > maxDepth) {
      throw new ValueFailure(
        `a value nested deeper than ${maxDepth}`,
        `Values nest at most ${maxDepth} deep; send a flat list with indices instead.`
      )
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Instances of classes
  // -------------------------------------------------------------------------------------------------------------------

  private instance(value: object): void {
    if (value instanceof Uint8Array) this.bytes(value)
    else if (value instanceof Storage.Unwritten) this.unwritten(value)
    else if (value instanceof Storage.Part) this.part(value)
    else if (value instanceof ArrayBuffer) this.bytes(new Uint8Array(value))
    else if (value instanceof DataView) this.bytes(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
    else if (this.adapted(value)) return
    else if (value instanceof Map) this.map([...value], value)
    else if (value instanceof Set) this.set(value)
    else if (isPyRef(value)) this.ref(value.handle)
    else if (Complex.isComplex(value)) this.complex(value)
    else if (Float.isFloat(value)) this.float(value.value)
    else if (DateTime.isDateTime(value)) this.dateTime(value)
    else if (value instanceof Date) this.date(value)
    else if (Duration.isDuration(value)) this.duration(value)
    else if (BigDecimal.isBigDecimal(value)) {
      const mark = this.beginExtension()
      const text = formatDecimal(value)
      this.ensure(text.length)
      this.position += this.slab.write(text, this.position, "latin1")
      this.endExtension(mark, ExtensionCode.decimal)
    } else if (PlainDateTime.isPlainDateTime(value)) {
      const { day, hour, microsecond, minute, month, second, year } = value
      this.fields(ExtensionCode.datetime, [year, month, day, hour, minute, second, microsecond, null])
    } else if (PlainDate.isPlainDate(value)) {
      this.fields(ExtensionCode.date, [value.year, value.month, value.day])
    } else if (PlainTime.isPlainTime(value)) {
      const { hour, microsecond, minute, offset, second, zone } = value
      this.fields(ExtensionCode.time, [hour, minute, second, microsecond, zone === null ? offset : [zone, offset]])
    } else throw unknownInstance(value)
  }

  private adapted(value: object): boolean {
    for (const adapter of this.adapters) {
      let payload: unknown
      try {
        if (!adapter.is(value)) continue
        payload = adapter.encode(value)
      } catch (error) {
        throw adapterFailure(value, adapter.name, error)
      }
      const mark = this.beginNested()
      this.arrayHeader(2)
      this.text(adapter.name)
      this.enter()
      try {
        this.write(payload)
      } catch (error) {
        throw located(error).at(value, `.<${adapter.name}>`)
      }
      this.depth--
      this.endNested(mark, ExtensionCode.adapted)
      return true
    }
    return false
  }

  private callback(value: CallableFunction): void {
    const register = this.hooks.callback
    if (register === undefined) {
      throw new ValueFailure(describe(value), "A function can be an argument of a call, and nothing else.")
    }
    if (Function.prototype.toString.call(value).startsWith("class")) {
      throw new ValueFailure(describe(value), "A class cannot be called from Python; wrap it in a function.")
    }
    // Any function is one of some arguments; `never` lets nobody call it without saying which.
    const id = register(value as unknown as CallbackFunction)
    const mark = this.beginExtension()
    this.uint(id)
    this.endExtension(mark, ExtensionCode.callback)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Dates and times
  // -------------------------------------------------------------------------------------------------------------------

  private date(value: Date): void {
    const milliseconds = value.getTime()
    if (Number.isNaN(milliseconds)) throw new ValueFailure("an invalid Date", "Send a valid date, or null.")
    this.instant(milliseconds, 0, 0)
  }

  private dateTime(value: DateTime.DateTime): void {
    if (value._tag === "Utc") return this.instant(value.epochMilliseconds, 0, 0)
    // Offsets come from whole milliseconds: Effect reads the clock of a zone through `Date`, which has no finer ones.
    const millis = DateTime.zonedOffset(DateTime.mapEpochMillis(value, Math.floor))
    const offset = millis / 1000
    if (!Number.isInteger(offset) || Math.abs(offset) >= 86_400) {
      throw new ValueFailure(
        `a zoned DateTime ${millis} ms from UTC`,
        "Python's offsets are whole seconds below a day; use DateTime.toUtc."
      )
    }
    this.instant(value.epochMilliseconds, offset, value.zone._tag === "Offset" ? offset : [value.zone.id, offset])
  }

  /** An instant, written as the clock shows it `offset` seconds east of UTC. Finer than microseconds is rounded. */
  private instant(epochMilliseconds: number, offset: number, zone: unknown): void {
    let whole = Math.floor(epochMilliseconds)
    let microseconds = Math.round((epochMilliseconds - whole) * 1000)
    if (microseconds === 1000) {
      whole++
      microseconds = 0
    }
    const clock = new Date(whole + offset * 1000)
    const year = clock.getUTCFullYear()
    if (!(year >= 1 && year <= 9999)) {
      throw new ValueFailure(
        `a date in the year ${year}`,
        "Python's datetime covers the years 1 to 9999; send a number or a string instead."
      )
    }
    this.fields(ExtensionCode.datetime, [
      year,
      clock.getUTCMonth() + 1,
      clock.getUTCDate(),
      clock.getUTCHours(),
      clock.getUTCMinutes(),
      clock.getUTCSeconds(),
      clock.getUTCMilliseconds() * 1000 + microseconds,
      zone
    ])
  }

  private duration(value: Duration.Duration): void {
    const held = value.value
    if (held._tag === "Infinity" || held._tag === "NegativeInfinity") {
      throw new ValueFailure("an infinite Duration", "Python's timedelta is finite; send null or a number instead.")
    }
    const nanos = held._tag === "Nanos" ? held.nanos : BigInt(held.millis) * 1_000_000n
    if (nanos % 1000n !== 0n) {
      throw new ValueFailure(
        `a Duration of ${nanos} ns`,
        "Python's timedelta has microseconds; round it, or send the nanoseconds as a bigint."
      )
    }
    const micros = nanos / 1000n
    const days = floorDivide(micros, 86_400_000_000n)
    if (days < -999_999_999n || days > 999_999_999n) {
      throw new ValueFailure(`a Duration of ${days} days`, "Python's timedelta has at most 999999999 days.")
    }
    const rest = Number(micros - days * 86_400_000_000n)
    this.fields(ExtensionCode.timedelta, [Number(days), Math.floor(rest / 1_000_000), rest % 1_000_000])
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Extensions and memory
  // -------------------------------------------------------------------------------------------------------------------

  /** An extension whose payload is an array of fields that can be written without fail. */
  private fields(code: number, fields: ReadonlyArray<unknown>): void {
    const mark = this.beginExtension()
    this.arrayHeader(fields.length)
    for (const field of fields) this.write(field)
    this.endExtension(mark, code)
  }

  /** An extension that holds other values. */
  private beginNested(): number {
    if (++this.nested > maxNestedExtensions) {
      throw new ValueFailure(
        `more than ${maxNestedExtensions} tuples, sets, maps and adapted values inside each other`,
        `Python reads at most ${maxNestedExtensions}; send a flat list with indices instead.`
      )
    }
    return this.beginExtension()
  }

  private endNested(mark: number, code: number): void {
    this.nested--
    this.endExtension(mark, code)
  }

  /** Leaves room for the longest header; `endExtension` closes the gap when a shorter one does. */
  private beginExtension(): number {
    this.ensure(extensionHeader)
    const mark = this.position - this.start
    this.position += extensionHeader
    return mark
  }

  private endExtension(mark: number, code: number): void {
    const from = this.start + mark
    const body = from + extensionHeader
    const size = this.position - body
    const slab = this.slab
    let header = 2
    if (size === 1) slab[from] = 0xd4
    else if (size === 2) slab[from] = 0xd5
    else if (size === 4) slab[from] = 0xd6
    else if (size === 8) slab[from] = 0xd7
    else if (size === 16) slab[from] = 0xd8
    else if (size < 0x100) {
      slab[from] = 0xc7
      slab[from + 1] = size
      header = 3
    } else if (size < 0x10000) {
      slab[from] = 0xc8
      this.view.setUint16(from + 1, size)
      header = 4
    } else if (size < 0x100000000) {
      slab[from] = 0xc9
      this.view.setUint32(from + 1, size)
      header = 6
    } else throw new ValueFailure(`an extension of ${size} bytes`, "At most 4294967295 bytes cross in one value.")
    slab[from + header - 1] = code
    if (header !== extensionHeader) slab.copyWithin(from + header, body, this.position)
    this.position = from + header + size
  }

  private ensure(bytes: number): void {
    if (this.slab.length - this.position < bytes) this.move(bytes)
  }

  /** Goes on in a fresh slab with room for at least `bytes` more, taking along what was not taken yet. */
  private move(bytes: number): void {
    const used = this.position - this.start
    // A frame that outgrows a slab doubles, so that writing it stays linear.
    const size = Math.max(this.slabBytes, used + bytes + headRoom, used * 2)
    const slab = Buffer.allocUnsafeSlow(size)
    if (used > 0) slab.set(this.slab.subarray(this.start, this.position))
    this.slab = slab
    this.view = new DataView(slab.buffer)
    this.start = 0
    this.position = used
  }
}

const textHeader = (size: number): number => (size < 32 ? 1 : size < 0x100 ? 2 : size < 0x10000 ? 3 : 5)

/** Whether objects with this prototype are plain: none, or the `Object.prototype` of another realm. */
const isPlainPrototype = (prototype: unknown): boolean =>
  prototype === null ||
  (typeof prototype === "object" &&
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype, "isPrototypeOf"))

/** Signed two's complement, big-endian, in as few bytes as hold the sign. */
const twosComplement = (n: bigint): Uint8Array => {
  const magnitude = n < 0n ? ~n : n
  const hex = magnitude.toString(16)
  // One byte more where the highest bit would be taken for the sign.
  const size = (hex.length + (hex.length % 2 === 0 && hex.charCodeAt(0) >= 0x38 ? 2 : 1)) >> 1
  const bytes = Buffer.from(hex.padStart(size * 2, "0"), "hex")
  if (n < 0n) for (let i = 0; i < size; i++) bytes[i] = ~(bytes[i] ?? 0)
  return bytes
}

const floorDivide = (n: bigint, by: bigint): bigint => (n >= 0n ? n / by : -((-n + by - 1n) / by))
