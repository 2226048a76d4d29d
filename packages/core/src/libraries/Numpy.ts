/** What numpy raises beside Python's own classes. Shapes, dtypes and memory have tags of their own, see `PythonError.ts`. */
import * as Schema from "effect/Schema"
import * as LibraryError from "../LibraryError.ts"

/** A matrix that linear algebra cannot work with: singular, not square, or without convergence. */
export class LinAlgError extends LibraryError.make<LinAlgError>()("numpy.LinAlgError", {
  pythonType: ["numpy.linalg.LinAlgError", "numpy.linalg.linalg.LinAlgError"],
  library: "numpy"
}) {}

/** An axis that an array does not have. */
export class AxisError extends LibraryError.make<AxisError>()("numpy.AxisError", {
  pythonType: ["numpy.exceptions.AxisError", "numpy.AxisError"],
  library: "numpy",
  attributes: {
    axis: Schema.NullOr(Schema.Int),
    /** Dimensions of the array. */
    ndim: Schema.NullOr(Schema.Int)
  }
}) {}

/** Dtypes without a common one. */
export class DTypePromotionError extends LibraryError.make<DTypePromotionError>()("numpy.DTypePromotionError", {
  pythonType: "numpy.exceptions.DTypePromotionError",
  library: "numpy",
  versions: ">=1.25"
}) {}

/** A question that numpy gave up on, like exact memory overlap. */
export class TooHardError extends LibraryError.make<TooHardError>()("numpy.TooHardError", {
  pythonType: ["numpy.exceptions.TooHardError", "numpy.TooHardError"],
  library: "numpy"
}) {}

/** All classes of this library. */
export const all = [LinAlgError, AxisError, DTypePromotionError, TooHardError] as const
