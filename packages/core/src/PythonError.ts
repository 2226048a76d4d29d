/**
 * Python exceptions as a tagged error union.
 *
 * An exception is tagged with its nearest public built-in class: `json.JSONDecodeError` arrives as `ValueError`, with its
 * real class in `pythonType` and the whole ancestry in `mro`. A built-in subclass has its own tag, so
 * `Effect.catchTag("LookupError", ...)` does not see a `KeyError`; {@link catchInstanceOf} follows Python's rule instead.
 * What went wrong between arrays, tensors and devices has tags of its own ({@link ShapeMismatch} and its neighbours). A
 * library's exceptions get theirs from classes that `LibraryError.ts` makes, where a program asks for them with {@link as}.
 *
 * Classes here share names with JavaScript's own errors on purpose (`TypeError`, `SyntaxError`): reach them through the
 * namespace, `PythonError.TypeError`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ancestry } from "./internal/exceptionAncestry.ts"
import { makeTrusted, taggedError } from "./internal/taggedError.ts"
import { makeUntold, report, wantsColors } from "./internal/errorStory.ts"

// ---------------------------------------------------------------------------------------------------------------------
// What every exception carries
// ---------------------------------------------------------------------------------------------------------------------

/** The text of a `SyntaxError` that does not parse. */
export const SyntaxLocation = Schema.Struct({
  file: Schema.String,
  /** From 1. */
  line: Schema.Int,
  /** The line without indentation; empty when there is none. */
  source: Schema.String,
  /** Where in the line of the file the failing expression begins, from 1. Python 3.11 and later. */
  column: Schema.optional(Schema.Int),
  /** The part of `source` that failed: start and end in characters from 0, end exclusive. Absent where it is all of it. */
  caret: Schema.optional(Schema.Tuple([Schema.Int, Schema.Int]))
})
export type SyntaxLocation = typeof SyntaxLocation.Type

/** One line of a Python traceback. */
export const Frame = Schema.Struct({ ...SyntaxLocation.fields, function: Schema.String })
export type Frame = typeof Frame.Type

/** What the failed call was: its target and the Python types of its arguments (shape, dtype and device of arrays). */
export const CallContext = Schema.Struct({
  target: Schema.String,
  callType: Schema.String,
  arguments: Schema.Array(
    Schema.Struct({
      /** Position, or keyword. */
      name: Schema.String,
      type: Schema.String,
      shape: Schema.optional(Schema.Array(Schema.Number)),
      dtype: Schema.optional(Schema.String),
      device: Schema.optional(Schema.String)
    })
  )
})
export type CallContext = typeof CallContext.Type

/** One thing that a limit left out of a report. */
export const Truncation = Schema.Struct({
  /** Like `message`, `frames`, `args[0]` or `cause`. */
  field: Schema.String,
  /** Characters of a text, bytes of an argument, items of a list. */
  kept: Schema.Int,
  total: Schema.Int,
  /** `limit`, or `seen` for an exception that the report holds already. */
  reason: Schema.String,
  /** The class of the exception that was left out. */
  pythonType: Schema.optional(Schema.String)
})
export type Truncation = typeof Truncation.Type

/** What a class of `LibraryError` reads: attributes of the exception by their Python names, and the library's version. */
export const LibraryReport = Schema.Struct({
  name: Schema.NullOr(Schema.String),
  version: Schema.NullOr(Schema.String),
  attributes: Schema.Record(Schema.String, Schema.Any)
})
export type LibraryReport = typeof LibraryReport.Type

/** What every Python exception carries, whatever its tag. */
export interface Details {
  /** Qualified name of the real class; built-ins without module. */
  readonly pythonType: string
  /** Qualified names of the class and its ancestors, nearest first. */
  readonly mro: ReadonlyArray<string>
  readonly message: string
  /** `exception.args`; those that cannot cross are their `repr`. */
  readonly args: ReadonlyArray<unknown>
  /** Outermost first, without Snakepit's own frames. */
  readonly frames: ReadonlyArray<Frame>
  /** `exception.__notes__`. */
  readonly notes: ReadonlyArray<string>
  /** `raise ... from cause`. */
  readonly cause?: PythonExceptionValue | undefined
  /** The exception that was being handled when this one was raised. */
  readonly context?: PythonExceptionValue | undefined
  /** Members of an exception group; empty for others. */
  readonly exceptions: ReadonlyArray<PythonExceptionValue>
  /** Absent on chained exceptions and on those that no call raised. */
  readonly call?: CallContext | undefined
  /** What limits left out; absent when nothing was. */
  readonly truncated?: ReadonlyArray<Truncation> | undefined
  /** Of a `SyntaxError`: the text that does not parse, and where it goes wrong. */
  readonly syntax?: SyntaxLocation | undefined
  /** What was read from the exception for the classes of `LibraryError`. */
  readonly library?: LibraryReport | undefined
  /** Path of the script that reproduces the failure, when the pool has `errors.generateRepro`. */
  readonly repro?: string | undefined
  /** False only when the target cannot have run. */
  readonly mayHaveExecuted: boolean
}

