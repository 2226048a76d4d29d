/// <reference lib="esnext.float16" preserve="true" />
/**
 * An array of numbers in any number of dimensions: what numpy's `ndarray` is in TypeScript.
 *
 * A tensor is bytes, a dtype that says what they mean, a shape, and strides that say where in the bytes an item is. The
 * bytes are memory of this process, or shared with the workers ({@link Tensor.make}): then Python sees an `ndarray` over the very
 * same bytes. Items arrive as they left Python, byte order included, and nothing is converted before it is looked at: `data` is
 * a typed array over the bytes, `toNested` makes arrays of JavaScript values. Tables with named columns are `Table`.
 */
import type { ValueAdapter } from "@snakepit/core"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
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
import * as Layout from "./internal/layout.ts"
import { SharedMemory } from "./SharedMemory.ts"
import { Lease } from "./Lease.ts"
import { type Bytes, bytesOf, isBytes, Part, Unwritten } from "./Storage.ts"
import type { SharedMemoryExhausted, ZeroCopyUnavailable } from "./ZeroCopyError.ts"

export type { DType, Field } from "./internal/dtype.ts"
export type { Range } from "./internal/layout.ts"

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
type Storage = { readonly bytes: Bytes } | { readonly items: ReadonlyArray<unknown> }

/** Where a tensor in shared memory is made, and what Python may do with it. */
export interface SharedOptions {
  /** Whose calls it is for. Defaults to `default`. In a call of another pool it is copied. */
  readonly pool?: string | undefined
  /** Whether Python may write to it. Defaults to false: its ndarray is read-only. */
  readonly writable?: boolean | undefined
}

const TypeId = "~@snakepit/zero-copy/Tensor"

/** An n-dimensional array. */
export class Tensor<out Data extends TensorData = TensorData> implements Equal.Equal {
  /** numpy's `dtype.str`, like `"<f8"`, or the fields of a record, or `"bfloat16"`. */
  readonly dtype: DType
  /** Length of each dimension; empty for a tensor of one item without dimensions. */
  readonly shape: ReadonlyArray<number>
  /** Bytes from one item to the next in each dimension; negative where it is looked at backwards. */
  readonly strides: ReadonlyArray<number>
  /** Where the items are: in memory that this process can read. Tensors on accelerators are `DeviceTensor`. */
  readonly device = "cpu"
  /** Where the first item is, in bytes from the beginning of the memory. */
  readonly offset: number
  private readonly storage: Storage
  private cached: TensorData | undefined

  private constructor(dtype: DType, shape: ReadonlyArray<number>, storage: Storage, view?: Layout.View) {
    this.dtype = dtype
    this.shape = shape
    this.storage = storage
    this.strides = view?.strides ?? Layout.contiguous(shape, itemSize(dtype))
    this.offset = view?.offset ?? 0
  }

  static readonly isTensor = (value: unknown): value is Tensor => Predicate.hasProperty(value, TypeId)

  /**
   * A tensor of zeros in shared memory, which ends with the scope: fill its `data`, pass it to Python, and nothing is copied.
   *
   * Takes a constructor of typed arrays, or a dtype. Fails with `SharedMemoryExhausted` when the pool's `maxSharedMemory` is in
   * use, or waits, as its option `whenFull` says. Where memory cannot be shared the tensor is made of ordinary memory, which is
   * copied with each call: that is logged once, and `copied` is true. With `strict`, and in a pool that is closed, it fails with
   * `ZeroCopyUnavailable`. A dtype that numpy does not have, or a shape of other than non-negative integers, is a mistake in the
   * program: a defect.
   */
  static make<Data extends TensorData>(
    dtype: TensorDataConstructor<Data>,
    shape: ReadonlyArray<number>,
    options?: SharedOptions
  ): Effect.Effect<Tensor<Data>, SharedMemoryExhausted | ZeroCopyUnavailable, SharedMemory | Scope.Scope>
  static make(
    dtype: DType,
    shape: ReadonlyArray<number>,
    options?: SharedOptions
  ): Effect.Effect<Tensor, SharedMemoryExhausted | ZeroCopyUnavailable, SharedMemory | Scope.Scope>
  static make(
    dtype: TensorDataConstructor<TensorData> | DType,
    shape: ReadonlyArray<number>,
    options: SharedOptions = {}
  ): Effect.Effect<Tensor, SharedMemoryExhausted | ZeroCopyUnavailable, SharedMemory | Scope.Scope> {
    return Effect.suspend(() => allocate(dtypeFrom(dtype), shape, options, (bytes) => bytes.fill(0)))
  }

