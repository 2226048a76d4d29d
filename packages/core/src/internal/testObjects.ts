/**
 * Plain JavaScript values with the manners of Python objects: attributes, items, iteration and context managers, with the
 * exceptions that Python would raise. For the test worker; nothing here crosses anything.
 */
import * as Stream from "effect/Stream"
import * as PythonError from "../PythonError.ts"
import { Tuple } from "../Tuple.ts"
import { isRecord } from "./crossing.ts"

/** Something to call, and what `this` is in it. */
export interface Member {
  readonly value: unknown
  readonly owner: unknown
}

// Which class an object is of, when the target that made it says so.
const types = new WeakMap<object, string>()

/** Names the class of an object that a target made. */
export const setType = (value: unknown, type: string): void => {
  if (typeof value === "object" && value !== null && !types.has(value)) types.set(value, type)
}

/** Qualified name of the Python class that a value would be of. */
export const typeOf = (value: unknown): string => {
  switch (typeof value) {
    case "undefined":
      return "NoneType"
    case "boolean":
      return "bool"
    case "string":
      return "str"
    case "number":
      return Number.isSafeInteger(value) ? "int" : "float"
    case "bigint":
      return "int"
    case "function":
      return "function"
    case "symbol":
      return "object"
    case "object":
      return value === null ? "NoneType" : typeOfObject(value)
  }
}

const typeOfObject = (value: object): string => {
  const known = types.get(value)
  if (known !== undefined) return known
  if (Tuple.isTuple(value)) return "tuple"
  if (Array.isArray(value)) return "list"
  if (value instanceof Set) return "set"
  if (value instanceof Uint8Array) return "bytes"
  if (value instanceof Map || isData(value)) return "dict"
  const name = value.constructor?.name
  return name === undefined || name === "Object" ? "object" : name
}

/** A plain object without methods: Python's dict. */
const isData = (value: object): value is Record<string, unknown> =>
  isRecord(value) && !Object.values(value).some((member) => typeof member === "function")

const repr = (value: unknown): string => (typeof value === "string" ? `'${value}'` : String(value))

const isContainer = (value: object): boolean =>
  Array.isArray(value) || value instanceof Map || value instanceof Set || ArrayBuffer.isView(value)

/** An attribute. `undefined` when there is none: an attribute that holds `undefined` is Python's None. */
export const member = (owner: unknown, name: string): Member | undefined => {
  if (typeof owner !== "object" || owner === null || isContainer(owner)) return undefined
  if (!(name in owner) || (name in Object.prototype && !Object.hasOwn(owner, name))) return undefined
  return { value: Reflect.get(owner, name), owner }
}

/** An attribute that is there, or Python's AttributeError. */
export const requireMember = (owner: unknown, name: string): Member => {
  const found = member(owner, name)
  if (found !== undefined) return found
  throw PythonError.of("AttributeError", `'${typeOf(owner)}' object has no attribute '${name}'`)
}

/** `owner.name = value`. */
export const setMember = (owner: unknown, name: string, value: unknown): void => {
  if (typeof owner !== "object" || owner === null || isContainer(owner) || !Reflect.set(owner, name, value)) {
    throw PythonError.of("AttributeError", `'${typeOf(owner)}' object has no attribute '${name}'`)
  }
}

/** `owner[key]`, for what has no `__getitem__` of its own. */
export const getItem = (owner: unknown, key: unknown): unknown => {
  if (Array.isArray(owner)) return owner[indexOf(owner, key)]
  if (owner instanceof Map) {
    if (owner.has(key)) return owner.get(key)
    throw PythonError.of("KeyError", repr(key), { args: [key] })
  }
  if (typeof owner === "object" && owner !== null && isData(owner)) {
    if (typeof key === "string" && Object.hasOwn(owner, key)) return owner[key]
    throw PythonError.of("KeyError", repr(key), { args: [key] })
  }
  throw PythonError.of("TypeError", `'${typeOf(owner)}' object is not subscriptable`)
}

/** `owner[key] = value`, for what has no `__setitem__` of its own. */
export const setItem = (owner: unknown, key: unknown, value: unknown): void => {
  if (Array.isArray(owner) && !Tuple.isTuple(owner)) owner[indexOf(owner, key)] = value
  else if (owner instanceof Map) owner.set(key, value)
  else if (typeof owner === "object" && owner !== null && isData(owner) && typeof key === "string") owner[key] = value
  else throw PythonError.of("TypeError", `'${typeOf(owner)}' object does not support item assignment`)
}

const indexOf = (list: ReadonlyArray<unknown>, key: unknown): number => {
  if (typeof key !== "number" || !Number.isInteger(key)) {
    throw PythonError.of("TypeError", `${typeOf(list)} indices must be integers or slices, not ${typeOf(key)}`)
  }
  const index = key < 0 ? key + list.length : key
  if (index >= 0 && index < list.length) return index
  throw PythonError.of("IndexError", `${typeOf(list)} index out of range`)
}

/** What can be iterated over, in the ways that JavaScript has. */
export type Iteration = Stream.Stream<unknown, unknown> | AsyncIterable<unknown> | Iterable<unknown>

/** Whether iterating over a value takes more than one step of the event loop: Python's asynchronous generators. */
export const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === "object" && value !== null && Symbol.asyncIterator in value

/** `iter(value)`, for what has no `__iter__` of its own. Maps and plain data give their keys, as dicts do. */
export const iterate = (value: unknown): Iteration => {
  if (Stream.isStream(value)) return value as Stream.Stream<unknown, unknown> // a fake's stream needs no services: its type says so
  if (isAsyncIterable(value)) return value
  if (value instanceof Map) return value.keys()
  if (typeof value === "string") return value
  if (typeof value === "object" && value !== null) {
    if (Symbol.iterator in value) return value as Iterable<unknown> // the property has just been found
    if (isData(value)) return Object.keys(value)
  }
  throw PythonError.of("TypeError", `'${typeOf(value)}' object is not iterable`)
}
