/** What pandas raises beside Python's own classes. */
import * as LibraryError from "../LibraryError.ts"

/** A class of `pandas.errors`. */
const pandas =
  <Self>() =>
  <const Name extends string>(name: Name) =>
    LibraryError.make<Self>()(`pandas.${name}`, { pythonType: `pandas.errors.${name}`, library: "pandas" })

/** A method that a subclass has to define. */
export class AbstractMethodError extends pandas<AbstractMethodError>()("AbstractMethodError") {}

/** An HDF file that is closed already. */
export class ClosedFileError extends pandas<ClosedFileError>()("ClosedFileError") {}

/** An operation on data of a kind that it does not take. */
export class DataError extends pandas<DataError>()("DataError") {}

/** A statement of SQL that the database refused. */
export class DatabaseError extends pandas<DatabaseError>()("DatabaseError") {}

/** Labels that occur twice where that is not allowed. */
export class DuplicateLabelError extends pandas<DuplicateLabelError>()("DuplicateLabelError") {}

/** A file without data. */
export class EmptyDataError extends pandas<EmptyDataError>()("EmptyDataError") {}

/** Periods of frequencies that do not go together. */
export class IncompatibleFrequency extends pandas<IncompatibleFrequency>()("IncompatibleFrequency") {}

/** Indexing with the wrong number of dimensions, or with a mask that does not fit. */
export class IndexingError extends pandas<IndexingError>()("IndexingError") {}

/** Missing values that were to become integers. */
export class IntCastingNaNError extends pandas<IntCastingNaNError>()("IntCastingNaNError") {}

/** Values that cannot be compared. */
export class InvalidComparison extends pandas<InvalidComparison>()("InvalidComparison") {}

/** An index of the wrong kind. */
export class InvalidIndexError extends pandas<InvalidIndexError>()("InvalidIndexError") {}

/** A value that an array cannot hold exactly. */
export class LossySetitemError extends pandas<LossySetitemError>()("LossySetitemError") {}

/** Tables that cannot be merged in this way. */
export class MergeError extends pandas<MergeError>()("MergeError") {}

/** A column without a buffer. */
export class NoBufferPresent extends pandas<NoBufferPresent>()("NoBufferPresent") {}

/** An operation that needs a frequency, on an index without one. */
export class NullFrequencyError extends pandas<NullFrequencyError>()("NullFrequencyError") {}

/** A column with the name of one of numexpr's functions. */
export class NumExprClobberingError extends pandas<NumExprClobberingError>()("NumExprClobberingError") {}

/** A function that numba cannot run. */
export class NumbaUtilError extends pandas<NumbaUtilError>()("NumbaUtilError") {}

/** An option that pandas does not have. */
export class OptionError extends pandas<OptionError>()("OptionError") {}

/** A time that nanoseconds cannot express. */
export class OutOfBoundsDatetime extends pandas<OutOfBoundsDatetime>()("OutOfBoundsDatetime") {}

/** A duration that nanoseconds cannot express. */
export class OutOfBoundsTimedelta extends pandas<OutOfBoundsTimedelta>()("OutOfBoundsTimedelta") {}

/** A file that does not parse. */
export class ParserError extends pandas<ParserError>()("ParserError") {}

/** An HDF file that is open in another mode. */
export class PossibleDataLossError extends pandas<PossibleDataLossError>()("PossibleDataLossError") {}

/** A clipboard that is not there. */
export class PyperclipException extends pandas<PyperclipException>()("PyperclipException") {}

/** An aggregation that was specified wrongly. */
export class SpecificationError extends pandas<SpecificationError>()("SpecificationError") {}

/** A name in a query that is no column. */
export class UndefinedVariableError extends pandas<UndefinedVariableError>()("UndefinedVariableError") {}

/** An index that has to be sorted first. */
export class UnsortedIndexError extends pandas<UnsortedIndexError>()("UnsortedIndexError") {}

/** A numpy function on an object of pandas that does not take it. */
export class UnsupportedFunctionCall extends pandas<UnsupportedFunctionCall>()("UnsupportedFunctionCall") {}

/** All classes of this library. */
export const all = [
  AbstractMethodError,
  ClosedFileError,
  DataError,
  DatabaseError,
  DuplicateLabelError,
  EmptyDataError,
  IncompatibleFrequency,
  IndexingError,
  IntCastingNaNError,
  InvalidComparison,
  InvalidIndexError,
  LossySetitemError,
  MergeError,
  NoBufferPresent,
  NullFrequencyError,
  NumExprClobberingError,
  NumbaUtilError,
  OptionError,
  OutOfBoundsDatetime,
  OutOfBoundsTimedelta,
  ParserError,
  PossibleDataLossError,
  PyperclipException,
  SpecificationError,
  UndefinedVariableError,
  UnsortedIndexError,
  UnsupportedFunctionCall
] as const