  /** A tensor in shared memory with the items of a typed array: they are copied, once. Otherwise as {@link Tensor.make}. */
  static from<Data extends TensorData>(
    data: Data,
    shape: ReadonlyArray<number> = [data.length],
    options: SharedOptions = {}
  ): Effect.Effect<Tensor<Data>, SharedMemoryExhausted | ZeroCopyUnavailable, SharedMemory | Scope.Scope> {
    return Effect.suspend(() => Tensor.share(Tensor.of(data, shape), options))
  }

  /**
   * A tensor in shared memory with the items of another: they are written there once.
   *
   * @internal
   */
  static share<Data extends TensorData>(
    tensor: Tensor<Data>,
    options: SharedOptions
  ): Effect.Effect<Tensor<Data>, SharedMemoryExhausted | ZeroCopyUnavailable, SharedMemory | Scope.Scope> {
    const made = allocate(tensor.dtype, tensor.shape, options, (room) => tensor.writeTo(room))
    // it has the dtype of `tensor`, which is what `Data` names
    return made as Effect.Effect<Tensor<Data>, SharedMemoryExhausted | ZeroCopyUnavailable, SharedMemory | Scope.Scope>
  }

  /**
   * A tensor over a typed array: the memory is the array's own, nothing is copied before it crosses. One dimension unless a
   * shape is given.
   *
   * Throws a `RangeError` when the shape has another number of items than the array.
   */
  static of<Data extends TensorData>(data: Data, shape: ReadonlyArray<number> = [data.length]): Tensor<Data> {
    const items = countOf(parseShape(shape))
    if (items !== data.length) {
      throw new RangeError(`Tensor.of: the shape ${shape.join("x")} has ${items} items, the array ${data.length}`)
    }
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return new Tensor<Data>(dtypeOf(data), [...shape], { bytes })
  }

