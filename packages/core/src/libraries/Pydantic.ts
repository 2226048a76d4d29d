/** What pydantic raises. */
import * as Schema from "effect/Schema"
import * as LibraryError from "../LibraryError.ts"

/** Data that does not match a model. */
export class ValidationError extends LibraryError.make<ValidationError>()("pydantic.ValidationError", {
  pythonType: [
    "pydantic_core._pydantic_core.ValidationError",
    "pydantic.v1.error_wrappers.ValidationError",
    "pydantic.error_wrappers.ValidationError"
  ],
  library: "pydantic",
  versions: ">=1.10",
  attributes: {
    /** Name of the model; null before pydantic 2. */
    title: Schema.NullOr(Schema.String),
    /** One entry for each fault. */
    errors: LibraryError.at(
      "errors()",
      Schema.Array(
        Schema.Struct({
          /** Like `int_parsing` or `missing`. */
          type: Schema.String,
          /** Path to the value: names of fields and indices. */
          loc: Schema.Array(Schema.Union([Schema.String, Schema.Int])),
          msg: Schema.String,
          /** The value; its `repr` where it cannot cross. Pydantic 2. */
          input: Schema.optional(Schema.Any)
        })
      )
    )
  }
}) {}

/** A model or a call of pydantic that is written wrongly. */
export class PydanticUserError extends LibraryError.make<PydanticUserError>()("pydantic.PydanticUserError", {
  pythonType: "pydantic.errors.PydanticUserError",
  library: "pydantic",
  versions: ">=2",
  attributes: {
    /** Like `class-not-fully-defined`; pydantic's documentation has a page for each. */
    code: Schema.NullOr(Schema.String)
  }
}) {}

/** A type that pydantic has no schema for. */
export class PydanticSchemaGenerationError extends LibraryError.make<PydanticSchemaGenerationError>()(
  "pydantic.PydanticSchemaGenerationError",
  { pythonType: "pydantic.errors.PydanticSchemaGenerationError", library: "pydantic", versions: ">=2" }
) {}

/** A value that pydantic cannot serialise. */
export class PydanticSerializationError extends LibraryError.make<PydanticSerializationError>()(
  "pydantic.PydanticSerializationError",
  { pythonType: "pydantic_core._pydantic_core.PydanticSerializationError", library: "pydantic", versions: ">=2" }
) {}

/** All classes of this library. */
export const all = [
  ValidationError,
  PydanticUserError,
  PydanticSchemaGenerationError,
  PydanticSerializationError
] as const
