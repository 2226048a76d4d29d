/**
 * Python exceptions as a tagged error union.
 *
 * An exception is tagged with its nearest public built-in class: `json.JSONDecodeError` arrives as `ValueError`, with its
 * real class in `pythonType` and the whole ancestry in `mro`. A built-in subclass has its own tag, so
 * `Effect.catchTag("LookupError", ...)` does not see a `KeyError`; {@link catchInstanceOf} follows Python's rule instead.
 *
 * Classes here share names with JavaScript's own errors on purpose (`TypeError`, `SyntaxError`): reach them through the
 * namespace, `PythonError.TypeError`.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ancestry } from "./internal/exceptionAncestry.ts"

/** One line of a Python traceback. */
export interface Frame {
  readonly file: string
  readonly line: number
  readonly function: string
  readonly source: string
}

/** What the failed call was: its target and the Python types (and shapes, dtypes) of its arguments. */
export interface CallContext {
  readonly target: string
  readonly callType: string
  readonly arguments: ReadonlyArray<{
    readonly name: string
    readonly type: string
    readonly shape?: ReadonlyArray<number> | undefined
    readonly dtype?: string | undefined
  }>
}

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
  /** False only when the target cannot have run. */
  readonly mayHaveExecuted: boolean
}

/** Any Python exception, seen through the fields they share. */
export interface PythonExceptionValue extends Error, Details {
  readonly _tag: string
  readonly message: string
  readonly cause?: PythonExceptionValue | undefined
}

/** Whether a value is a Python exception that crossed. */
export const isPythonError = (u: unknown): u is PythonError =>
  u instanceof Error && "_tag" in u && "pythonType" in u && "mro" in u

const Chained = Schema.declare((u: unknown): u is PythonExceptionValue => isPythonError(u), {
  identifier: "PythonError"
})

const fields = {
  pythonType: Schema.String,
  mro: Schema.Array(Schema.String),
  message: Schema.String,
  args: Schema.Array(Schema.Any),
  frames: Schema.Array(
    Schema.Struct({ file: Schema.String, line: Schema.Int, function: Schema.String, source: Schema.String })
  ),
  notes: Schema.Array(Schema.String),
  cause: Schema.optional(Chained),
  context: Schema.optional(Chained),
  exceptions: Schema.Array(Chained),
  call: Schema.optional(
    Schema.Struct({
      target: Schema.String,
      callType: Schema.String,
      arguments: Schema.Array(
        Schema.Struct({
          name: Schema.String,
          type: Schema.String,
          shape: Schema.optional(Schema.Array(Schema.Number)),
          dtype: Schema.optional(Schema.String)
        })
      )
    })
  ),
  mayHaveExecuted: Schema.Boolean
}

/** Python's `SystemExit`, or a subclass without a tag of its own. */
export class SystemExit extends Schema.TaggedError<SystemExit>("@snakepit/core/PythonError/SystemExit")(
  "SystemExit",
  fields
) {}

/** Python's `KeyboardInterrupt`, or a subclass without a tag of its own. */
export class KeyboardInterrupt extends Schema.TaggedError<KeyboardInterrupt>(
  "@snakepit/core/PythonError/KeyboardInterrupt"
)("KeyboardInterrupt", fields) {}

/** Python's `GeneratorExit`, or a subclass without a tag of its own. */
export class GeneratorExit extends Schema.TaggedError<GeneratorExit>("@snakepit/core/PythonError/GeneratorExit")(
  "GeneratorExit",
  fields
) {}

/** Python's `StopIteration`, or a subclass without a tag of its own. */
export class StopIteration extends Schema.TaggedError<StopIteration>("@snakepit/core/PythonError/StopIteration")(
  "StopIteration",
  fields
) {}

/** Python's `StopAsyncIteration`, or a subclass without a tag of its own. */
export class StopAsyncIteration extends Schema.TaggedError<StopAsyncIteration>(
  "@snakepit/core/PythonError/StopAsyncIteration"
)("StopAsyncIteration", fields) {}

/** Python's `ArithmeticError`, or a subclass without a tag of its own. */
export class ArithmeticError extends Schema.TaggedError<ArithmeticError>("@snakepit/core/PythonError/ArithmeticError")(
  "ArithmeticError",
  fields
) {}

/** Python's `FloatingPointError`, or a subclass without a tag of its own. */
export class FloatingPointError extends Schema.TaggedError<FloatingPointError>(
  "@snakepit/core/PythonError/FloatingPointError"
)("FloatingPointError", fields) {}

