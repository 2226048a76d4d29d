/**
 * The notation of the golden vectors (`protocol/golden/README.md`), both ways: values to encode from it, and decoded values
 * back to it. Two values are the same if their notations are: unlike most ways to compare, it tells -0 from 0, tuples
 * from arrays and a Map from an object.
 */
import { Complex, Float, PlainDate, PlainDateTime, PlainTime, Tuple, type ValueAdapter } from "@snakepit/core"
import { Storage, Table, Tensor } from "@snakepit/zero-copy"
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"

/** A ref as the tests' decode hook makes it. */
export class Ref {
  readonly "~@snakepit/core/PyRef" = "~@snakepit/core/PyRef"
  readonly handle: { readonly session: string; readonly worker: string; readonly id: number; readonly type: string }

  constructor(session: string, worker: string, id: number, type: string) {
    this.handle = { session, worker, id, type }
  }
}

/** A value of an adapter that is known by name only. */
export class Adapted {
  readonly name: string
  readonly payload: unknown

  constructor(name: string, payload: unknown) {
    this.name = name
    this.payload = payload
  }
}

export const adapterNamed = (name: string): ValueAdapter<Adapted> => ({
  name,
  is: (value): value is Adapted => value instanceof Adapted && value.name === name,
  encode: (value) => value.payload,
  decode: (payload) => new Adapted(name, payload)
})

/** A place in shared memory; as what is written there, it knows where that is. */
class Shared extends Storage.Unwritten {
  readonly place: Storage.Place

  constructor(place: Storage.Place) {
    super(
      place[2],
      Object.assign(() => {}, { place })
    )
    this.place = place
  }
}

/** Functions carry the number that the tests' encode hook answers. */
const callbacks = new WeakMap<object, number>()

export const hooks = {
  encode: {
    callback: (callback: object) => callbacks.get(callback) ?? 0,
    storage: {
      thresholdBytes: 0,
      store: (_: number, write: object) => ("place" in write ? (write.place as Storage.Place) : undefined),
      place: () => undefined
    }
  },
  decode: {
    ref: (session: string, worker: string, id: number, type: string) => new Ref(session, worker, id, type),
    // the place of a vector has the five parts that it should have
    shared: (place: ReadonlyArray<unknown>) => new Shared(place as unknown as Storage.Place)
  }
}

type Notation = unknown

const float = (text: string): number => {
  if (text === "nan") return NaN
  return text.endsWith("inf") ? (text.startsWith("-") ? -Infinity : Infinity) : Number(text)
}

