/// <reference lib="esnext.float16" preserve="true" />
/**
 * An array of numbers in any number of dimensions: what numpy's `ndarray` is in TypeScript.
 *
 * A tensor is its bytes in C order, a dtype that says what they mean, and a shape. They arrive as they left Python, byte
 * order included, and nothing is converted before it is looked at: `data` is a typed array over the bytes, `toNested`
 * makes arrays of JavaScript values. Tables with named columns are `Table`.
 */
import type { ValueAdapter } from "@snakepit/core"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import {
  countOf,
  type DType,
  formatDType,
  itemSize,
  nest,
  parseDType,
  parseScalar,
  parseShape,
  reader,
  sameDType,
  writer
} from "./internal/dtype.ts"

export type { DType, Field } from "./internal/dtype.ts"

/** What {@link Tensor.data} can be. */
export type TensorData =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float16Array
  | Float32Array
  | Float64Array

/** A constructor of typed arrays, which stands for a dtype. */
export interface TensorDataConstructor<Data extends TensorData> {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): Data
  readonly BYTES_PER_ELEMENT: number
  readonly name: string
}

/** Nested arrays of items, as deep as a tensor has dimensions. */
export type Nested = unknown

/** Where the items are: bytes for all dtypes but `|O`, whose items are values of their own. */
type Storage = { readonly bytes: Uint8Array } | { readonly items: ReadonlyArray<unknown> }

const TypeId = "~@snakepit/zero-copy/Tensor"

/** An n-dimensional array. */
export class Tensor<out Data extends TensorData = TensorData> implements Equal.Equal {
  /** numpy's `dtype.str`, like `"<f8"`, or the fields of a record. */
  readonly dtype: DType
  /** Length of each dimension; empty for a tensor of one item without dimensions. */
  readonly shape: ReadonlyArray<number>
  private readonly storage: Storage
  private cached: TensorData | undefined

  private constructor(dtype: DType, shape: ReadonlyArray<number>, storage: Storage) {
    this.dtype = dtype
    this.shape = shape
    this.storage = storage
  }

  static readonly isTensor = (value: unknown): value is Tensor => Predicate.hasProperty(value, TypeId)

  /**
   * A tensor over a typed array: the memory is shared, not copied. One dimension unless a shape is given.
   *
   * Throws a `RangeError` when the shape has another number of items than the array.
   */
  static make<Data extends TensorData>(data: Data, shape: ReadonlyArray<number> = [data.length]): Tensor<Data> {
    const items = countOf(parseShape(shape))
    if (items !== data.length) {
      throw new RangeError(`Tensor.make: the shape ${shape.join("x")} has ${items} items, the array ${data.length}`)
    }
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return new Tensor<Data>(dtypeOf(data), [...shape], { bytes })
  }

  /**
   * A tensor of any dtype over its bytes in C order, which are shared, not copied.
   *
   * Throws a `TypeError` for a dtype that numpy does not have, and a `RangeError` when the size is wrong.
   */
  static fromBytes(dtype: DType, shape: ReadonlyArray<number>, bytes: Uint8Array): Tensor {
    const checked = parseDType(dtype)
    if (checked === "|O") throw new TypeError("Tensor.fromBytes: Python objects have no bytes; use Tensor.fromNested")
    const expected = countOf(parseShape(shape)) * itemSize(checked)
    if (bytes.length !== expected) {
      throw new RangeError(
        `Tensor.fromBytes: expected ${expected} bytes for ${formatDType(checked)} of shape ${shape.join("x")}, got ${bytes.length}`
      )
    }
    return new Tensor(checked, [...shape], { bytes })
  }

  /**
   * A tensor of nested arrays, all of the same length in each dimension, or of a bare item.
   *
   * Without a dtype, numbers become `<f8`, booleans `|b1`, bigints `<i8`, `Complex` `<c16` and strings `<U` of the
   * longest. Throws a `RangeError` for a ragged array or an item out of range, a `TypeError` for one of the wrong type.
   */
  static fromNested(nested: Nested, dtype?: DType): Tensor {
    const shape: Array<number> = []
    for (let level = nested; Array.isArray(level); level = level[0]) shape.push(level.length)
    const items: Array<unknown> = []
    flatten(nested, shape, 0, items)
    const chosen = dtype === undefined ? commonDType(items) : parseDType(dtype)
    if (chosen === "|O") return new Tensor(chosen, shape, { items })
    const size = itemSize(chosen)
    const write = writer(chosen)
    const bytes = new Uint8Array(items.length * size)
    const view = new DataView(bytes.buffer)
    items.forEach((item, i) => write(view, i * size, item))
    return new Tensor(chosen, shape, { bytes })
  }

