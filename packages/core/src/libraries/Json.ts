/** What Python's `json` raises. */
import * as Schema from "effect/Schema"
import * as LibraryError from "../LibraryError.ts"

/** A text that is no JSON; `ValueError` without `PythonError.as`. */
export class JSONDecodeError extends LibraryError.make<JSONDecodeError>()("json.JSONDecodeError", {
  pythonType: "json.decoder.JSONDecodeError",
  attributes: {
    /** What is wrong, without the place. */
    msg: Schema.String,
    /** Index of the character where parsing failed, from 0. */
    pos: Schema.Int,
    /** Line and column of it, from 1. */
    lineno: Schema.Int,
    colno: Schema.Int
  }
}) {}

/** All classes of this library. */
export const all = [JSONDecodeError] as const
