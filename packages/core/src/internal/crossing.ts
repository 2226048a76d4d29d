/**
 * What a value becomes when it crosses between TypeScript and Python, without bytes: for workers that have no wire.
 *
 * What comes out is a copy, so that neither side sees the other's changes, and what the real codec would have made of the
 * value: `undefined` is null, a safe bigint a number, a Map with string keys an object. What has no row in the value table is
 * handed to `unknown`. Tensors and tables are known by their adapters, or by being typed arrays; they are not copied.
 */
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Float } from "../Float.ts"
import { isPyRef, type PyRef } from "../PyRef.ts"
import { Tuple } from "../Tuple.ts"
import type { ValueAdapter } from "../ValueAdapter.ts"

/** What is done with values that are more than data. */
export interface Crossing {
  readonly adapters: ReadonlyArray<ValueAdapter>
  /** Makes a callable of a function. Without it functions are unknown, and objects that hold functions are too. */
  readonly callable: ((fn: CallableFunction) => unknown) | undefined
  readonly ref: (ref: PyRef) => unknown
  /** Takes what has no form on the other side: answers a substitute, or throws. */
  readonly unknown: (value: unknown, path: string, actual: string, reason: string) => unknown
}

const maxDepth = 512

/** The value as the other side sees it. `root` is what paths in failures begin with. */
export const cross = (value: unknown, root: string, crossing: Crossing): unknown => {
  const ancestors = new Map<object, string>()

  const walk = (item: unknown, path: string): unknown => {
    switch (typeof item) {
      case "undefined":
        return null
      case "bigint":
        return Number.isSafeInteger(Number(item)) ? Number(item) : item
      case "symbol":
        return crossing.unknown(
          item,
          path,
          String(item),
          "A symbol means nothing in another process; send its description."
        )
      case "function":
        return callable(item, path)
      case "object":
        return item === null ? null : enter(item, path)
      default:
        return item
    }
  }

  const callable = (fn: CallableFunction, path: string): unknown => {
    if (Function.prototype.toString.call(fn).startsWith("class")) {
      return crossing.unknown(fn, path, nameOf(fn), "A class cannot be called from Python; wrap it in a function.")
    }
    return crossing.callable === undefined
      ? crossing.unknown(fn, path, nameOf(fn), "A function can be an argument of a call, and nothing else.")
      : crossing.callable(fn)
  }

  const enter = (container: object, path: string): unknown => {
    const before = ancestors.get(container)
    if (before !== undefined) {
      return crossing.unknown(
        container,
        path,
        `a reference back to ${before}`,
        "Cyclic structures cannot cross; send ids instead of references."
      )
    }
    if (ancestors.size >= maxDepth) {
      return crossing.unknown(
        container,
        path,
        `a value nested deeper than ${maxDepth}`,
        `Values nest at most ${maxDepth} deep; send a flat list with indices instead.`
      )
    }
    ancestors.set(container, path)
    const result = object(container, path)
    ancestors.delete(container)
    return result
  }

  const object = (container: object, path: string): unknown => {
    if (Array.isArray(container)) {
      const items = Array.from(container, (item: unknown, index) => walk(item, `${path}[${index}]`))
      return Tuple.isTuple(container) ? Tuple.fromArray(items) : items
    }
    if (isRecord(container)) return record(container, path)
    if (container instanceof Map) return map(container, path)
    if (container instanceof Set) {
      return new Set([...container].map((member: unknown, index) => walk(member, `${path}.values()[${index}]`)))
    }
    if (container instanceof Uint8Array) return container.slice()
    if (container instanceof ArrayBuffer) return new Uint8Array(container.slice())
    if (container instanceof DataView) {
      return new Uint8Array(container.buffer, container.byteOffset, container.byteLength).slice()
    }
    if (isPyRef(container)) return crossing.ref(container)
    return instance(container, path)
  }

  const record = (container: Readonly<Record<string, unknown>>, path: string): unknown => {
    if (crossing.callable === undefined && Object.values(container).some((member) => typeof member === "function")) {
      return crossing.unknown(
        container,
        path,
        "an object with methods",
        "Only its data can cross; answer that instead."
      )
    }
    const copy: Record<string, unknown> = {}
    for (const [key, member] of Object.entries(container)) define(copy, key, walk(member, path + keySegment(key)))
    return copy
  }

  const map = (container: ReadonlyMap<unknown, unknown>, path: string): unknown => {
    const entries = [...container].map(
      ([key, member], index) =>
        [
          walk(key, `${path}.keys()[${index}]`),
          walk(member, `${path}.get(${typeof key === "string" ? JSON.stringify(key) : String(key)})`)
        ] as const
    )
    if (!entries.every(([key]) => typeof key === "string")) return new Map(entries)
    const copy: Record<string, unknown> = {}
    for (const [key, member] of entries) define(copy, String(key), member)
    return copy
  }

  const instance = (item: object, path: string): unknown => {
    if (Float.isFloat(item)) return item.value
    if (item instanceof Date) {
      return Number.isNaN(item.getTime())
        ? crossing.unknown(item, path, "an invalid Date", "Send a valid date, or null.")
        : DateTime.fromDateUnsafe(item)
    }
    if (Duration.isDuration(item)) {
      return Duration.isFinite(item)
        ? item
        : crossing.unknown(
            item,
            path,
            "an infinite Duration",
            "Python's timedelta is finite; send null or a number instead."
          )
    }
    const isEffectValue = DateTime.isDateTime(item) || BigDecimal.isBigDecimal(item)
    if (
      isEffectValue ||
      isOurs(item) ||
      ArrayBuffer.isView(item) ||
      crossing.adapters.some((adapter) => adapter.is(item))
    ) {
      return item
    }
    if (item instanceof Promise) return crossing.unknown(item, path, "a Promise", "Await it first.")
    if (Effect.isEffect(item)) {
      return crossing.unknown(item, path, "an Effect", "Run it first, and send what it succeeds with.")
    }
    return crossing.unknown(
      item,
      path,
      `an instance of ${item.constructor?.name ?? "a class without name"}`,
      "Send a plain object, encode it with its Schema first, or provide a ValueAdapter for its class."
    )
  }

  return walk(value, root)
}

const nameOf = (fn: CallableFunction): string => {
  const name: unknown = Reflect.get(fn, "name")
  return typeof name === "string" && name !== "" ? `the function ${name}` : "a function"
}

// `Complex`, `PlainDate`, tensors and the like carry a type id of our packages; what they hold is the real codec's business.
const isOurs = (value: object): boolean => {
  for (const key in value) if (key.startsWith("~@snakepit/")) return true
  let prototype: unknown = Object.getPrototypeOf(value)
  while (typeof prototype === "object" && prototype !== null) {
    if (Object.getOwnPropertyNames(prototype).some((name) => name.startsWith("~@snakepit/"))) return true
    prototype = Object.getPrototypeOf(prototype)
  }
  return false
}

/** Whether a value is a plain object. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

// not an assignment: the key `__proto__` is data
const define = (target: object, key: string, value: unknown): void => {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true })
}

const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u

const keySegment = (key: string): string => (identifier.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`)