/** Python's `OverflowError`, or a subclass without a tag of its own. */
export class OverflowError extends Schema.TaggedError<OverflowError>("@snakepit/core/PythonError/OverflowError")(
  "OverflowError",
  fields
) {}

/** Python's `ZeroDivisionError`, or a subclass without a tag of its own. */
export class ZeroDivisionError extends Schema.TaggedError<ZeroDivisionError>(
  "@snakepit/core/PythonError/ZeroDivisionError"
)("ZeroDivisionError", fields) {}

/** Python's `AssertionError`, or a subclass without a tag of its own. */
export class AssertionError extends Schema.TaggedError<AssertionError>("@snakepit/core/PythonError/AssertionError")(
  "AssertionError",
  fields
) {}

/** Python's `AttributeError`, or a subclass without a tag of its own. */
export class AttributeError extends Schema.TaggedError<AttributeError>("@snakepit/core/PythonError/AttributeError")(
  "AttributeError",
  fields
) {}

/** Python's `BufferError`, or a subclass without a tag of its own. */
export class BufferError extends Schema.TaggedError<BufferError>("@snakepit/core/PythonError/BufferError")(
  "BufferError",
  fields
) {}

/** Python's `EOFError`, or a subclass without a tag of its own. */
export class EOFError extends Schema.TaggedError<EOFError>("@snakepit/core/PythonError/EOFError")("EOFError", fields) {}

/** Python's `ImportError`, or a subclass without a tag of its own. */
export class ImportError extends Schema.TaggedError<ImportError>("@snakepit/core/PythonError/ImportError")(
  "ImportError",
  fields
) {}

/** Python's `ModuleNotFoundError`, or a subclass without a tag of its own. */
export class ModuleNotFoundError extends Schema.TaggedError<ModuleNotFoundError>(
  "@snakepit/core/PythonError/ModuleNotFoundError"
)("ModuleNotFoundError", fields) {}

/** Python's `LookupError`, or a subclass without a tag of its own. */
export class LookupError extends Schema.TaggedError<LookupError>("@snakepit/core/PythonError/LookupError")(
  "LookupError",
  fields
) {}

/** Python's `IndexError`, or a subclass without a tag of its own. */
export class IndexError extends Schema.TaggedError<IndexError>("@snakepit/core/PythonError/IndexError")(
  "IndexError",
  fields
) {}

/** Python's `KeyError`, or a subclass without a tag of its own. */
export class KeyError extends Schema.TaggedError<KeyError>("@snakepit/core/PythonError/KeyError")("KeyError", fields) {}

/** Python's `MemoryError`, or a subclass without a tag of its own. */
export class MemoryError extends Schema.TaggedError<MemoryError>("@snakepit/core/PythonError/MemoryError")(
  "MemoryError",
  fields
) {}

/** Python's `NameError`, or a subclass without a tag of its own. */
export class NameError extends Schema.TaggedError<NameError>("@snakepit/core/PythonError/NameError")(
  "NameError",
  fields
) {}

/** Python's `UnboundLocalError`, or a subclass without a tag of its own. */
export class UnboundLocalError extends Schema.TaggedError<UnboundLocalError>(
  "@snakepit/core/PythonError/UnboundLocalError"
)("UnboundLocalError", fields) {}

/** Python's `OSError`, or a subclass without a tag of its own. */
export class OSError extends Schema.TaggedError<OSError>("@snakepit/core/PythonError/OSError")("OSError", fields) {}

/** Python's `BlockingIOError`, or a subclass without a tag of its own. */
export class BlockingIOError extends Schema.TaggedError<BlockingIOError>("@snakepit/core/PythonError/BlockingIOError")(
  "BlockingIOError",
  fields
) {}

/** Python's `ChildProcessError`, or a subclass without a tag of its own. */
export class ChildProcessError extends Schema.TaggedError<ChildProcessError>(
  "@snakepit/core/PythonError/ChildProcessError"
)("ChildProcessError", fields) {}

/** Python's `ConnectionError`, or a subclass without a tag of its own. */
export class ConnectionError extends Schema.TaggedError<ConnectionError>("@snakepit/core/PythonError/ConnectionError")(
  "ConnectionError",
  fields
) {}

