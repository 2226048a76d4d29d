/** Arguments on the command line: JSON whose numbers keep what Python tells apart, `2` from `2.0`, and any size. */
import { Float } from "@snakepit/core"

/** Positional arguments. Throws when the text is no JSON array. */
export const array = (text: string): ReadonlyArray<unknown> => {
  const value = parse(text)
  if (!Array.isArray(value)) throw new TypeError("Expected a JSON array")
  return value
}

/** Keyword arguments. Throws when the text is no JSON object. */
export const object = (text: string): Readonly<Record<string, unknown>> => {
  const value = parse(text)
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new TypeError("Expected a JSON object")
  return { ...value }
}

const parse = (text: string): unknown => JSON.parse(text, revive)

// the third argument is in Node since 21, and not yet in TypeScript's library
const revive = (_key: string, value: unknown, context?: { readonly source?: string }): unknown => {
  if (typeof value !== "number") return value
  const source = context?.source ?? ""
  if (/[.eE]/.test(source)) return new Float(value)
  return Number.isSafeInteger(value) ? value : BigInt(source)
}