/** Any Python exception, seen through the fields they share. */
export interface PythonExceptionValue extends Error, Details {
  readonly _tag: string
  readonly message: string
  readonly cause?: PythonExceptionValue | undefined
}

/** Whether a value is a Python exception that crossed, whatever its tag. */
export const isPythonException = (u: unknown): u is PythonExceptionValue =>
  u instanceof Error && "_tag" in u && "pythonType" in u && "mro" in u

const Chained = Schema.declare(isPythonException, { identifier: "PythonError" })

/** The fields of every Python exception, as schemas: those of {@link Details}. */
export const fields = {
  pythonType: Schema.String,
  mro: Schema.Array(Schema.String),
  message: Schema.String,
  args: Schema.Array(Schema.Any),
  frames: Schema.Array(Frame),
  notes: Schema.Array(Schema.String),
  cause: Schema.optional(Chained),
  context: Schema.optional(Chained),
  exceptions: Schema.Array(Chained),
  call: Schema.optional(CallContext),
  truncated: Schema.optional(Schema.Array(Truncation)),
  syntax: Schema.optional(SyntaxLocation),
  library: Schema.optional(LibraryReport),
  repro: Schema.optional(Schema.String),
  mayHaveExecuted: Schema.Boolean
}

/** The class of a built-in exception: `class ValueError extends builtIn<ValueError>()("ValueError") {}`. */
const builtIn =
  <Self>() =>
  <const Name extends string>(tag: Name) =>
    taggedError<Self>()(tag, fields)

// ---------------------------------------------------------------------------------------------------------------------
// The built-in classes of CPython 3.10 to 3.14. Each stands for itself and for subclasses without a tag of their own.
// TypeScript wants a declaration for each class that is a type too.
// ---------------------------------------------------------------------------------------------------------------------

