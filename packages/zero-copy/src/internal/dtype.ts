/**
 * numpy's dtypes as they cross: `dtype.str`, or the `descr` list for records. How large an item is, and how one is read
 * and written.
 *
 * The first character of `dtype.str` is the byte order (`<` little, `>` big, `|` none), the second the kind, and the
 * rest the size in bytes; for `U` in characters of four bytes (https://numpy.org/doc/stable/reference/arrays.interface.html).
 */
import { Complex } from "@snakepit/core"

/** One field of a record: its name, or `[title, name]`, or `""` for padding; its dtype; its shape when it is an array. */
export type Field =
  | readonly [name: string | readonly [title: string, name: string], dtype: DType]
  | readonly [name: string | readonly [title: string, name: string], dtype: DType, shape: ReadonlyArray<number>]

/** `"<f8"`, `"|b1"`, `">i4"`, `"<M8[ns]"`, `"<U5"`, or the fields of a record. */
export type DType = string | ReadonlyArray<Field>

/** A dtype that is not a record, in parts. */
export interface Scalar {
  readonly kind: string
  /** Size of an item in bytes; 0 for Python objects, which have no bytes. */
  readonly size: number
  readonly littleEndian: boolean
}

const pattern = /^([<>|=])([biufcmMOSUV])(\d*)(?:\[\d*[A-Za-zμ]+\])?$/

const sizes: Readonly<Record<string, ReadonlyArray<number>>> = {
  b: [1],
  i: [1, 2, 4, 8],
  u: [1, 2, 4, 8],
  f: [2, 4, 8, 12, 16],
  c: [8, 16, 24, 32],
  m: [8],
  M: [8]
}

/** What was parsed before: a tensor asks several times each time it crosses. Bounded, since Python says what they are. */
const parsed = new Map<string, Scalar>()
const mostParsed = 256

/** The parts of `dtype.str`. Throws a `TypeError` for a string that is none. */
export const parseScalar = (dtype: string): Scalar => {
  const known = parsed.get(dtype)
  if (known !== undefined) return known
  const scalar = parse(dtype)
  if (parsed.size >= mostParsed) parsed.clear()
  parsed.set(dtype, scalar)
  return scalar
}

const parse = (dtype: string): Scalar => {
  // numpy has no name of its own for it
  if (dtype === "bfloat16") return { kind: "bfloat", size: 2, littleEndian: true }
  const match = pattern.exec(dtype)
  const kind = match?.[2] ?? ""
  const count = Number(match?.[3] ?? "")
  if (match === null || sizes[kind]?.includes(count) === false || !Number.isSafeInteger(count)) {
    throw new TypeError(`expected a dtype like "<f8", got ${JSON.stringify(dtype)}`)
  }
  return { kind, size: kind === "U" ? count * 4 : kind === "O" ? 0 : count, littleEndian: match[1] !== ">" }
}

/** Checks what claims to be a dtype. Throws a `TypeError` that says what is wrong. */
export const parseDType = (value: unknown): DType => {
  if (typeof value === "string") {
    parseScalar(value)
    return value
  }
  if (!Array.isArray(value)) throw new TypeError(`expected a dtype, got ${typeof value}`)
  return value.map((field: unknown): Field => {
    if (!Array.isArray(field) || field.length < 2 || field.length > 3) {
      throw new TypeError("expected a field of a record as [name, dtype] or [name, dtype, shape]")
    }
    const name = parseName(field[0])
    const dtype = parseDType(field[1])
    if (dtype === "|O") throw new TypeError("expected no Python objects inside records")
    return field.length === 2 ? [name, dtype] : [name, dtype, parseShape(field[2])]
  })
}

const parseName = (value: unknown): Field[0] => {
  if (typeof value === "string") return value
  if (Array.isArray(value) && value.length === 2) {
    const [title, name] = value
    if (typeof title === "string" && typeof name === "string") return [title, name]
  }
  throw new TypeError("expected the name of a field")
}

/** Checks what claims to be a shape. Throws a `TypeError` that says what is wrong. */
export const parseShape = (value: unknown): ReadonlyArray<number> => {
  if (!Array.isArray(value)) throw new TypeError(`expected a shape, got ${typeof value}`)
  return value.map((length: unknown) => {
    if (!Number.isSafeInteger(length) || Number(length) < 0) {
      throw new TypeError(`expected a shape of non-negative integers, got ${String(length)}`)
    }
    return Number(length)
  })
}

/** Number of items in a shape: 1 for no dimensions. Throws a `RangeError` when it is no safe integer. */
export const countOf = (shape: ReadonlyArray<number>): number => {
  const count = shape.includes(0) ? 0 : shape.reduce((product, length) => product * length, 1)
  if (!Number.isSafeInteger(count))
    throw new RangeError(`expected a shape of at most 2**53 items, got ${shape.join("x")}`)
  return count
}