  /**
   * Matches tensors of one dtype, in either byte order: `Tensor.schema(Float64Array)` or `Tensor.schema("<M8[ns]")`.
   * With `shape`, also the number of dimensions and the length of those that are not null.
   */
  static schema<Data extends TensorData>(
    dtype: TensorDataConstructor<Data>,
    options?: { readonly shape?: ReadonlyArray<number | null> | undefined }
  ): Schema.declare<Tensor<Data>>
  static schema(
    dtype: string,
    options?: { readonly shape?: ReadonlyArray<number | null> | undefined }
  ): Schema.declare<Tensor>
  static schema(
    dtype: TensorDataConstructor<TensorData> | string,
    options: { readonly shape?: ReadonlyArray<number | null> | undefined } = {}
  ): Schema.declare<Tensor> {
    const native = typeof dtype === "string" ? dtype : nativeDTypes.get(dtype.name)
    if (native === undefined) throw new TypeError(`Tensor.schema: expected a typed array, got ${String(dtype)}`)
    const accepted = [native, native.replace("<", ">")]
    const { shape } = options
    const expected = `Tensor(${native}${shape === undefined ? "" : `, ${shape.map((length) => length ?? "?").join("x")}`})`
    return Schema.declare(
      (value): value is Tensor =>
        Tensor.isTensor(value) &&
        typeof value.dtype === "string" &&
        accepted.includes(value.dtype) &&
        (shape === undefined ||
          (shape.length === value.shape.length &&
            shape.every((length, i) => length === null || length === value.shape[i]))),
      { identifier: expected, expected }
    )
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }

  /** Number of items. */
  get size(): number {
    return countOf(this.shape)
  }

  /** The items in C order, in the byte order of the dtype. Throws a `TypeError` for Python objects (`|O`). */
  get bytes(): Uint8Array {
    if ("bytes" in this.storage) return this.storage.bytes
    throw new TypeError("Tensor.bytes: a tensor of Python objects (|O) has no bytes; use items or toNested")
  }

  /** The items of a tensor of Python objects (`|O`) in C order. Throws a `TypeError` for other dtypes. */
  get items(): ReadonlyArray<unknown> {
    if ("items" in this.storage) return this.storage.items
    throw new TypeError(`Tensor.items: a tensor of ${formatDType(this.dtype)} holds bytes; use data or toNested`)
  }

  /**
   * The items in C order as a typed array: over the bytes themselves, or over a copy when they are not aligned or
   * in the other byte order.
   *
   * Booleans are bytes of 0 and 1, complex numbers pairs of floats, `datetime64` and `timedelta64` counts of their unit.
   * Float16 is a `Float16Array` where the runtime has one (Node 24), else its bits in a `Uint16Array`. Text, bytes,
   * records, Python objects and long doubles have no typed array: reading `data` throws a `TypeError`; use `toNested`.
   */
  get data(): Data {
    this.cached ??= typedArray(this.dtype, this.bytes)
    // `make` and `schema` are what names a `Data`, and both take it from the dtype that decides here.
    return this.cached as Data
  }

  /**
   * The items as nested arrays, as deep as there are dimensions: what numpy's `tolist` gives.
   *
   * Integers that are not safe are bigints; `datetime64` and `timedelta64` always are. Complex numbers are `Complex`,
   * `S` and `V` bytes, records objects. Throws a `TypeError` for long doubles. Much slower than `data`.
   */
  toNested(): Nested {
    if ("items" in this.storage) {
      const items = this.storage.items[Symbol.iterator]()
      return nest(new DataView(new ArrayBuffer(0)), 0, this.shape, 0, () => items.next().value)
    }
    const { buffer, byteLength, byteOffset } = this.storage.bytes
    return nest(new DataView(buffer, byteOffset, byteLength), 0, this.shape, itemSize(this.dtype), reader(this.dtype))
  }

  /** The same items in another shape. Throws a `RangeError` when it has another number of them. */
  reshape(shape: ReadonlyArray<number>): Tensor<Data> {
    if (countOf(parseShape(shape)) !== this.size) {
      throw new RangeError(`Tensor.reshape: ${this.shape.join("x")} has ${this.size} items, ${shape.join("x")} has not`)
    }
    return new Tensor<Data>(this.dtype, [...shape], this.storage)
  }

  [Equal.symbol](that: unknown): boolean {
    if (!Tensor.isTensor(that) || !sameDType(this.dtype, that.dtype)) return false
    if (this.shape.length !== that.shape.length || this.shape.some((length, i) => length !== that.shape[i]))
      return false
    return "bytes" in this.storage
      ? Buffer.compare(this.storage.bytes, that.bytes) === 0
      : this.items.every((item, i) => Equal.equals(item, that.items[i]))
  }

  [Hash.symbol](): number {
    return Hash.string(this.toString())
  }

  /** `Tensor(<f8, 2x3)`. */
  toString(): string {
    return `Tensor(${formatDType(this.dtype)}, ${this.shape.length === 0 ? "no dimensions" : this.shape.join("x")})`
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString()
  }