export class SystemExit extends builtIn<SystemExit>()("SystemExit") {}
export class KeyboardInterrupt extends builtIn<KeyboardInterrupt>()("KeyboardInterrupt") {}
export class GeneratorExit extends builtIn<GeneratorExit>()("GeneratorExit") {}
export class StopIteration extends builtIn<StopIteration>()("StopIteration") {}
export class StopAsyncIteration extends builtIn<StopAsyncIteration>()("StopAsyncIteration") {}
export class ArithmeticError extends builtIn<ArithmeticError>()("ArithmeticError") {}
export class FloatingPointError extends builtIn<FloatingPointError>()("FloatingPointError") {}
export class OverflowError extends builtIn<OverflowError>()("OverflowError") {}
export class ZeroDivisionError extends builtIn<ZeroDivisionError>()("ZeroDivisionError") {}
export class AssertionError extends builtIn<AssertionError>()("AssertionError") {}
export class AttributeError extends builtIn<AttributeError>()("AttributeError") {}
export class BufferError extends builtIn<BufferError>()("BufferError") {}
export class EOFError extends builtIn<EOFError>()("EOFError") {}
export class ImportError extends builtIn<ImportError>()("ImportError") {}
export class ModuleNotFoundError extends builtIn<ModuleNotFoundError>()("ModuleNotFoundError") {}
export class LookupError extends builtIn<LookupError>()("LookupError") {}
export class IndexError extends builtIn<IndexError>()("IndexError") {}
export class KeyError extends builtIn<KeyError>()("KeyError") {}
export class MemoryError extends builtIn<MemoryError>()("MemoryError") {}
export class NameError extends builtIn<NameError>()("NameError") {}
export class UnboundLocalError extends builtIn<UnboundLocalError>()("UnboundLocalError") {}
export class OSError extends builtIn<OSError>()("OSError") {}
export class BlockingIOError extends builtIn<BlockingIOError>()("BlockingIOError") {}
export class ChildProcessError extends builtIn<ChildProcessError>()("ChildProcessError") {}
export class ConnectionError extends builtIn<ConnectionError>()("ConnectionError") {}
export class BrokenPipeError extends builtIn<BrokenPipeError>()("BrokenPipeError") {}
export class ConnectionAbortedError extends builtIn<ConnectionAbortedError>()("ConnectionAbortedError") {}
export class ConnectionRefusedError extends builtIn<ConnectionRefusedError>()("ConnectionRefusedError") {}
export class ConnectionResetError extends builtIn<ConnectionResetError>()("ConnectionResetError") {}
export class FileExistsError extends builtIn<FileExistsError>()("FileExistsError") {}
export class FileNotFoundError extends builtIn<FileNotFoundError>()("FileNotFoundError") {}
export class InterruptedError extends builtIn<InterruptedError>()("InterruptedError") {}
export class IsADirectoryError extends builtIn<IsADirectoryError>()("IsADirectoryError") {}
export class NotADirectoryError extends builtIn<NotADirectoryError>()("NotADirectoryError") {}
export class PermissionError extends builtIn<PermissionError>()("PermissionError") {}
export class ProcessLookupError extends builtIn<ProcessLookupError>()("ProcessLookupError") {}
export class TimeoutError extends builtIn<TimeoutError>()("TimeoutError") {}
export class ReferenceError extends builtIn<ReferenceError>()("ReferenceError") {}
export class RuntimeError extends builtIn<RuntimeError>()("RuntimeError") {}
export class NotImplementedError extends builtIn<NotImplementedError>()("NotImplementedError") {}
export class RecursionError extends builtIn<RecursionError>()("RecursionError") {}
export class PythonFinalizationError extends builtIn<PythonFinalizationError>()("PythonFinalizationError") {}
export class SyntaxError extends builtIn<SyntaxError>()("SyntaxError") {}
export class IndentationError extends builtIn<IndentationError>()("IndentationError") {}
export class TabError extends builtIn<TabError>()("TabError") {}
export class SystemError extends builtIn<SystemError>()("SystemError") {}
export class TypeError extends builtIn<TypeError>()("TypeError") {}
export class ValueError extends builtIn<ValueError>()("ValueError") {}
export class UnicodeError extends builtIn<UnicodeError>()("UnicodeError") {}
export class UnicodeDecodeError extends builtIn<UnicodeDecodeError>()("UnicodeDecodeError") {}
export class UnicodeEncodeError extends builtIn<UnicodeEncodeError>()("UnicodeEncodeError") {}
export class UnicodeTranslateError extends builtIn<UnicodeTranslateError>()("UnicodeTranslateError") {}
export class ExceptionGroup extends builtIn<ExceptionGroup>()("ExceptionGroup") {}
export class BaseExceptionGroup extends builtIn<BaseExceptionGroup>()("BaseExceptionGroup") {}
export class Warning extends builtIn<Warning>()("Warning") {}
export class BytesWarning extends builtIn<BytesWarning>()("BytesWarning") {}
export class DeprecationWarning extends builtIn<DeprecationWarning>()("DeprecationWarning") {}
export class EncodingWarning extends builtIn<EncodingWarning>()("EncodingWarning") {}
export class FutureWarning extends builtIn<FutureWarning>()("FutureWarning") {}
export class ImportWarning extends builtIn<ImportWarning>()("ImportWarning") {}
export class PendingDeprecationWarning extends builtIn<PendingDeprecationWarning>()("PendingDeprecationWarning") {}
export class ResourceWarning extends builtIn<ResourceWarning>()("ResourceWarning") {}
export class RuntimeWarning extends builtIn<RuntimeWarning>()("RuntimeWarning") {}
export class SyntaxWarning extends builtIn<SyntaxWarning>()("SyntaxWarning") {}
export class UnicodeWarning extends builtIn<UnicodeWarning>()("UnicodeWarning") {}
export class UserWarning extends builtIn<UserWarning>()("UserWarning") {}

/** An exception whose nearest built-in ancestor is `Exception` or `BaseException`: a library's own type. */
export class PythonException extends builtIn<PythonException>()("PythonException") {}

// ---------------------------------------------------------------------------------------------------------------------
// TypeScript errors that went through Python
// ---------------------------------------------------------------------------------------------------------------------

/** Python's class of {@link CallbackError}. */
export const callbackErrorType = "snakepit_worker.callbacks.CallbackError"

