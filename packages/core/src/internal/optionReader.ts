/** Reads options of one pool and notes the first that does not hold. Keys are paths below the pool, like `crashBarrier.retry`. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { ConfigError } from "../SnakepitError.ts"

/**
 * What a pool was given, value by value: each method answers the value when it holds, the fallback when it is absent, and
 * otherwise notes why not.
 */
export class OptionReader {
  private readonly pool: string
  private failure: ConfigError | undefined

  constructor(pool: string) {
    this.pool = pool
  }

  /** The options that were read, when all of them hold; else the first that does not. */
  readonly result = <A>(options: A): Effect.Effect<A, ConfigError> =>
    this.failure === undefined ? Effect.succeed(options) : Effect.fail(this.failure)

  readonly refuse = (key: string, value: unknown, expected: string): void => {
    const path = key === "" ? `pools.${this.pool}` : `pools.${this.pool}.${key}`
    this.failure ??= new ConfigError({ key: path, actual: show(value), expected })
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
  readonly millis = <A>(key: string, value: unknown, fallback: A): A | number => {
    if (value === undefined) return fallback
    // `fromInput` answers none for whatever is no duration, whatever its type
    const duration = Duration.fromInput(value as Duration.Input)
    if (duration._tag === "Some" && Duration.isFinite(duration.value) && !Duration.isNegative(duration.value)) {
      return Duration.toMillis(duration.value)
    }
    this.refuse(key, value, 'a finite duration that is not negative, like "30 seconds" or 500 (milliseconds)')
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

  /** A string that is not empty. */
  readonly text = (key: string, value: unknown): string | undefined => {
    if (value === undefined || (typeof value === "string" && value !== "")) return value
    this.refuse(key, value, "a string that is not empty")
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

  /** Whether the value is an object with known keys only. */
  readonly object = (key: string, value: unknown, known: ReadonlyArray<string>): boolean => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      this.refuse(key, value, `an object with keys of: ${known.join(", ")}`)
      return false
    }
    for (const [name, inner] of Object.entries(value)) {
      if (!known.includes(name)) this.refuse(`${key}.${name}`, inner, `a known key: ${known.join(", ")}`)
    }
    return true
  }
}

const show = (value: unknown): string => {
  try {
    return `${JSON.stringify(value) ?? String(value)} (${typeof value})`
  } catch {
    return `a ${typeof value}`
  }
}
