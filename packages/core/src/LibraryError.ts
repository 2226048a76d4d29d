/**
 * Exceptions of Python libraries as errors with tags and fields of their own.
 *
 * A class says which Python class it stands for, in which versions of which library, and which attributes of the exception it
 * wants. Three steps use it, so that nothing that worked changes its tag because somebody mapped it:
 *
 * 1. the class itself: {@link make};
 * 2. {@link layer}, where the workers' layer is built, so that workers read its attributes, when it is raised and only then;
 * 3. `Effect.mapError(PythonError.as(TheClass))`, where a program wants the error by its own tag. That is also what puts the
 *    class into the type of the error.
 *
 * The classes of `Dspy`, `Json`, `Numpy`, `Pandas`, `Pydantic`, `Requests` and `Torch` ship with this package and need no layer.
 *
 * **Example** (A class of one's own)
 *
 * ```ts
 * class QuotaExceeded extends LibraryError.make<QuotaExceeded>()("billing.QuotaExceeded", {
 *   pythonType: "billing.errors.QuotaExceeded",
 *   library: "billing",
 *   versions: ">=2, <4",
 *   attributes: { limit: Schema.Int, retryAfter: LibraryError.at("response.retry_after", Schema.NullOr(Schema.Number)) }
 * }) {}
 *
 * const layer = SnakepitNode.layer().pipe(Layer.provide(LibraryError.layer(QuotaExceeded)))
 *
 * const charge = Snakepit.call("billing.charge").pipe(
 *   Effect.mapError(PythonError.as(QuotaExceeded)),
 *   Effect.catchTag("billing.QuotaExceeded", (error) => Effect.succeed(error.limit))
 * )
 * ```
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { makeUntold, retell } from "./internal/errorStory.ts"
import { taggedError } from "./internal/taggedError.ts"
import { parseRange } from "./internal/versionRange.ts"
import * as PythonError from "./PythonError.ts"

/** Any class that {@link make} made. */
export type LibraryErrorClass = PythonError.ErrorClass & {
  readonly "~@snakepit/core/LibraryError": PythonError.Mapping
}

/** An attribute under another name than the field's: `at("response.status_code", Schema.Int)`, `at("errors()", ...)`. */
export interface At<S extends AttributeSchema> {
  readonly path: string
  readonly schema: S
}

/** A schema that decodes without services. */
export type AttributeSchema = Schema.Codec<unknown, unknown>

/** Schemas of attributes, by field. */
export type Attributes = Readonly<Record<string, AttributeSchema | At<AttributeSchema>>>

type SchemaOf<A> = A extends At<infer S> ? S : A extends AttributeSchema ? A : never

/** The fields that attributes become. */
export type AttributeFields<A extends Attributes> = { readonly [K in keyof A]: SchemaOf<A[K]> }

/** What a class of an exception is made of. */
export interface Options<A extends Attributes> {
  /** Qualified name as in `pythonType` of an error; several when versions of the library moved the class. */
  readonly pythonType: string | readonly [string, ...Array<string>]
  /** Name of the distribution (what pip installs). Leave it out for the standard library. */
  readonly library?: string | undefined
  /** The versions that this holds for, in pip's notation: `>=2, <3`. Defaults to all. */
  readonly versions?: string | undefined
  /** Fields of the error, by the attributes of the exception. A missing attribute reads as null. */
  readonly attributes?: A | undefined
}

/** Takes the attribute at a dotted path; `name()` at its end calls a method without arguments. */
export const at = <S extends AttributeSchema>(path: string, schema: S): At<S> => ({ path, schema })

/**
 * Makes the class of a library's exception. `tag` is for `Effect.catchTag`; by custom the library and the class,
 * `requests.HTTPError`, so that it meets no other.
 */
export const make =
  <Self>() =>
  <const Tag extends string, const A extends Attributes = {}>(tag: Tag, options: Options<A>) => {
    const pythonTypes = typeof options.pythonType === "string" ? [options.pythonType] : options.pythonType
    const isWithin = options.versions === undefined ? () => true : parseRange(options.versions)
    const wanted = Object.entries<AttributeSchema | At<AttributeSchema>>(options.attributes ?? {}).map(
      ([name, given]) => ("path" in given ? { name, ...given } : { name, path: name, schema: given })
    )
    const attributes = Schema.Struct(
      // one entry for each attribute, of the attribute's schema
      Object.fromEntries(wanted.map(({ name, schema }) => [name, schema])) as AttributeFields<A>
    )
    const decode = Schema.decodeUnknownExit<Schema.Codec<unknown, unknown>>(attributes)

    const Base = taggedError<Self>()(tag, {
      ...PythonError.fields,
      ...attributes.fields
    })

    const read: PythonError.Mapping["read"] = (error, Class) => {
      if (!pythonTypes.some((name) => error.mro.includes(name))) return error
      const version = error.library?.version
      if (typeof version === "string" && !isWithin(version)) {
        return noted(error, `not ${tag}: it is for ${options.library} ${options.versions}, and this is ${version}`)
      }
      if (wanted.length > 0 && error.library === undefined) {
        return noted(error, `not ${tag}: workers do not read its attributes without LibraryError.layer(${tag})`)
      }
      const values = error.library?.attributes ?? {}
      const decoded = decode(Object.fromEntries(wanted.map(({ name, path }) => [name, values[path] ?? null])))
      if (Exit.isFailure(decoded)) return noted(error, `not ${tag}: ${String(decoded.cause)}`)
      const fields = { ...PythonError.detailsOf(error), ...(decoded.value as object) } // a struct's value is an object
      // the class that was made of `Base`, whose fields these are
      const Own = Class as unknown as new (
        fields: object,
        options: { readonly disableChecks: true }
      ) => PythonError.PythonExceptionValue
      return retell(
        makeUntold(() => new Own(fields, { disableChecks: true })),
        error
      )
    }

    const mapping: PythonError.Mapping = {
      pythonTypes,
      library: options.library,
      attributes: wanted.map(({ path }) => path),
      read
    }
    return Object.assign(Base, { "~@snakepit/core/LibraryError": mapping } as const)
  }

/** The same exception with one more note: a class that nearly fits is no silent matter. */
const noted = (error: PythonError.PythonExceptionValue, note: string): PythonError.PythonExceptionValue =>
  error.notes.includes(note)
    ? error
    : retell(
        PythonError.makeUnsafe(error._tag, {
          ...error,
          ...PythonError.detailsOf(error),
          notes: [...error.notes, note]
        }),
        error
      )

/** The classes whose attributes workers read, beside those that ship with this package. */
export const LibraryErrors: Context.Reference<ReadonlyArray<LibraryErrorClass>> = Context.Reference<
  ReadonlyArray<LibraryErrorClass>
>("@snakepit/core/LibraryErrors", { defaultValue: () => [] })

/**
 * Lets workers read the attributes of these classes.
 *
 * Provide it where the workers' layer is built. Give all classes to one `layer`, or provide one layer to another: of two layers
 * that are merged side by side, only one counts.
 */
export const layer = (...classes: ReadonlyArray<LibraryErrorClass>): Layer.Layer<never> =>
  Layer.effect(
    LibraryErrors,
    Effect.map(LibraryErrors, (outer) => [...classes, ...outer])
  )
