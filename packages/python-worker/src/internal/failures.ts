/** Turns the `cause` of a failed `Exit` into the errors that callers see. */
import { PythonError, SnakepitError } from "@snakepit/core"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/** What TypeScript functions failed with, by the request that Python called them with. */
export type Originals = ReadonlyMap<number, unknown>

const noOriginals: Originals = new Map()

/** The exit of a call, from the `exit` field of its message. */
export const decodeExit = (
  exit: unknown,
  target: string,
  originals = noOriginals
): Exit.Exit<unknown, SnakepitError.SnakepitError> => {
  const tag = field(exit, "_tag")
  if (tag === "Success") return Exit.succeed(field(exit, "value"))
  const cause = field(exit, "cause")
  if (tag !== "Failure" || !Array.isArray(cause) || cause.length === 0) return Exit.fail(malformed(exit))
  const reasons = cause.map((reason): Cause.Reason<SnakepitError.SnakepitError> => {
    switch (field(reason, "_tag")) {
      case "Fail":
        return Cause.makeFailReason(decodeError(field(reason, "error"), target, originals))
      case "Interrupt":
        return Cause.makeInterruptReason(undefined)
      default:
        return Cause.makeDieReason(new Error(`${target} died in the worker: ${String(field(reason, "defect"))}`))
    }
  })
  return Exit.failCause(Cause.fromReasons(reasons))
}

/** The error of a failed call, from the `error` field of a `Fail`. */
export const decodeError = (error: unknown, target: string, originals = noOriginals): SnakepitError.SnakepitError => {
  switch (field(error, "_tag")) {
    case "SessionLost":
      return new SnakepitError.SessionLost({
        session: text(error, "session"),
        reason: text(error, "reason"),
        mayHaveExecuted: false
      })
    case "UnserializableResult":
      return new SnakepitError.UnserializableResult({
        path: text(error, "path"),
        pythonType: text(error, "pythonType"),
        repr: text(error, "repr"),
        reason: text(error, "reason")
      })
    case "DecodeError":
      return new SnakepitError.DecodeError({
        path: text(error, "path"),
        expected: text(error, "expected"),
        actual: text(error, "actual"),
        mayHaveExecuted: false
      })
    case "ProtocolError":
      return new SnakepitError.ProtocolError({ reason: text(error, "reason"), mayHaveExecuted: false })
    default:
      return typeof field(error, "pythonType") === "string"
        ? pythonError(error, 0, originals)
        : malformed(`the error of ${target}`)
  }
}

/** Decodes a part of an error; what came over the wire may be anything. */
function decoderOf<A>(schema: Schema.Decoder<A>): (value: unknown) => A | undefined {
  const decode = Schema.decodeUnknownOption(schema)
  return (value) => (value === undefined ? undefined : Option.getOrUndefined(decode(value)))
}

/** Chains longer than this are cut: a peer cannot make the decoder recurse without end. */
const maxChain = 64