/** Size of an item in bytes. */
export const itemSize = (dtype: DType): number =>
  typeof dtype === "string"
    ? parseScalar(dtype).size
    : dtype.reduce((sum, [, format, shape]) => sum + itemSize(format) * (shape === undefined ? 1 : countOf(shape)), 0)

/** Whether two dtypes are the same. */
export const sameDType = (a: DType, b: DType): boolean =>
  typeof a === "string" || typeof b === "string" ? a === b : JSON.stringify(a) === JSON.stringify(b)

/** `<f8`, or `{x: <f8, y: <i4}` for a record. */
export const formatDType = (dtype: DType): string =>
  typeof dtype === "string"
    ? dtype
    : `{${dtype
        .filter(([name]) => name !== "")
        .map(([name, format]) => `${typeof name === "string" ? name : name[1]}: ${formatDType(format)}`)
        .join(", ")}}`

// ---------------------------------------------------------------------------------------------------------------------
// Items
// ---------------------------------------------------------------------------------------------------------------------

/** Reads the item that begins at a position. */
export type ReadItem = (view: DataView, at: number) => unknown

/** Writes an item at a position. Throws a `RangeError` or `TypeError` when the item does not fit the dtype. */
export type WriteItem = (view: DataView, at: number, item: unknown) => void

const smallest = (bits: number): bigint => -(1n << BigInt(bits - 1))

const safe = (n: bigint): number | bigint =>
  n >= BigInt(Number.MIN_SAFE_INTEGER) && n <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(n) : n

/**
 * How items of a dtype are read: booleans, numbers, bigints (integers that are not safe, and datetime64 and timedelta64,
 * as counts of their unit), `Complex`, strings, bytes, and objects for records.
 */
export const reader = (dtype: DType): ReadItem => {
  if (typeof dtype !== "string") return recordReader(dtype)
  const { kind, littleEndian, size } = parseScalar(dtype)
  switch (kind) {
    case "b":
      return (view, at) => view.getUint8(at) !== 0
    case "i":
      if (size === 1) return (view, at) => view.getInt8(at)
      if (size === 2) return (view, at) => view.getInt16(at, littleEndian)
      if (size === 4) return (view, at) => view.getInt32(at, littleEndian)
      return (view, at) => safe(view.getBigInt64(at, littleEndian))
    case "u":
      if (size === 1) return (view, at) => view.getUint8(at)
      if (size === 2) return (view, at) => view.getUint16(at, littleEndian)
      if (size === 4) return (view, at) => view.getUint32(at, littleEndian)
      return (view, at) => safe(view.getBigUint64(at, littleEndian))
    case "f":
      if (size === 2) return (view, at) => halfToNumber(view.getUint16(at, littleEndian))
      if (size === 4) return (view, at) => view.getFloat32(at, littleEndian)
      if (size === 8) return (view, at) => view.getFloat64(at, littleEndian)
      break
    case "bfloat":
      return (view, at) => bfloatToNumber(view.getUint16(at, true))
    case "c":
      if (size === 8) {
        return (view, at) => new Complex(view.getFloat32(at, littleEndian), view.getFloat32(at + 4, littleEndian))
      }
      if (size === 16) {
        return (view, at) => new Complex(view.getFloat64(at, littleEndian), view.getFloat64(at + 8, littleEndian))
      }
      break
    case "m":
    case "M":
      return (view, at) => view.getBigInt64(at, littleEndian)
    case "U":
      return (view, at) => readText(view, at, size, littleEndian)
    case "S":
      return (view, at) => {
        let end = at + size
        while (end > at && view.getUint8(end - 1) === 0) end--
        return copyOf(view, at, end)
      }
    case "V":
      return (view, at) => copyOf(view, at, at + size)
  }
  throw new TypeError(`items of the dtype ${dtype} have no form in JavaScript; convert the array in Python`)
}

const copyOf = (view: DataView, from: number, to: number): Uint8Array =>
  Uint8Array.from(new Uint8Array(view.buffer, view.byteOffset + from, to - from))

/** numpy pads text with NUL, and cannot tell NULs at its end from padding. */
const readText = (view: DataView, at: number, size: number, littleEndian: boolean): string => {
  let end = at + size
  while (end > at && view.getUint32(end - 4, littleEndian) === 0) end -= 4
  let text = ""
  for (let i = at; i < end; i += 4) text += String.fromCodePoint(view.getUint32(i, littleEndian))
  return text
}

