/**
 * A Python function described once: its target, what it takes and what it answers. The description is itself callable.
 *
 * **Example** (Two functions, keyword and positional)
 *
 * ```ts
 * const train = PythonFunction.make("app.model.train", {
 *   payload: { epochs: Schema.Int, rate: Schema.Number },
 *   success: Schema.Struct({ loss: Schema.Number })
 * })
 * const mean = PythonFunction.make("statistics.mean", {
 *   payload: Schema.Tuple([Schema.Array(Schema.Number)]),
 *   success: Schema.Number,
 *   idempotent: true
 * })
 *
 * const program = Effect.gen(function* () {
 *   const { loss } = yield* train({ epochs: 5, rate: 0.1 }) // train(epochs=5, rate=0.1)
 *   return yield* mean([[loss, 2]]) // mean([loss, 2])
 * })
 * ```
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import type { Arguments, CallOptions } from "./Call.ts"
import { noteCallSite } from "./internal/callSite.ts"
import { decodeResult, locate } from "./internal/decodeResult.ts"
import { describe } from "./Session.ts"
import { type PoolOption, Snakepit } from "./Snakepit.ts"
import { EncodeError, type SnakepitError } from "./SnakepitError.ts"

/** What a function takes: fields of keyword arguments, or a schema that encodes to an object of them or to a list of positional ones. */
export type Payload = Schema.Struct.Fields | (Schema.Constraint & { readonly Encoded: object })

/** The schema of a payload: fields are those of a struct. */
export type PayloadSchema<P extends Payload> = P extends Schema.Constraint
  ? P
  : P extends Schema.Struct.Fields
    ? Schema.Struct<P>
    : never

/** Options of one call, before those of the function. */
export interface Options extends CallOptions, PoolOption {}

/** Runs a described function and answers what `Snakepit.call` would. */
export type Run<P extends Payload, A, R> = (
  payload: PayloadSchema<P>["Type"],
  options?: Options
) => Effect.Effect<A, SnakepitError, Snakepit | R | PayloadSchema<P>["EncodingServices"]>

/** A described function. */
export interface PythonFunction<P extends Payload, A, R> extends Run<P, A, R> {
  /** Dotted path of the Python function. */
  readonly target: string
  /** Schema of what it takes. What encodes to an object is keyword arguments, what encodes to an array positional ones. */
  readonly payload: PayloadSchema<P>
  /** Schema of what it answers. */
  readonly success: Schema.Decoder<A, R>
}

/**
 * Describes a function. The payload is encoded by its schema, and fails with `EncodeError` where it does not match; a
 * keyword argument that is `undefined` is left out, so that Python's default holds. The other options are those of
 * every call; a single call may override them.
 */
export const make = <const P extends Payload, A = unknown, R = never>(
  target: string,
  {
    payload,
    success,
    ...defaults
  }: Options & { readonly payload: P; readonly success?: Schema.Decoder<A, R> | undefined }
): PythonFunction<P, A, R> => {
  const schema = schemaOf(payload)
  // without a schema the result is `unknown`, which is what `A` is then
  const decoder = success ?? (Schema.Unknown as unknown as Schema.Decoder<A, R>)
  const encode = Schema.encodeUnknownEffect<Schema.Constraint>(schema)
  const decode = decodeResult(decoder)
  const run: Run<P, A, R> = (given, options) => {
    const site = noteCallSite(run)
    return Effect.flatMap(
      // the schema's own services, which `encode` has lost sight of
      Effect.mapError(encode(given) as ReturnType<Encode<P>>, (error) => mismatch(error.issue, given)),
      (encoded) => {
        const all = { ...defaults, ...options }
        const invocation = describe("function", target, argumentsOf(encoded), site)
        return Effect.flatMap(Snakepit, (snakepit) =>
          Effect.flatMap(snakepit.pool(all.pool), (pool) => pool.run(invocation, all, decode))
        )
      }
    )
  }
  return Object.assign(run, { target, payload: schema, success: decoder })
}

type Encode<P extends Payload> = (
  payload: unknown
) => Effect.Effect<unknown, Schema.SchemaError, PayloadSchema<P>["EncodingServices"]>

// the type says the same by case: a schema stays itself, fields become a struct
const schemaOf = <P extends Payload>(payload: P): PayloadSchema<P> =>
  (Schema.isSchema(payload) ? payload : Schema.Struct(payload as Schema.Struct.Fields)) as PayloadSchema<P>

const argumentsOf = (encoded: unknown): Arguments => {
  if (Array.isArray(encoded)) return { args: encoded }
  return { kwargs: Object.fromEntries(Object.entries(encoded ?? {}).filter(([, value]) => value !== undefined)) }
}

const mismatch = (issue: SchemaIssue.Issue, given: unknown): EncodeError => {
  const root = Array.isArray(given) ? "args" : typeof given === "object" && given !== null ? "kwargs" : "payload"
  const { actual, expected, path } = locate(issue, given, root)
  return new EncodeError({ path, actual, reason: `The payload's schema expects ${expected}` })
}