  /** Sends tensors, and typed arrays other than `Uint8Array` as tensors of one dimension. */
  static readonly adapter: ValueAdapter<Tensor | ArrayBufferView> = {
    name: "tensor",
    is: (value): value is Tensor | ArrayBufferView =>
      Tensor.isTensor(value) || (isTypedArray(value) && !(value instanceof Uint8Array)),
    encode: (value) => {
      const tensor = Tensor.isTensor(value) ? value : isTypedArray(value) ? Tensor.make(value) : undefined
      if (tensor === undefined) throw new TypeError("expected a tensor or a typed array")
      return [tensor.dtype, tensor.shape, "bytes" in tensor.storage ? tensor.storage.bytes : tensor.storage.items]
    },
    decode: (payload) => {
      if (!Array.isArray(payload) || payload.length !== 3) throw new TypeError("expected [dtype, shape, data]")
      const [dtype, shape, data] = payload
      if (dtype === "|O") {
        const checked = parseShape(shape)
        if (!Array.isArray(data) || data.length !== countOf(checked)) {
          throw new TypeError(`expected ${countOf(checked)} items for a tensor of Python objects`)
        }
        return new Tensor(dtype, checked, { items: data })
      }
      if (!(data instanceof Uint8Array)) throw new TypeError("expected the data of a tensor as bytes")
      return Tensor.fromBytes(parseDType(dtype), parseShape(shape), data)
    }
  }
}

const nativeDTypes: ReadonlyMap<string, string> = new Map([
  ["Int8Array", "|i1"],
  ["Uint8Array", "|u1"],
  ["Uint8ClampedArray", "|u1"],
  ["Int16Array", "<i2"],
  ["Uint16Array", "<u2"],
  ["Int32Array", "<i4"],
  ["Uint32Array", "<u4"],
  ["BigInt64Array", "<i8"],
  ["BigUint64Array", "<u8"],
  ["Float16Array", "<f2"],
  ["Float32Array", "<f4"],
  ["Float64Array", "<f8"]
])

const typeName = (data: ArrayBufferView): string => Object.prototype.toString.call(data).slice(8, -1)

const isTypedArray = (value: unknown): value is TensorData =>
  ArrayBuffer.isView(value) && nativeDTypes.has(typeName(value))

const dtypeOf = (data: TensorData): string => {
  const dtype = nativeDTypes.get(typeName(data))
  if (dtype === undefined) throw new TypeError(`Tensor.make: expected a typed array, got ${typeName(data)}`)
  return dtype
}

/** The typed array of each kind and item size; complex numbers are two floats. */
const constructors: Readonly<Record<string, TensorDataConstructor<TensorData> | undefined>> = {
  b1: Uint8Array,
  i1: Int8Array,
  i2: Int16Array,
  i4: Int32Array,
  i8: BigInt64Array,
  u1: Uint8Array,
  u2: Uint16Array,
  u4: Uint32Array,
  u8: BigUint64Array,
  f2: typeof Float16Array === "undefined" ? Uint16Array : Float16Array,
  f4: Float32Array,
  f8: Float64Array,
  c8: Float32Array,
  c16: Float64Array,
  m8: BigInt64Array,
  M8: BigInt64Array
}

const typedArray = (dtype: DType, bytes: Uint8Array): TensorData => {
  const scalar = typeof dtype === "string" ? parseScalar(dtype) : undefined
  const constructor = scalar === undefined ? undefined : constructors[`${scalar.kind}${scalar.size}`]
  if (scalar === undefined || constructor === undefined) {
    throw new TypeError(`Tensor.data: ${formatDType(dtype)} has no typed array; use toNested, or bytes`)
  }
  const width = constructor.BYTES_PER_ELEMENT
  const swapped = !scalar.littleEndian && width > 1
  // A copy has memory of its own, which is aligned and may be swapped in place.
  const own = swapped || bytes.byteOffset % width !== 0 ? Uint8Array.from(bytes) : bytes
  if (swapped) swapBytes(own, width)
  return new constructor(own.buffer, own.byteOffset, own.byteLength / width)
}

const swapBytes = (bytes: Uint8Array, width: number): void => {
  for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse()
}

/** The items of nested arrays in C order. Throws a `RangeError` where one has another length than its siblings. */
const flatten = (nested: unknown, shape: ReadonlyArray<number>, depth: number, into: Array<unknown>): void => {
  const length = shape[depth]
  if (length === undefined ? Array.isArray(nested) : !Array.isArray(nested) || nested.length !== length) {
    throw new RangeError(
      `Tensor.fromNested: expected arrays of the same length throughout dimension ${depth}, got ${
        Array.isArray(nested) ? `one of ${nested.length}` : "an item"
      } instead of ${length === undefined ? "an item" : length}`
    )
  }
  if (length === undefined || !Array.isArray(nested)) into.push(nested)
  else for (const inner of nested) flatten(inner, shape, depth + 1, into)
}

const commonDType = (items: ReadonlyArray<unknown>): DType => {
  const first = items[0]
  if (items.length === 0 || typeof first === "number") return items.some(isObject) ? "<c16" : "<f8"
  if (typeof first === "boolean") return "|b1"
  if (typeof first === "bigint") return "<i8"
  if (typeof first === "string") {
    const longest = items.reduce<number>(
      (most, item) => Math.max(most, typeof item === "string" ? [...item].length : 0),
      1
    )
    return `<U${longest}`
  }
  if (isObject(first)) return "<c16"
  throw new TypeError(`Tensor.fromNested: expected numbers, booleans, bigints, Complex or strings, got ${typeof first}`)
}

const isObject = (item: unknown): boolean => typeof item === "object" && item !== null