/**
 * A TypeScript function that Python called has failed, and the Python code let it pass. `original` is the very error of the
 * function, undefined when the function was not found; {@link as} gives it back its type.
 */
export class CallbackError extends taggedError<CallbackError>()("CallbackError", {
  ...fields,
  original: Schema.optional(Schema.Any)
}) {}

// ---------------------------------------------------------------------------------------------------------------------
// Machine learning
// ---------------------------------------------------------------------------------------------------------------------

const machineLearning = {
  ...fields,
  /** Like `matmul`, `add`, `reshape`, `fit`; null when it is not known. */
  operation: Schema.NullOr(Schema.String),
  /** What to do. */
  suggestion: Schema.String,
  /**
   * What it was told by: the exception's class, the real arguments of the call, the variables where it failed, or only the
   * message.
   */
  decidedBy: Schema.Literals(["class", "arguments", "locals", "message"])
}

/** Shapes that do not fit each other, or not the operation. */
export class ShapeMismatch extends taggedError<ShapeMismatch>()("ShapeMismatch", {
  ...machineLearning,
  /** Usually two. A size is null where any will do; where only a message tells, the shape may be the one size that it names. */
  operands: Schema.Array(Schema.Struct({ name: Schema.String, shape: Schema.Array(Schema.NullOr(Schema.Number)) })),
  /** Where the first two operands differ: the axis of each, and its size. */
  dimension: Schema.NullOr(
    Schema.Struct({
      axes: Schema.Tuple([Schema.Int, Schema.Int]),
      sizes: Schema.Tuple([Schema.Number, Schema.Number])
    })
  )
}) {}

/** An array or tensor of another dtype than the operation takes. */
export class DtypeMismatch extends taggedError<DtypeMismatch>()("DtypeMismatch", {
  ...machineLearning,
  /** As the library writes them; null when not known. */
  expected: Schema.NullOr(Schema.String),
  actual: Schema.NullOr(Schema.String),
  /** The name of what has the dtype `actual`. */
  operand: Schema.NullOr(Schema.String),
  /** Python code that casts it. */
  cast: Schema.NullOr(Schema.String)
}) {}

/** Tensors of one operation on different devices. */
export class DeviceMismatch extends taggedError<DeviceMismatch>()("DeviceMismatch", {
  ...machineLearning,
  operands: Schema.Array(Schema.Struct({ name: Schema.String, device: Schema.String }))
}) {}

/** A device that is not there, or that the library was not built for. */
export class DeviceNotAvailable extends taggedError<DeviceNotAvailable>()("DeviceNotAvailable", {
  ...machineLearning,
  device: Schema.String,
  available: Schema.Array(Schema.String)
}) {}

/** No memory left on a device; `cpu` is the memory of the worker process, which `memoryLimit` bounds. */
export class OutOfMemory extends taggedError<OutOfMemory>()("OutOfMemory", {
  ...machineLearning,
  device: Schema.String,
  requestedBytes: Schema.NullOr(Schema.Number),
  freeBytes: Schema.NullOr(Schema.Number),
  totalBytes: Schema.NullOr(Schema.Number)
}) {}

// ---------------------------------------------------------------------------------------------------------------------
// The union
// ---------------------------------------------------------------------------------------------------------------------

/** The classes whose only fields are those that all exceptions have, by tag. */
const plain = {
  SystemExit,
  KeyboardInterrupt,
  GeneratorExit,
  StopIteration,
  StopAsyncIteration,
  ArithmeticError,
  FloatingPointError,
  OverflowError,
  ZeroDivisionError,
  AssertionError,
  AttributeError,
  BufferError,
  EOFError,
  ImportError,
  ModuleNotFoundError,
  LookupError,
  IndexError,
  KeyError,
  MemoryError,
  NameError,
  UnboundLocalError,
  OSError,
  BlockingIOError,
  ChildProcessError,
  ConnectionError,
  BrokenPipeError,
  ConnectionAbortedError,
  ConnectionRefusedError,
  ConnectionResetError,
  FileExistsError,
  FileNotFoundError,
  InterruptedError,
  IsADirectoryError,
  NotADirectoryError,
  PermissionError,
  ProcessLookupError,
  TimeoutError,
  ReferenceError,
  RuntimeError,
  NotImplementedError,
  RecursionError,
  PythonFinalizationError,
  SyntaxError,
  IndentationError,
  TabError,
  SystemError,
  TypeError,
  ValueError,
  UnicodeError,
  UnicodeDecodeError,
  UnicodeEncodeError,
  UnicodeTranslateError,
  ExceptionGroup,
  BaseExceptionGroup,
  Warning,
  BytesWarning,
  DeprecationWarning,
  EncodingWarning,
  FutureWarning,
  ImportWarning,
  PendingDeprecationWarning,
  ResourceWarning,
  RuntimeWarning,
  SyntaxWarning,
  UnicodeWarning,
  UserWarning,
  PythonException
}