/** Python's `BrokenPipeError`, or a subclass without a tag of its own. */
export class BrokenPipeError extends Schema.TaggedError<BrokenPipeError>("@snakepit/core/PythonError/BrokenPipeError")(
  "BrokenPipeError",
  fields
) {}

/** Python's `ConnectionAbortedError`, or a subclass without a tag of its own. */
export class ConnectionAbortedError extends Schema.TaggedError<ConnectionAbortedError>(
  "@snakepit/core/PythonError/ConnectionAbortedError"
)("ConnectionAbortedError", fields) {}

/** Python's `ConnectionRefusedError`, or a subclass without a tag of its own. */
export class ConnectionRefusedError extends Schema.TaggedError<ConnectionRefusedError>(
  "@snakepit/core/PythonError/ConnectionRefusedError"
)("ConnectionRefusedError", fields) {}

/** Python's `ConnectionResetError`, or a subclass without a tag of its own. */
export class ConnectionResetError extends Schema.TaggedError<ConnectionResetError>(
  "@snakepit/core/PythonError/ConnectionResetError"
)("ConnectionResetError", fields) {}

/** Python's `FileExistsError`, or a subclass without a tag of its own. */
export class FileExistsError extends Schema.TaggedError<FileExistsError>("@snakepit/core/PythonError/FileExistsError")(
  "FileExistsError",
  fields
) {}

/** Python's `FileNotFoundError`, or a subclass without a tag of its own. */
export class FileNotFoundError extends Schema.TaggedError<FileNotFoundError>(
  "@snakepit/core/PythonError/FileNotFoundError"
)("FileNotFoundError", fields) {}

/** Python's `InterruptedError`, or a subclass without a tag of its own. */
export class InterruptedError extends Schema.TaggedError<InterruptedError>(
  "@snakepit/core/PythonError/InterruptedError"
)("InterruptedError", fields) {}

/** Python's `IsADirectoryError`, or a subclass without a tag of its own. */
export class IsADirectoryError extends Schema.TaggedError<IsADirectoryError>(
  "@snakepit/core/PythonError/IsADirectoryError"
)("IsADirectoryError", fields) {}

/** Python's `NotADirectoryError`, or a subclass without a tag of its own. */
export class NotADirectoryError extends Schema.TaggedError<NotADirectoryError>(
  "@snakepit/core/PythonError/NotADirectoryError"
)("NotADirectoryError", fields) {}

/** Python's `PermissionError`, or a subclass without a tag of its own. */
export class PermissionError extends Schema.TaggedError<PermissionError>("@snakepit/core/PythonError/PermissionError")(
  "PermissionError",
  fields
) {}

/** Python's `ProcessLookupError`, or a subclass without a tag of its own. */
export class ProcessLookupError extends Schema.TaggedError<ProcessLookupError>(
  "@snakepit/core/PythonError/ProcessLookupError"
)("ProcessLookupError", fields) {}

/** Python's `TimeoutError`, or a subclass without a tag of its own. */
export class TimeoutError extends Schema.TaggedError<TimeoutError>("@snakepit/core/PythonError/TimeoutError")(
  "TimeoutError",
  fields
) {}

/** Python's `ReferenceError`, or a subclass without a tag of its own. */
export class ReferenceError extends Schema.TaggedError<ReferenceError>("@snakepit/core/PythonError/ReferenceError")(
  "ReferenceError",
  fields
) {}

/** Python's `RuntimeError`, or a subclass without a tag of its own. */
export class RuntimeError extends Schema.TaggedError<RuntimeError>("@snakepit/core/PythonError/RuntimeError")(
  "RuntimeError",
  fields
) {}

/** Python's `NotImplementedError`, or a subclass without a tag of its own. */
export class NotImplementedError extends Schema.TaggedError<NotImplementedError>(
  "@snakepit/core/PythonError/NotImplementedError"
)("NotImplementedError", fields) {}

/** Python's `RecursionError`, or a subclass without a tag of its own. */
export class RecursionError extends Schema.TaggedError<RecursionError>("@snakepit/core/PythonError/RecursionError")(
  "RecursionError",
  fields
) {}

/** Python's `PythonFinalizationError`, or a subclass without a tag of its own. */
export class PythonFinalizationError extends Schema.TaggedError<PythonFinalizationError>(
  "@snakepit/core/PythonError/PythonFinalizationError"
)("PythonFinalizationError", fields) {}

/** Python's `SyntaxError`, or a subclass without a tag of its own. */
export class SyntaxError extends Schema.TaggedError<SyntaxError>("@snakepit/core/PythonError/SyntaxError")(
  "SyntaxError",
  fields
) {}

