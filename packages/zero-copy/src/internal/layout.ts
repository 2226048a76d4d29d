/** Where the items of a tensor are in its bytes: offset and strides, as numpy has them, and what slicing does to them. */

/** Where the first item is, and how far it is to the next in each dimension, in bytes. */
export interface View {
  readonly offset: number
  readonly strides: ReadonlyArray<number>
}

/** What to take of one dimension: an index, `[start, stop, step]` with null for "as far as it goes", or null for all. */
export type Range = number | readonly [start?: number | null, stop?: number | null, step?: number] | null

/** The strides of items in C order without gaps. */
export const contiguous = (shape: ReadonlyArray<number>, size: number): ReadonlyArray<number> => {
  const strides = new Array<number>(shape.length)
  let stride = size
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride
    stride *= shape[axis] ?? 1
  }
  return strides
}

/** Whether the items stand in C order without gaps. Dimensions of one item have no say in it. */
export const isContiguous = (
  { shape, strides }: { readonly shape: ReadonlyArray<number>; readonly strides: ReadonlyArray<number> },
  size: number
): boolean => {
  let stride = size
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const length = shape[axis] ?? 1
    if (length === 0) return true
    if (length !== 1 && strides[axis] !== stride) return shape.includes(0)
    stride *= length
  }
  return true
}

/** Copies the items, in C order. */
export const gather = (
  bytes: Uint8Array,
  shape: ReadonlyArray<number>,
  view: View,
  size: number,
  into: Uint8Array
): void => {
  let position = 0
  const level = (axis: number, at: number): void => {
    const length = shape[axis]
    if (length === undefined) {
      for (let i = 0; i < size; i++) into[position + i] = bytes[at + i] ?? 0
      position += size
      return
    }
    const stride = view.strides[axis] ?? 0
    if (axis === shape.length - 1 && stride === size) {
      into.set(bytes.subarray(at, at + length * size), position)
      position += length * size
      return
    }
    for (let i = 0; i < length; i++) level(axis + 1, at + i * stride)
  }
  if (!shape.includes(0)) level(0, view.offset)
}

/** The shape and view of a part. */
export const slice = (
  shape: ReadonlyArray<number>,
  view: View,
  ranges: ReadonlyArray<Range>
): { readonly shape: ReadonlyArray<number>; readonly view: View } => {
  if (ranges.length > shape.length) {
    throw new RangeError(`Tensor.slice: ${ranges.length} ranges for ${shape.length} dimensions`)
  }
  let offset = view.offset
  const lengths: Array<number> = []
  const strides: Array<number> = []
  for (const [axis, length] of shape.entries()) {
    const range = ranges[axis] ?? null
    const stride = view.strides[axis] ?? 0
    if (typeof range === "number") {
      const index = range < 0 ? range + length : range
      if (!Number.isInteger(range) || index < 0 || index >= length) {
        throw new RangeError(`Tensor.slice: index ${range} is out of range for dimension ${axis} of length ${length}`)
      }
      offset += index * stride
      continue
    }
    const [start, stop, step = 1] = range ?? []
    if (!Number.isInteger(step) || step === 0) {
      throw new RangeError(`Tensor.slice: expected a step that is a whole number other than 0, got ${step}`)
    }
    const first = bound(start, step > 0 ? 0 : length - 1, length, step)
    const last = bound(stop, step > 0 ? length : -1, length, step)
    const count = Math.max(0, Math.ceil((last - first) / step))
    if (count > 0) offset += first * stride
    lengths.push(count)
    strides.push(stride * step)
  }
  return { shape: lengths, view: { offset, strides } }
}

/** A start or stop within the dimension, as Python's `slice.indices` has it. */
const bound = (given: number | null | undefined, fallback: number, length: number, step: number): number => {
  if (given === null || given === undefined) return fallback
  const at = given < 0 ? given + length : given
  return step > 0 ? Math.min(Math.max(at, 0), length) : Math.min(Math.max(at, -1), length - 1)
}

/** The shape and view with the dimensions in another order. */
export const transpose = (
  shape: ReadonlyArray<number>,
  view: View,
  axes: ReadonlyArray<number>
): { readonly shape: ReadonlyArray<number>; readonly view: View } => {
  const sorted = [...axes].sort((a, b) => a - b)
  if (sorted.length !== shape.length || sorted.some((axis, i) => axis !== i)) {
    throw new RangeError(
      `Tensor.transpose: expected the axes 0 to ${shape.length - 1} in some order, got ${axes.join(", ")}`
    )
  }
  return {
    shape: axes.map((axis) => shape[axis] ?? 0),
    view: { offset: view.offset, strides: axes.map((axis) => view.strides[axis] ?? 0) }
  }
}
