/**
 * A readonly array that goes to Python as a `tuple`. A plain array goes as a `list`.
 *
 * Python's tuples arrive as `Tuple`, so that a value that is sent back is what it was. `Array.isArray` holds and
 * `Schema.Array` and `Schema.Tuple` decode it; what they and `map`, `filter` or `slice` return is a plain array.
 */
import * as Schema from "effect/Schema"

const TypeId = "~@snakepit/core/Tuple"

/** A readonly array that goes to Python as a `tuple`. */
export type Tuple<Items extends ReadonlyArray<unknown> = ReadonlyArray<unknown>> = Items & {
  readonly [TypeId]: typeof TypeId
}

// An Array subclass, because that is what makes `Array.isArray` hold.
class TupleArray extends Array<unknown> {
  // What is derived from a tuple is a plain array: `tuple.map(f)` has no reason to be a tuple again.
  static override get [Symbol.species](): ArrayConstructor {
    return Array
  }

  get [TypeId](): typeof TypeId {
    return TypeId
  }
}

// What `util.inspect` and errors print.
Object.defineProperty(TupleArray, "name", { value: "Tuple" })

/** The prototype that all tuples share; the codec compares it, which is the cheapest test there is. */
const prototype: object = TupleArray.prototype

const isTuple = (value: unknown): value is Tuple =>
  Array.isArray(value) && (Object.getPrototypeOf(value) === prototype || TypeId in value)

const fromArray = <const Items extends ReadonlyArray<unknown>>(items: Items): Tuple<Items> => {
  const tuple = new TupleArray()
  for (let i = 0; i < items.length; i++) tuple.push(items[i])
  // A TupleArray holding the very items of `Items`, so it is one, with the brand that its prototype carries.
  return tuple as unknown as Tuple<Items>
}

const schema: Schema.declare<Tuple> = Schema.declare(isTuple, { identifier: "Tuple" })

export const Tuple = {
  /** `Tuple.make(1, "a")` arrives in Python as `(1, "a")`. */
  make: <const Items extends ReadonlyArray<unknown>>(...items: Items): Tuple<Items> => fromArray(items),

  /** Copies an array into a tuple. */
  fromArray,

  isTuple,

  /** Any tuple, and nothing else: decode with `Schema.Tuple` instead where a list will do as well. */
  schema
} as const
