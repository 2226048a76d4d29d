/** Turns `success` schemas into decoders that answer in place when the schema is synchronous, as nearly all are. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { DecodeError } from "../SnakepitError.ts"

/** Decodes one value that came from Python. */
export type Decode<A, R> = (value: unknown, root: string) => Effect.Effect<A, DecodeError, R>

// Decoders by schema. The map is heterogeneous: an entry was made from its key, so its type follows from the key's.
const cache = new WeakMap<object, Decode<unknown, unknown>>()

export const decodeResult = <A, R>(schema: Schema.Decoder<A, R>): Decode<A, R> => {
  const known = cache.get(schema)
  if (known !== undefined) return known as Decode<A, R> // see the comment on `cache`
  const parse = Schema.decodeUnknownEffect(schema)
  const decode: Decode<A, R> = (value, root) => {
    const result = parse(value)
    // an Exit is what a synchronous schema answers; the fast path skips `mapError`
    if (Exit.isExit(result) && result._tag === "Success") return Exit.succeed(result.value as A) // `parse` is of the same schema
    return Effect.mapError(result, (error) => new DecodeError(locate(error.issue, value, root)))
  }
  cache.set(schema, decode)
  return decode
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** Where a value does not match its schema, what was expected there and what was found. */
export const locate = (
  issue: SchemaIssue.Issue,
  value: unknown,
  root: string
): { readonly path: string; readonly expected: string; readonly actual: string } => {
  const [first] = format(issue).issues
  let path = root
  let actual: unknown = value
  for (const segment of first?.path ?? []) {
    const key = typeof segment === "object" ? segment.key : segment
    path += typeof key === "number" ? `[${key}]` : `.${String(key)}`
    actual = typeof actual === "object" && actual !== null ? Reflect.get(actual, key) : undefined
  }
  const expected = (first?.message ?? "a value of the schema").replace(/^Expected /, "").replace(/, got .*$/s, "")
  return { path, expected, actual: preview(actual) }
}

/** A short picture of a value for error messages. It may be any data: nothing of it is run but what classes have for `inspect`. */
export const preview = (value: unknown): string => {
  if (typeof value === "bigint") return `${bounded(`${value}n`)} (bigint)`
  if (typeof value !== "object" || value === null) {
    const text = typeof value === "string" ? JSON.stringify(value) : String(value)
    return `${bounded(text)} (${value === null ? "null" : typeof value})`
  }
  if (Array.isArray(value)) return `an array of ${value.length}`
  // no data has this key: refs, tensors and dates do
  const inspect: unknown = Reflect.get(value, Symbol.for("nodejs.util.inspect.custom"))
  const picture = typeof inspect === "function" ? inspected(inspect, value) : undefined
  if (typeof picture === "string") return bounded(picture)
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name
  const keys = Object.keys(value)
  const shown = bounded(`${keys.slice(0, 5).join(", ")}${keys.length > 5 ? ", ..." : ""}`)
  return `${typeof name === "string" ? name : "Object"} { ${shown} }`
}

/** A class may want more than itself to make its picture. */
const inspected = (inspect: Function, value: object): unknown => {
  try {
    return Reflect.apply(inspect, value, [])
  } catch {
    return undefined
  }
}

const bounded = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}...` : text)