/** Python's `IndentationError`, or a subclass without a tag of its own. */
export class IndentationError extends Schema.TaggedError<IndentationError>(
  "@snakepit/core/PythonError/IndentationError"
)("IndentationError", fields) {}

/** Python's `TabError`, or a subclass without a tag of its own. */
export class TabError extends Schema.TaggedError<TabError>("@snakepit/core/PythonError/TabError")("TabError", fields) {}

/** Python's `SystemError`, or a subclass without a tag of its own. */
export class SystemError extends Schema.TaggedError<SystemError>("@snakepit/core/PythonError/SystemError")(
  "SystemError",
  fields
) {}

/** Python's `TypeError`, or a subclass without a tag of its own. */
export class TypeError extends Schema.TaggedError<TypeError>("@snakepit/core/PythonError/TypeError")(
  "TypeError",
  fields
) {}

/** Python's `ValueError`, or a subclass without a tag of its own. */
export class ValueError extends Schema.TaggedError<ValueError>("@snakepit/core/PythonError/ValueError")(
  "ValueError",
  fields
) {}

/** Python's `UnicodeError`, or a subclass without a tag of its own. */
export class UnicodeError extends Schema.TaggedError<UnicodeError>("@snakepit/core/PythonError/UnicodeError")(
  "UnicodeError",
  fields
) {}

/** Python's `UnicodeDecodeError`, or a subclass without a tag of its own. */
export class UnicodeDecodeError extends Schema.TaggedError<UnicodeDecodeError>(
  "@snakepit/core/PythonError/UnicodeDecodeError"
)("UnicodeDecodeError", fields) {}

/** Python's `UnicodeEncodeError`, or a subclass without a tag of its own. */
export class UnicodeEncodeError extends Schema.TaggedError<UnicodeEncodeError>(
  "@snakepit/core/PythonError/UnicodeEncodeError"
)("UnicodeEncodeError", fields) {}

/** Python's `UnicodeTranslateError`, or a subclass without a tag of its own. */
export class UnicodeTranslateError extends Schema.TaggedError<UnicodeTranslateError>(
  "@snakepit/core/PythonError/UnicodeTranslateError"
)("UnicodeTranslateError", fields) {}

/** Python's `ExceptionGroup`, or a subclass without a tag of its own. */
export class ExceptionGroup extends Schema.TaggedError<ExceptionGroup>("@snakepit/core/PythonError/ExceptionGroup")(
  "ExceptionGroup",
  fields
) {}

/** Python's `BaseExceptionGroup`, or a subclass without a tag of its own. */
export class BaseExceptionGroup extends Schema.TaggedError<BaseExceptionGroup>(
  "@snakepit/core/PythonError/BaseExceptionGroup"
)("BaseExceptionGroup", fields) {}

/** Python's `Warning`, or a subclass without a tag of its own. */
export class Warning extends Schema.TaggedError<Warning>("@snakepit/core/PythonError/Warning")("Warning", fields) {}

/** Python's `BytesWarning`, or a subclass without a tag of its own. */
export class BytesWarning extends Schema.TaggedError<BytesWarning>("@snakepit/core/PythonError/BytesWarning")(
  "BytesWarning",
  fields
) {}

/** Python's `DeprecationWarning`, or a subclass without a tag of its own. */
export class DeprecationWarning extends Schema.TaggedError<DeprecationWarning>(
  "@snakepit/core/PythonError/DeprecationWarning"
)("DeprecationWarning", fields) {}

/** Python's `EncodingWarning`, or a subclass without a tag of its own. */
export class EncodingWarning extends Schema.TaggedError<EncodingWarning>("@snakepit/core/PythonError/EncodingWarning")(
  "EncodingWarning",
  fields
) {}

/** Python's `FutureWarning`, or a subclass without a tag of its own. */
export class FutureWarning extends Schema.TaggedError<FutureWarning>("@snakepit/core/PythonError/FutureWarning")(
  "FutureWarning",
  fields
) {}

/** Python's `ImportWarning`, or a subclass without a tag of its own. */
export class ImportWarning extends Schema.TaggedError<ImportWarning>("@snakepit/core/PythonError/ImportWarning")(
  "ImportWarning",
  fields
) {}

