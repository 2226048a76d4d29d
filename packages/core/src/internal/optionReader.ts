/** Reads options and notes the first that does not hold. Keys are paths, like `crashBarrier.retry`, below that of the reader. */
import * as Effect from "effect/Effect"
import { ConfigError } from "../SnakepitError.ts"
import { durationForms, longestTimer, millisOf } from "./duration.ts"
import { show } from "./show.ts"

/**
 * What a configuration was given, or one part of it, value by value: each method answers the value when it holds, the fallback
 * when it is absent, and otherwise notes why not.
 */
export class OptionReader {
  private readonly path: string
  private failure: ConfigError | undefined

  /** `path` is where the options stand, like `pools.default`; without it they are the whole configuration. */
  constructor(path = "") {
    this.path = path
  }

  /** The options that were read, when all of them hold; else the first that does not. */
  readonly result = <A>(options: A): Effect.Effect<A, ConfigError> =>
    this.failure === undefined ? Effect.succeed(options) : Effect.fail(this.failure)

  readonly refuse = (key: string, value: unknown, expected: string): void => {
    const path = join(this.path, key)
    this.failure ??= new ConfigError({ key: path === "" ? "config" : path, actual: show(value), expected })
  }

  readonly integer = <A>(
    key: string,
    value: unknown,
    fallback: A,
    minimum: number,
    maximum = Number.MAX_SAFE_INTEGER
  ): A | number => {
    if (value === undefined) return fallback
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= minimum && value <= maximum) return value
    const range = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`
    this.refuse(key, value, `an integer ${range}`)
    return fallback
  }

  /** A duration, in milliseconds. */
  readonly millis = <A>(key: string, value: unknown, fallback: A, minimum = 0): A | number => {
    if (value === undefined) return fallback
    const millis = millisOf(value)
    if (millis !== undefined && Number.isFinite(millis) && millis >= minimum) return millis
    const range = minimum === 0 ? "that is not negative" : `of at least ${minimum} ms`
    this.refuse(key, value, `a finite duration ${range}, ${durationForms}`)
    return fallback
  }

  /** A duration that one timer waits for, in milliseconds. */
  readonly timerMillis = (key: string, value: unknown, fallback: number, minimum = 0): number => {
    if (value === undefined) return fallback
    const millis = millisOf(value)
    if (millis !== undefined && millis >= minimum && millis <= longestTimer) return millis
    this.refuse(key, value, `a duration from ${minimum} ms to 24.8 days, ${durationForms}`)
    return fallback
  }

  readonly oneOf = <const A extends string>(key: string, value: unknown, fallback: A, all: ReadonlyArray<A>): A => {
    if (value === undefined) return fallback
    const known = all.find((one) => one === value)
    if (known === undefined) this.refuse(key, value, `one of ${all.map((one) => `"${one}"`).join(", ")}`)
    return known ?? fallback
  }

  readonly boolean = (key: string, value: unknown, fallback: boolean): boolean => {
    if (value === undefined || typeof value === "boolean") return value ?? fallback
    this.refuse(key, value, "a boolean")
    return fallback
  }

  /** What {@link isText} holds for. */
  readonly text = (key: string, value: unknown): string | undefined => {
    if (value === undefined || isText(value)) return value
    this.refuse(key, value, "a string that is not empty and has no null character")
    return undefined
  }

  /** A list whose elements all hold; `expected` says what the list is. */
  readonly list = <A, B>(
    key: string,
    value: unknown,
    fallback: B,
    holds: (element: unknown) => element is A,
    expected: string
  ): ReadonlyArray<A> | B => {
    if (value === undefined) return fallback
    if (Array.isArray(value) && value.every(holds)) return value
    this.refuse(key, value, expected)
    return fallback
  }

  /** Whether the value is an object; its keys have to be known ones. */
  readonly object = (key: string, value: unknown, known: ReadonlyArray<string>): boolean => {
    if (!isObject(value)) {
      this.refuse(key, value, `an object with keys of: ${known.join(", ")}`)
      return false
    }
    for (const [name, inner] of Object.entries(value)) {
      if (!known.includes(name)) this.refuse(join(key, name), inner, `a known key: ${known.join(", ")}`)
    }
    return true
  }
}

/** Whether the value is an object of options or of named things, which a list is not. */
export const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Whether the value is a string that is not empty, and can be passed to the system. */
export const isText = (value: unknown): value is string =>
  typeof value === "string" && value !== "" && !value.includes("\0")

const join = (path: string, key: string): string => (path === "" || key === "" ? path + key : `${path}.${key}`)