/** The classes with fields of their own, by tag. */
const structured = { CallbackError, ShapeMismatch, DtypeMismatch, DeviceMismatch, DeviceNotAvailable, OutOfMemory }

const classes = { ...plain, ...structured }

/** The tags of Python exceptions. */
export type Tag = keyof typeof classes

/** Every Python exception that can reach TypeScript, library classes that a program asks for aside. */
export type PythonError = InstanceType<(typeof classes)[Tag]>

/** Schema of the union. */
export const PythonError = Schema.Union(Object.values(classes))

/** All tags: the built-in classes of CPython 3.10 to 3.14, `PythonException`, `CallbackError` and those of machine learning. */
export const tags: ReadonlyArray<Tag> = Object.keys(classes) as Array<Tag> // the keys of `classes` are its `Tag`s by definition

/** Whether a value is a Python exception with a tag of the union. */
export const isPythonError = (u: unknown): u is PythonError =>
  isPythonException(u) && Object.hasOwn(classes, u._tag) && u instanceof classes[u._tag as Tag] // `hasOwn` has just proved the key

// ---------------------------------------------------------------------------------------------------------------------
// Constructors
// ---------------------------------------------------------------------------------------------------------------------

/** The fields that one class has beside those of all exceptions. */
export type Extra<T extends Tag> = Omit<InstanceType<(typeof classes)[T]>, keyof PythonException>

/**
 * Builds the error of a tag; an unknown tag becomes `PythonException`, so that a newer Python cannot break decoding.
 * The fields of {@link Details} are taken as they are; throws where those of the tag's own are not of the types that it wants.
 */
export const makeUnsafe = <D extends Details>(tag: string, details: D): PythonError => {
  if (Object.hasOwn(structured, tag)) {
    // `hasOwn` has just proved the key; the class looks at the fields itself
    const Class: new (details: never, options: { readonly disableChecks: true }) => PythonError =
      structured[tag as keyof typeof structured]
    return makeUntold(() => new Class(details as never, { disableChecks: true }))
  }
  const known = Object.hasOwn(plain, tag) ? (tag as keyof typeof plain) : "PythonException" // the same
  return makeUntold(() => makeTrusted<PythonError>(plain[known], fieldsOf(known, details)))
}

/** The details alone, of an error or of anything that has more. */
export const detailsOf = (error: Details): Details => {
  const { _tag, ...details } = fieldsOf("", error)
  return details
}

/** All fields of an error that has no more than its tag and details. Every call that fails makes them, so nothing is spread. */
const fieldsOf = (_tag: string, error: Details): Details & { readonly _tag: string } => {
  const details: { -readonly [K in keyof Details]: Details[K] } & { readonly _tag: string } = {
    _tag,
    pythonType: error.pythonType,
    mro: error.mro,
    message: error.message,
    args: error.args,
    frames: error.frames,
    notes: error.notes,
    cause: error.cause,
    context: error.context,
    exceptions: error.exceptions,
    call: error.call,
    mayHaveExecuted: error.mayHaveExecuted
  }
  if (error.truncated !== undefined) details.truncated = error.truncated
  if (error.syntax !== undefined) details.syntax = error.syntax
  if (error.library !== undefined) details.library = error.library
  if (error.repro !== undefined) details.repro = error.repro
  return details
}

/**
 * An exception as Python would raise it, for tests: `PythonError.of("ValueError", "bad rate")`.
 *
 * `details` sets fields, `pythonType` among them for a library's own class: the ancestors of the tag follow it in `mro`.
 * Tags with fields of their own want those too: `PythonError.of("OutOfMemory", "no memory", { device: "cuda:0", ... })`.
 */