const formatFloat = (n: number): Notation => {
  if (Number.isNaN(n)) return { $float: "nan" }
  if (!Number.isFinite(n)) return { $float: n > 0 ? "inf" : "-inf" }
  return Object.is(n, -0) ? { $float: "-0.0" } : n
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

// oxlint-disable-next-line typescript/no-explicit-any -- JSON whose shape the tag beside it says
type Content = any

/** The one key of a tagged notation and what stands under it. */
const tagged = (notation: Record<string, unknown>): readonly [tag: string, content: Content] | undefined => {
  const keys = Object.keys(notation)
  return keys.length === 1 && keys[0]?.startsWith("$") ? [keys[0], notation[keys[0]]] : undefined
}

/** The value that a notation stands for, as a program would pass it to Python. */
export const fromNotation = (notation: Notation): unknown => {
  if (Array.isArray(notation)) return notation.map(fromNotation)
  if (!isRecord(notation)) return notation
  const tag = tagged(notation)
  if (tag === undefined) return Object.fromEntries(Object.entries(notation).map(([k, v]) => [k, fromNotation(v)]))
  const [name, content] = tag
  switch (name) {
    case "$int":
      return BigInt(content)
    case "$float":
      return float(content)
    case "$double":
      return new Float(float(content))
    case "$bytes":
      return Uint8Array.from(Buffer.from(content, "hex"))
    case "$tuple":
      return Tuple.fromArray(content.map(fromNotation))
    case "$set":
      return new Set(content.map(fromNotation))
    case "$map": {
      const entries: Array<[unknown, unknown]> = content.map((entry: unknown) => fromNotation(entry))
      return entries.every(([key]) => typeof key === "string" && key !== "__proto__")
        ? Object.fromEntries(entries)
        : new Map(entries)
    }
    case "$complex":
      return new Complex(float(content[0]), float(content[1]))
    case "$decimal":
      return decimal(content)
    case "$datetime":
      return dateTime(content)
    case "$date":
      return new PlainDate(content[0], content[1], content[2])
    case "$time": {
      const [hour, minute, second, micro, zone] = content
      const [key, offset] = Array.isArray(zone) ? zone : [null, zone]
      return new PlainTime(hour, minute, second, micro, offset, key)
    }
    case "$timedelta": {
      const [days, seconds, micros] = content.map(BigInt)
      return Duration.nanos(((days * 86_400n + seconds) * 1_000_000n + micros) * 1000n)
    }
    case "$text":
      return String.fromCharCode(...content)
    case "$adapted": {
      const payload = fromNotation(content[1])
      if (content[0] === "tensor") return Tensor.adapter.decode(payload)
      return content[0] === "arrow" ? Table.adapter.decode(payload) : new Adapted(content[0], payload)
    }
    case "$shared":
      return new Shared(content)
    case "$ref":
      return new Ref(content[0], content[1], content[2], content[3])
    case "$callback": {
      const callback = () => content
      callbacks.set(callback, content)
      return callback
    }
    default:
      throw new Error(`the notation ${name} is not known`)
  }
}

const decimal = (text: string): BigDecimal.BigDecimal => {
  const [coefficient = "", exponent = "0"] = text.split("E")
  const [integer, fraction = ""] = coefficient.split(".")
  return BigDecimal.make(BigInt(`${integer}${fraction}`), fraction.length - Number(exponent))
}

/** Microseconds since 1970 at which a clock `offset` seconds east of UTC shows this. */
const microsOf = ([year, month, day, hour, minute, second, micro]: ReadonlyArray<number>, offset: number): bigint => {
  // Date.UTC takes the years below 100 for those of the last century; 400 years are a whole number of weeks and days.
  const millis = Date.UTC((year ?? 0) + 400, (month ?? 0) - 1, day, hour, minute, second) - 146_097 * 86_400_000
  return BigInt(millis - offset * 1000) * 1000n + BigInt(micro ?? 0)
}

const dateTime = (content: Content): unknown => {
  const zone = content[7]
  if (zone === null) {
    const [year, month, day, hour, minute, second, micro] = content
    return new PlainDateTime(year, month, day, hour, minute, second, micro)
  }
  const [key, offset] = Array.isArray(zone) ? zone : [null, zone]
  const micros = microsOf(content, offset)
  const utc = DateTime.mapEpochMillis(DateTime.makeUnsafe(0), () => Number(micros) / 1000)
  if (key !== null) return DateTime.setZone(utc, DateTime.zoneMakeNamedUnsafe(key))
  return offset === 0 ? utc : DateTime.setZone(utc, DateTime.zoneMakeOffset(offset * 1000))
}

/**
 * The notation of a decoded value. Where a value has no one notation it is a normal form of its own: instants are
 * microseconds and a zone, tensors and tables what is in them.
 */
export const toNotation = (value: unknown): Notation => {
  if (typeof value === "number") return formatFloat(value)
  if (typeof value === "bigint") return { $int: String(value) }
  if (typeof value === "string") {
    return value.isWellFormed() ? value : { $text: Array.from({ length: value.length }, (_, i) => value.charCodeAt(i)) }
  }
  if (typeof value === "function") return { $callback: callbacks.get(value) }
  if (typeof value !== "object" || value === null) return value ?? null
  if (Tuple.isTuple(value)) return { $tuple: Array.from(value, toNotation) }
  if (Array.isArray(value)) return value.map(toNotation)
  if (value instanceof Shared) return { $shared: value.place }
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString("hex") }
  if (value instanceof Set) return { $set: Array.from(value, toNotation) }
  if (value instanceof Map) return { $map: Array.from(value, ([k, v]) => [toNotation(k), toNotation(v)]) }
  if (Complex.isComplex(value)) return { $complex: [formatFloat(value.re), formatFloat(value.im)] }
  if (Float.isFloat(value)) return formatFloat(value.value)
  if (BigDecimal.isBigDecimal(value)) return { $decimal: [String(value.value), value.scale] }
  if (PlainDateTime.isPlainDateTime(value) || PlainDate.isPlainDate(value) || PlainTime.isPlainTime(value)) {
    return { [`$${value.constructor.name}`]: value.toString() }
  }
  if (DateTime.isDateTime(value)) {
    const micros =
      BigInt(Math.floor(value.epochMilliseconds)) * 1000n +
      BigInt(Math.round((value.epochMilliseconds - Math.floor(value.epochMilliseconds)) * 1000))
    const zone = value._tag === "Utc" ? "UTC" : value.zone._tag === "Named" ? value.zone.id : value.zone.offset
    return { $instant: [String(micros), zone] }
  }
  if (Duration.isDuration(value)) return { $duration: String(Duration.toNanosUnsafe(value)) }
  if (value instanceof Ref) return { $ref: Object.values(value.handle) }
  if (value instanceof Adapted) return { $adapted: [value.name, toNotation(value.payload)] }
  if (Tensor.isTensor(value)) {
    return { $tensor: [value.dtype, value.shape, toNotation(value.dtype === "|O" ? value.items : value.bytes)] }
  }
  if (Table.isTable(value)) {
    return { $table: [String(value.schema), value.toArray().map((row: unknown) => String(row))] }
  }
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, toNotation(field)]))
}