const recordReader = (fields: ReadonlyArray<Field>): ReadItem => {
  const parts: Array<{ readonly name: string; readonly offset: number; readonly read: ReadItem }> = []
  let offset = 0
  for (const [label, format, shape] of fields) {
    const size = itemSize(format)
    const name = typeof label === "string" ? label : label[1]
    if (name !== "") {
      const read = reader(format)
      parts.push({ name, offset, read: shape === undefined ? read : (view, at) => nest(view, at, shape, size, read) })
    }
    offset += size * (shape === undefined ? 1 : countOf(shape))
  }
  return (view, at) => Object.fromEntries(parts.map((part) => [part.name, part.read(view, at + part.offset)]))
}

/** Items in C order as nested arrays of this shape; the bare item when there are no dimensions. */
export const nest = (
  view: DataView,
  at: number,
  shape: ReadonlyArray<number>,
  size: number,
  read: ReadItem
): unknown => {
  let position = at
  const level = (dimension: number): unknown => {
    const length = shape[dimension]
    if (length === undefined) {
      const item = read(view, position)
      position += size
      return item
    }
    return Array.from({ length }, () => level(dimension + 1))
  }
  return level(0)
}

const requireNumber = (dtype: string, item: unknown): number => {
  if (typeof item !== "number") throw new TypeError(`expected a number for ${dtype}, got ${describe(item)}`)
  return item
}

const requireInteger = (dtype: string, item: unknown, least: bigint, greatest: bigint): bigint => {
  const integer = typeof item === "bigint" ? item : Number.isSafeInteger(item) ? BigInt(Number(item)) : undefined
  if (integer === undefined) throw new TypeError(`expected an integer for ${dtype}, got ${describe(item)}`)
  if (integer < least || integer > greatest) {
    throw new RangeError(`expected ${least} to ${greatest} for ${dtype}, got ${integer}`)
  }
  return integer
}

const describe = (item: unknown): string => (typeof item === "object" ? "an object" : String(item))

/** How items of a dtype are written. Floats are rounded to it; anything else has to fit. */
export const writer = (dtype: DType): WriteItem => {
  if (typeof dtype !== "string")
    throw new TypeError("expected a dtype that is no record: make the tensor from its bytes")
  const { kind, littleEndian, size } = parseScalar(dtype)
  const bits = size * 8
  switch (kind) {
    case "b":
      return (view, at, item) => {
        if (typeof item !== "boolean") throw new TypeError(`expected a boolean for ${dtype}, got ${describe(item)}`)
        view.setUint8(at, item ? 1 : 0)
      }
    case "i":
    case "m":
    case "M": {
      const least = smallest(bits)
      return (view, at, item) =>
        writeInteger(view, at, requireInteger(dtype, item, least, -least - 1n), size, littleEndian)
    }
    case "u": {
      const greatest = (1n << BigInt(bits)) - 1n
      return (view, at, item) => writeInteger(view, at, requireInteger(dtype, item, 0n, greatest), size, littleEndian)
    }
    case "f":
      if (size === 4) return (view, at, item) => view.setFloat32(at, requireNumber(dtype, item), littleEndian)
      if (size === 8) return (view, at, item) => view.setFloat64(at, requireNumber(dtype, item), littleEndian)
      break
    case "c":
      if (size === 8 || size === 16) {
        return (view, at, item) => {
          const { im, re } = Complex.isComplex(item) ? item : { im: 0, re: requireNumber(dtype, item) }
          if (size === 8) {
            view.setFloat32(at, re, littleEndian)
            view.setFloat32(at + 4, im, littleEndian)
          } else {
            view.setFloat64(at, re, littleEndian)
            view.setFloat64(at + 8, im, littleEndian)
          }
        }
      }
      break
    case "U":
      return (view, at, item) => {
        if (typeof item !== "string") throw new TypeError(`expected a string for ${dtype}, got ${describe(item)}`)
        const characters = [...item]
        if (characters.length * 4 > size) {
          throw new RangeError(`expected at most ${size / 4} characters for ${dtype}, got ${characters.length}`)
        }
        characters.forEach((character, i) => view.setUint32(at + i * 4, character.codePointAt(0) ?? 0, littleEndian))
      }
  }
  throw new TypeError(
    `expected a dtype of booleans, integers, floats or text, got ${dtype}: make the tensor from its bytes`
  )
}

const writeInteger = (view: DataView, at: number, item: bigint, size: number, littleEndian: boolean): void => {
  if (size === 8) view.setBigInt64(at, item, littleEndian)
  else if (size === 4) view.setInt32(at, Number(item), littleEndian)
  else if (size === 2) view.setInt16(at, Number(item), littleEndian)
  else view.setInt8(at, Number(item))
}

/** The upper half of a float32. */
const bfloatToNumber = (half: number): number => {
  scratch.setUint32(0, half * 0x10000)
  return scratch.getFloat32(0)
}

const scratch = new DataView(new ArrayBuffer(4))

/** IEEE 754 binary16. */
const halfToNumber = (half: number): number => {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
}
