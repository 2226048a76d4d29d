/**
 * A failure inside a value, on its way out to where the value began. Each container that it passes adds its step, so
 * that the path is known without anything being kept while all goes well.
 */

/** One step of a path: the container, and where in it. */
export interface Step {
  readonly container: object
  readonly segment: string
}

/** Thrown inside the codec, never out of it. Not an `Error`: nobody reads its stack. */
export class ValueFailure {
  /** What was found. */
  readonly actual: string
  /** Encoding: why it cannot cross and what would. Decoding: what was expected. */
  readonly reason: string
  /** Innermost first. */
  readonly steps: Array<Step> = []

  constructor(actual: string, reason: string) {
    this.actual = actual
    this.reason = reason
  }

  /** Adds a step and returns the failure, to be thrown on. */
  at(container: object, segment: string): this {
    this.steps.push({ container, segment })
    return this
  }

  /** `args[0].rows[3]` for the root `args`; of a long one the beginning and the end, as Python shows it. */
  path(root: string): string {
    let path = root
    for (let i = this.steps.length - 1; i >= 0; i--) path += this.steps[i]?.segment ?? ""
    if (path.startsWith(".")) path = path.slice(1)
    return path.length <= 500 ? path : `${path.slice(0, 300)}...${path.slice(-190)}`
  }
}

const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u

/** `[3]`. */
export const indexSegment = (index: number): string => `[${index}]`

/** `.rows`, or `["a key"]` where a dot would not do. */
export const keySegment = (key: string): string => (identifier.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`)

/** The value at a key of a map: `.get(3)`. */
export const entrySegment = (key: unknown): string =>
  `.get(${typeof key === "string" ? JSON.stringify(key) : typeof key === "object" ? "..." : String(key)})`

/** A key of a map: `.keys()[0]`. */
export const mapKeySegment = (index: number): string => `.keys()[${index}]`

/** A member of a set: `.values()[0]`. */
export const memberSegment = (index: number): string => `.values()[${index}]`