const pythonError = (error: unknown, depth: number, originals: Originals): PythonError.PythonError => {
  const chained = (name: string): PythonError.PythonError | undefined => {
    const value = field(error, name)
    return value === null || value === undefined || depth >= maxChain
      ? undefined
      : pythonError(value, depth + 1, originals)
  }
  const details: Draft<PythonError.Details> = {
    pythonType: text(error, "pythonType"),
    mro: list(error, "mro").map(String),
    message: text(error, "message"),
    args: list(error, "args"),
    frames: list(error, "frames").map((frame) => ({ ...location(frame), function: text(frame, "function") })),
    notes: list(error, "notes").map(String),
    cause: chained("cause"),
    context: chained("context"),
    exceptions:
      depth >= maxChain ? [] : list(error, "exceptions").map((member) => pythonError(member, depth + 1, originals)),
    call: callContext(field(error, "call")),
    mayHaveExecuted: true
  }
  const truncated = decodeTruncated(field(error, "truncated"))
  if (truncated !== undefined) details.truncated = truncated
  const syntax = decodeSyntax(field(error, "syntax"))
  if (syntax !== undefined) details.syntax = syntax
  const library = decodeLibrary(field(error, "library"))
  if (library !== undefined) details.library = library
  const repro = textOrNothing(error, "repro")
  if (repro !== undefined) details.repro = repro
  if (details.mro.includes(PythonError.callbackErrorType)) {
    const callback = field(error, "callback")
    const original = typeof callback === "number" ? originals.get(callback) : undefined
    return PythonError.makeUnsafe("CallbackError", { ...details, original })
  }
  const ml = field(error, "ml")
  // Python itself raises a MemoryError that says nothing
  if (details.message === "" && field(ml, "_tag") === "OutOfMemory") {
    details.message = `no memory is left: ${text(ml, "suggestion")}`
  }
  return (
    (typeof ml === "object" && ml !== null ? machineLearningError({ ...ml, ...details }) : undefined) ??
    PythonError.makeUnsafe(text(error, "_tag"), details)
  )
}

/** What is between arrays and devices has classes of its own; what does not match them keeps the tag of its Python class. */
const machineLearningError = decoderOf(
  Schema.Union([
    PythonError.ShapeMismatch,
    PythonError.DtypeMismatch,
    PythonError.DeviceMismatch,
    PythonError.DeviceNotAvailable,
    PythonError.OutOfMemory
  ])
)

const decodeTruncated = decoderOf(Schema.Array(PythonError.Truncation))
const decodeSyntax = decoderOf(PythonError.SyntaxLocation)
const decodeLibrary = decoderOf(PythonError.LibraryReport)

/** Something that is being made. Every call that fails makes one, so parts are set, not spread. */
type Draft<A> = { -readonly [K in keyof A]: A[K] }

const location = (frame: unknown): Draft<PythonError.SyntaxLocation> => {
  const place: Draft<PythonError.SyntaxLocation> = {
    file: text(frame, "file"),
    line: Number(field(frame, "line")),
    source: text(frame, "source")
  }
  const column = field(frame, "column")
  if (typeof column === "number") place.column = column
  const caret = field(frame, "caret")
  if (Array.isArray(caret) && caret.length === 2) place.caret = [Number(caret[0]), Number(caret[1])]
  return place
}

const callContext = (call: unknown): PythonError.CallContext | undefined =>
  typeof field(call, "target") !== "string"
    ? undefined
    : {
        target: text(call, "target"),
        callType: text(call, "callType"),
        arguments: list(call, "arguments").map(argumentOf)
      }

const argumentOf = (given: unknown): PythonError.CallContext["arguments"][number] => {
  const argument: Draft<PythonError.CallContext["arguments"][number]> = {
    name: text(given, "name"),
    type: text(given, "type")
  }
  const shape = field(given, "shape")
  if (Array.isArray(shape)) argument.shape = shape.map(Number)
  const dtype = textOrNothing(given, "dtype")
  if (dtype !== undefined) argument.dtype = dtype
  const device = textOrNothing(given, "device")
  if (device !== undefined) argument.device = device
  return argument
}

const malformed = (what: unknown): SnakepitError.ProtocolError =>
  new SnakepitError.ProtocolError({
    reason: `expected the exit of a call, got ${typeof what === "string" ? what : JSON.stringify(what)}`,
    mayHaveExecuted: true
  })

/** A field of something that came over the wire and may be anything. */
export const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined

const text = (value: unknown, name: string): string => {
  const found = field(value, name)
  return typeof found === "string" ? found : String(found ?? "")
}

const textOrNothing = (value: unknown, name: string): string | undefined => {
  const found = field(value, name)
  return typeof found === "string" ? found : undefined
}

const list = (value: unknown, name: string): ReadonlyArray<unknown> => {
  const found = field(value, name)
  return Array.isArray(found) ? found : []
}
