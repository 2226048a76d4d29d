/** Reads options of one pool and notes the first that does not hold. Keys are paths below the pool, like `crashBarrier.retry`. */
import type * as Duration from "effect/Duration"

export interface OptionReader {
  readonly refuse: (key: string, value: unknown, expected: string) => void
  readonly integer: (key: string, value: unknown, fallback: number, minimum: number) => number
  /** A duration, in milliseconds. */
  readonly millis: (key: string, value: Duration.Input | undefined, fallback: number) => number
  readonly oneOf: <const A extends string>(key: string, value: A | undefined, fallback: A, all: ReadonlyArray<A>) => A
}

/** Whether the value is an object with known keys only; refuses it otherwise. */
export const readKeys = (reader: OptionReader, key: string, value: unknown, known: ReadonlyArray<string>): boolean => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    reader.refuse(key, value, `an object with keys of: ${known.join(", ")}`)
    return false
  }
  for (const [name, inner] of Object.entries(value)) {
    if (!known.includes(name)) reader.refuse(`${key}.${name}`, inner, `a known key: ${known.join(", ")}`)
  }
  return true
}

export const readBoolean = (reader: OptionReader, key: string, value: unknown, fallback: boolean): boolean => {
  if (value === undefined || typeof value === "boolean") return value ?? fallback
  reader.refuse(key, value, "a boolean")
  return fallback
}

/** A list whose elements all hold; `expected` says what the list is. */
export const readList = <A>(
  reader: OptionReader,
  key: string,
  value: unknown,
  fallback: ReadonlyArray<A>,
  holds: (element: unknown) => element is A,
  expected: string
): ReadonlyArray<A> => {
  if (value === undefined) return fallback
  if (Array.isArray(value) && value.every(holds)) return value
  reader.refuse(key, value, expected)
  return fallback
}