/** Python's `PendingDeprecationWarning`, or a subclass without a tag of its own. */
export class PendingDeprecationWarning extends Schema.TaggedError<PendingDeprecationWarning>(
  "@snakepit/core/PythonError/PendingDeprecationWarning"
)("PendingDeprecationWarning", fields) {}

/** Python's `ResourceWarning`, or a subclass without a tag of its own. */
export class ResourceWarning extends Schema.TaggedError<ResourceWarning>("@snakepit/core/PythonError/ResourceWarning")(
  "ResourceWarning",
  fields
) {}

/** Python's `RuntimeWarning`, or a subclass without a tag of its own. */
export class RuntimeWarning extends Schema.TaggedError<RuntimeWarning>("@snakepit/core/PythonError/RuntimeWarning")(
  "RuntimeWarning",
  fields
) {}

/** Python's `SyntaxWarning`, or a subclass without a tag of its own. */
export class SyntaxWarning extends Schema.TaggedError<SyntaxWarning>("@snakepit/core/PythonError/SyntaxWarning")(
  "SyntaxWarning",
  fields
) {}

/** Python's `UnicodeWarning`, or a subclass without a tag of its own. */
export class UnicodeWarning extends Schema.TaggedError<UnicodeWarning>("@snakepit/core/PythonError/UnicodeWarning")(
  "UnicodeWarning",
  fields
) {}

/** Python's `UserWarning`, or a subclass without a tag of its own. */
export class UserWarning extends Schema.TaggedError<UserWarning>("@snakepit/core/PythonError/UserWarning")(
  "UserWarning",
  fields
) {}

/** An exception whose nearest built-in ancestor is `Exception` or `BaseException`: a library's own type. */
export class PythonException extends Schema.TaggedError<PythonException>("@snakepit/core/PythonError/PythonException")(
  "PythonException",
  fields
) {}

const classes = {
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

/** The tags of Python exceptions. */
export type Tag = keyof typeof classes

/** Every Python exception that can reach TypeScript. */
export type PythonError = InstanceType<(typeof classes)[Tag]>

/** Schema of the union. */
export const PythonError = Schema.Union(Object.values(classes))

/** All tags, the built-in classes of CPython 3.10 to 3.14 and `PythonException`. */
export const tags: ReadonlyArray<Tag> = Object.keys(classes) as Array<Tag> // the keys of `classes` are its `Tag`s by definition

/** Builds the error of a tag; an unknown tag becomes `PythonException`, so that a newer Python cannot break decoding. */
export const make = (tag: string, details: Details): PythonError => {
  const Class = Object.hasOwn(classes, tag) ? classes[tag as Tag] : PythonException // `hasOwn` has just proved the key
  return new Class(details, { disableChecks: true })
}

/**
 * An exception as Python would raise it, for tests: `PythonError.of("ValueError", "bad rate")`.
 *
 * `details` sets fields, `pythonType` among them for a library's own class: the ancestors of the tag follow it in `mro`.
 */
export const of = <const T extends Tag>(
  tag: T,
  message: string,
  details: Partial<Omit<Details, "message">> = {}
): InstanceType<(typeof classes)[T]> => {
  const builtIn = tag === "PythonException" ? "Exception" : tag
  const pythonType = details.pythonType ?? builtIn
  const error = make(tag, {
    pythonType,
    mro: pythonType === builtIn ? ancestry(builtIn) : [pythonType, ...ancestry(builtIn)],
    message,
    args: [message],
    frames: [],
    notes: [],
    exceptions: [],
    mayHaveExecuted: true,
    ...details
  })
  return error as InstanceType<(typeof classes)[T]> // `make` takes the class of the tag, and a `Tag` has one
}

/**
 * Whether the exception is an instance of the Python class, by Python's own rule: `isInstanceOf(error, "LookupError")` holds
 * for a `KeyError`. Takes qualified names as in `pythonType`; built-ins go without module.
 */
export const isInstanceOf = (error: { readonly mro: ReadonlyArray<string> }, pythonClass: string): boolean =>
  error.mro.includes(pythonClass)

/** Recovers from the exceptions that `except pythonClass` would catch in Python. */
export const catchInstanceOf =
  <A2, E2, R2>(pythonClass: string, recover: (error: PythonError) => Effect.Effect<A2, E2, R2>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A | A2, E | E2, R | R2> =>
    Effect.catchIf(
      self,
      (error) => isPythonError(error) && isInstanceOf(error, pythonClass),
      (error) => recover(error as PythonError) // the predicate above let only Python errors through
    )