export const of = <const T extends Tag>(
  tag: T,
  message: string,
  ...[details]: T extends keyof typeof plain
    ? [details?: Partial<Omit<Details, "message">>]
    : [details: Partial<Omit<Details, "message">> & Extra<T>]
): InstanceType<(typeof classes)[T]> => {
  const given: Partial<Omit<Details, "message">> = details ?? {}
  const builtInType = Object.hasOwn(structured, tag) || tag === "PythonException" ? "Exception" : tag
  const pythonType = given.pythonType ?? (tag === "CallbackError" ? callbackErrorType : builtInType)
  const error = makeUnsafe(tag, {
    pythonType,
    mro: pythonType === builtInType ? ancestry(builtInType) : [pythonType, ...ancestry(builtInType)],
    message,
    args: [message],
    frames: [],
    notes: [],
    exceptions: [],
    mayHaveExecuted: true,
    ...given
  })
  return error as InstanceType<(typeof classes)[T]> // `makeUnsafe` takes the class of the tag, and a `Tag` has one
}

// ---------------------------------------------------------------------------------------------------------------------
// By class
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Whether the exception is an instance of the Python class, by Python's own rule: `isInstanceOf(error, "LookupError")` holds
 * for a `KeyError`. Takes qualified names as in `pythonType`; built-ins go without module.
 */
export const isInstanceOf = (error: { readonly mro: ReadonlyArray<string> }, pythonClass: string): boolean =>
  error.mro.includes(pythonClass)

/** Recovers from the exceptions that `except pythonClass` would catch in Python. */
export const catchInstanceOf =
  <A2, E2, R2>(pythonClass: string, recover: (error: PythonExceptionValue) => Effect.Effect<A2, E2, R2>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A | A2, E | E2, R | R2> =>
    Effect.catchIf(
      self,
      (error) => isPythonException(error) && isInstanceOf(error, pythonClass),
      (error) => recover(error as PythonExceptionValue) // the predicate above let only Python exceptions through
    )

/** What a class of `LibraryError.make` says of the Python class that it stands for. */
export interface Mapping {
  /** Qualified names, one for each place where versions of the library have the class. Subclasses count too. */
  readonly pythonTypes: ReadonlyArray<string>
  /** The distribution whose version counts; undefined for the standard library. */
  readonly library: string | undefined
  /** Attributes that workers read, dotted; `name()` at the end calls a method without arguments. */
  readonly attributes: ReadonlyArray<string>
  /** The exception as an instance of the class; or the exception, with a note when it nearly was one. */
  readonly read: (error: PythonExceptionValue, Class: ErrorClass) => PythonExceptionValue
}

/** A class that {@link as} can give: one of `LibraryError`, or the class of a TypeScript error that went through Python. */
export type ErrorClass = (abstract new (...args: never) => object) & {
  readonly "~@snakepit/core/LibraryError"?: Mapping
}

/**
 * Gives an error the type that a program asks for: of an exception of a library, or of a TypeScript error that was thrown in a
 * callback and went through Python. As with Python's `except`, the first class that fits counts; what none fits stays as it is.
 * Meant for `Effect.mapError` and `Stream.mapError`.
 *
 * **Example** (An HTTP status)
 *
 * ```ts
 * Snakepit.call("app.fetch", { args: [url] }).pipe(
 *   Effect.mapError(PythonError.as(Requests.HTTPError)),
 *   Effect.catchTag("requests.HTTPError", (error) => Effect.succeed(error.statusCode))
 * )
 * ```
 */
export const as =
  <const Classes extends ReadonlyArray<ErrorClass>>(...wanted: Classes) =>
  <E>(error: E): E | InstanceType<Classes[number]> => {
    let inner: unknown = error
    while (inner instanceof CallbackError) inner = inner.original
    let noted: unknown = error
    for (const Class of wanted) {
      const mapping = Class["~@snakepit/core/LibraryError"]
      const typed = mapping === undefined ? inner : isPythonException(inner) ? mapping.read(inner, Class) : undefined
      // an instance of one of the classes, as the test has just said
      if (typed instanceof Class) return typed as InstanceType<Classes[number]>
      if (inner === noted && typed !== undefined) inner = noted = typed
    }
    return noted as E // `read` answers its exception, which was `error`
  }

// ---------------------------------------------------------------------------------------------------------------------
// For people
// ---------------------------------------------------------------------------------------------------------------------

/**
 * The whole story as text, for a terminal or a log: where TypeScript called, what it called, Python's traceback with source
 * lines and carets, notes, suggestions, causes and the members of groups. `stack` has the same in short.
 */
export const render = (
  error: PythonExceptionValue,
  options: {
    /** Defaults to true when stderr is a terminal and `NO_COLOR` is not set. */
    readonly colors?: boolean | undefined
  } = {}
): string => report(error, options.colors ?? wantsColors())