  /**
   * A tensor of any dtype over its bytes in C order, which are shared, not copied.
   *
   * Throws a `TypeError` for a dtype that numpy does not have, and a `RangeError` when the size is wrong.
   */
  static fromBytes(dtype: DType, shape: ReadonlyArray<number>, bytes: Bytes): Tensor {
    const checked = parseDType(dtype)
    if (checked === "|O") throw new TypeError("Tensor.fromBytes: Python objects have no bytes; use Tensor.fromNested")
    const expected = countOf(parseShape(shape)) * itemSize(checked)
    if (bytes.byteLength !== expected) {
      throw new RangeError(
        `Tensor.fromBytes: expected ${expected} bytes for ${formatDType(checked)} of shape ${shape.join("x")}, got ${bytes.byteLength}`
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

  /** Whether Python sees copies of the items, rather than the items: they are not in shared memory. */
  get copied(): boolean {
    return this.lease === undefined
  }

  /** Whether Python may not write to the items. */
  get readonly(): boolean {
    return this.lease?.isWritable !== true
  }

  /** Whether the items can still be looked at; false once the lease of their shared memory has ended. */
  get isOpen(): boolean {
    return this.lease?.isOpen !== false
  }

  /** The shared memory it is in, if it is. */
  get lease(): Lease | undefined {
    return "bytes" in this.storage && this.storage.bytes instanceof Lease ? this.storage.bytes : undefined
  }

  /** Whether the items stand in C order without gaps, so that `data` and `bytes` are views. */
  get isContiguous(): boolean {
    return Layout.isContiguous(this, itemSize(this.dtype))
  }

  /**
   * The items in C order, in the byte order of the dtype; a copy when they stand otherwise (`isContiguous`). Throws a
   * `TypeError` for Python objects (`|O`), and `LeaseClosed` when they were in shared memory that has been given back.
   */
  get bytes(): Uint8Array {
    if (!("bytes" in this.storage)) {
      throw new TypeError("Tensor.bytes: a tensor of Python objects (|O) has no bytes; use items or toNested")
    }
    const bytes = bytesOf(this.storage.bytes)
    const size = itemSize(this.dtype)
    const length = this.size * size
    if (this.isContiguous) {
      return length === bytes.byteLength ? bytes : bytes.subarray(this.offset, this.offset + length)
    }
    const copy = new Uint8Array(length)
    Layout.gather(bytes, this.shape, this, size, copy)
    return copy
  }

  /** The items of a tensor of Python objects (`|O`) in C order. Throws a `TypeError` for other dtypes. */
  get items(): ReadonlyArray<unknown> {
    if ("items" in this.storage) return this.storage.items
    throw new TypeError(`Tensor.items: a tensor of ${formatDType(this.dtype)} holds bytes; use data or toNested`)
  }

  /**
   * The items in C order as a typed array: over the bytes themselves, or over a copy when they are not aligned, not
   * contiguous or in the other byte order. Of items in shared memory a copy is made anew each time: they may have changed.
   *
   * Booleans are bytes of 0 and 1, complex numbers pairs of floats, `datetime64` and `timedelta64` counts of their unit.
   * Float16 is a `Float16Array` where the runtime has one (Node 24), else its bits in a `Uint16Array`; bfloat16 is its bits in
   * a `Uint16Array`. Text, bytes,
   * records, Python objects and long doubles have no typed array: reading `data` throws a `TypeError`; use `toNested`.
   */
  get data(): Data {
    // asked first, for the error of a lease that has ended
    const lease = this.lease
    if (lease?.isOpen === false) void lease.bytes
    // `make` and `schema` are what names a `Data`, and both take it from the dtype that decides here.
    if (this.cached !== undefined) return this.cached as Data
    const data = typedArray(this.dtype, this.bytes)
    if (lease === undefined || data.buffer === lease.bytes.buffer) this.cached = data
    return data as Data
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
    const { buffer, byteLength, byteOffset } = this.bytes
    return nest(new DataView(buffer, byteOffset, byteLength), 0, this.shape, itemSize(this.dtype), reader(this.dtype))
  }

  /**
   * The same items in another shape, without copying. Throws a `RangeError` when it has another number of them, or when they
   * are not contiguous: `toOwned` makes a tensor of them that is.
   */
  reshape(shape: ReadonlyArray<number>): Tensor<Data> {
    if (countOf(parseShape(shape)) !== this.size) {
      throw new RangeError(`Tensor.reshape: ${this.shape.join("x")} has ${this.size} items, ${shape.join("x")} has not`)
    }
    if ("items" in this.storage) return new Tensor<Data>(this.dtype, [...shape], this.storage)
    if (!this.isContiguous) {
      throw new RangeError(
        "Tensor.reshape: the items are not contiguous; reshape the tensor that `toOwned` makes of them"
      )
    }
    const strides = Layout.contiguous(shape, itemSize(this.dtype))
    return new Tensor<Data>(this.dtype, [...shape], this.storage, { offset: this.offset, strides })
  }

  /**
   * A part of the items, without copying, as numpy's basic indexing gives it: for each dimension an index, which removes it, or
   * `[start, stop, step]`, or null for all of it. Negative numbers count from the end; dimensions that are not named stay whole.
   *
   * Throws a `RangeError` for more ranges than dimensions, an index out of range, or a step of 0.
   */
  slice(...ranges: ReadonlyArray<Layout.Range>): Tensor<Data> {
    const { shape, view } = Layout.slice(this.shape, this, ranges)
    return new Tensor<Data>(this.dtype, shape, this.withBytes("slice"), view)
  }

  /** The dimensions in another order, reversed unless one is given, without copying. */
  transpose(axes: ReadonlyArray<number> = this.shape.map((_, axis) => this.shape.length - 1 - axis)): Tensor<Data> {
    const { shape, view } = Layout.transpose(this.shape, this, axes)
    return new Tensor<Data>(this.dtype, shape, this.withBytes("transpose"), view)
  }

  /** The items in C order, written to room that is exactly as large. */
  private writeTo(room: Uint8Array): void {
    if (!("bytes" in this.storage)) return
    const bytes = bytesOf(this.storage.bytes)
    const length = room.byteLength
    if (!this.isContiguous) Layout.gather(bytes, this.shape, this, itemSize(this.dtype), room)
    else room.set(length === bytes.byteLength ? bytes : bytes.subarray(this.offset, this.offset + length))
  }

  private withBytes(operation: string): Storage {
    if ("bytes" in this.storage) return this.storage
    throw new TypeError(`Tensor.${operation}: a tensor of Python objects (|O) has no strides; use items`)
  }

  /** A copy in memory of this process, contiguous, which no scope ends. */
  toOwned(): Tensor<Data> {
    if ("items" in this.storage) return this
    return new Tensor<Data>(this.dtype, this.shape, { bytes: Uint8Array.from(this.bytes) })
  }

  /**
   * Ends the lease of its shared memory before its scope does; tensors that were made of it by `slice` or `reshape` end too. Does
   * nothing for a tensor that is not in shared memory. Throws `LeaseClosed` when it has ended already.
   */
  close(): void {
    this.cached = undefined
    this.lease?.close()
  }

  [Equal.symbol](that: unknown): boolean {
    if (!Tensor.isTensor(that) || !sameDType(this.dtype, that.dtype)) return false
    if (this.shape.length !== that.shape.length || this.shape.some((length, i) => length !== that.shape[i]))
      return false
    return "bytes" in this.storage
      ? Buffer.compare(this.bytes, that.bytes) === 0
      : this.items.every((item, i) => Equal.equals(item, that.items[i]))
  }

  [Hash.symbol](): number {
    return Hash.string(this.toString())
  }

  /** `Tensor(<f8, 2x3)`. */
  toString(): string {
    return `Tensor(${formatDType(this.dtype)}, ${this.shape.length === 0 ? "no dimensions" : this.shape.join("x")})`
  }

  /** For logs: what it is, without its items. */
  toJSON(): { readonly _id: string; readonly dtype: DType; readonly shape: ReadonlyArray<number> } {
    return { _id: "Tensor", dtype: this.dtype, shape: this.shape }
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
      const tensor = Tensor.isTensor(value) ? value : isTypedArray(value) ? Tensor.of(value) : undefined
      if (tensor === undefined) throw new TypeError("expected a tensor or a typed array")
      const { dtype, shape, storage } = tensor
      if ("items" in storage) return [dtype, shape, storage.items]
      const { bytes } = storage
      const length = tensor.size * itemSize(dtype)
      if (!(bytes instanceof Lease)) {
        return [dtype, shape, new Unwritten(length, (room) => tensor.writeTo(room))]
      }
      if (tensor.isContiguous) return [dtype, shape, new Part(bytes, tensor.offset, length)]
      return [dtype, shape, new Part(bytes), [tensor.offset, tensor.strides]]
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
      if (!isBytes(data)) throw new TypeError("expected the data of a tensor as bytes")
      return Tensor.fromBytes(parseDType(dtype), parseShape(shape), data)
    }
  }
}

/** Makes a tensor in the shared memory of a pool, or in ordinary memory where there is none. */
const allocate = (
  dtype: DType,
  shape: ReadonlyArray<number>,
  options: SharedOptions,
  fill: (bytes: Uint8Array) => unknown
): Effect.Effect<Tensor, SharedMemoryExhausted | ZeroCopyUnavailable, SharedMemory | Scope.Scope> =>
  Effect.gen(function* () {
    const bytes = countOf(parseShape(shape)) * itemSize(dtype)
    const memory = yield* (yield* SharedMemory).pool(options.pool)
    const made = (yield* memory.leaseIfPossible(bytes, options.writable === true)) ?? new Uint8Array(bytes)
    fill(bytesOf(made))
    return Tensor.fromBytes(dtype, shape, made)
  })

const dtypeFrom = (dtype: TensorDataConstructor<TensorData> | DType): DType => {
  if (typeof dtype !== "function") return parseDType(dtype)
  const native = nativeDTypes.get(dtype.name)
  if (native === undefined) throw new TypeError(`Tensor.make: expected a typed array or a dtype, got ${dtype.name}`)
  return native
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
  if (dtype === undefined) throw new TypeError(`Tensor.of: expected a typed array, got ${typeName(data)}`)
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
  bfloat2: Uint16Array,
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
