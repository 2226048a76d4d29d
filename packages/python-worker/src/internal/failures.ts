/** Turns the `cause` of a failed `Exit` into the errors that callers see. */
import { PythonError, SnakepitError } from "@snakepit/core"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"

/** The exit of a call, from the `exit` field of its message. */
export const decodeExit = (exit: unknown, target: string): Exit.Exit<unknown, SnakepitError.SnakepitError> => {
  const tag = field(exit, "_tag")
  if (tag === "Success") return Exit.succeed(field(exit, "value"))
  const cause = field(exit, "cause")
  if (tag !== "Failure" || !Array.isArray(cause) || cause.length === 0) return Exit.fail(malformed(exit))
  const reasons = cause.map((reason): Cause.Reason<SnakepitError.SnakepitError> => {
    switch (field(reason, "_tag")) {
      case "Fail":
        return Cause.makeFailReason(decodeError(field(reason, "error"), target))
      case "Interrupt":
        return Cause.makeInterruptReason(undefined)
      default:
        return Cause.makeDieReason(new Error(`${target} died in the worker: ${String(field(reason, "defect"))}`))
    }
  })
  return Exit.failCause(Cause.fromReasons(reasons))
}

const decodeError = (error: unknown, target: string): SnakepitError.SnakepitError => {
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
        ? pythonError(error, 0)
        : malformed(`the error of ${target}`)
  }
}

/** Chains longer than this are cut: a peer cannot make the decoder recurse without end. */
const maxChain = 64

const pythonError = (error: unknown, depth: number): PythonError.PythonError => {
  const chained = (name: string): PythonError.PythonError | undefined => {
    const value = field(error, name)
    return value === null || value === undefined || depth >= maxChain ? undefined : pythonError(value, depth + 1)
  }
  return PythonError.make(text(error, "_tag"), {
    pythonType: text(error, "pythonType"),
    mro: list(error, "mro").map(String),
    message: text(error, "message"),
    args: list(error, "args"),
    frames: list(error, "frames").map((frame) => ({
      file: text(frame, "file"),
      line: Number(field(frame, "line")),
      function: text(frame, "function"),
      source: text(frame, "source")
    })),
    notes: list(error, "notes").map(String),
    cause: chained("cause"),
    context: chained("context"),
    exceptions: depth >= maxChain ? [] : list(error, "exceptions").map((member) => pythonError(member, depth + 1)),
    call: callContext(field(error, "call")),
    mayHaveExecuted: true
  })
}

const callContext = (call: unknown): PythonError.CallContext | undefined =>
  typeof field(call, "target") !== "string"
    ? undefined
    : {
        target: text(call, "target"),
        callType: text(call, "callType"),
        arguments: list(call, "arguments").map((argument) => {
          const shape = field(argument, "shape")
          const dtype = field(argument, "dtype")
          return {
            name: text(argument, "name"),
            type: text(argument, "type"),
            ...(Array.isArray(shape) ? { shape: shape.map(Number) } : {}),
            ...(typeof dtype === "string" ? { dtype } : {})
          }
        })
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

const list = (value: unknown, name: string): ReadonlyArray<unknown> => {
  const found = field(value, name)
  return Array.isArray(found) ? found : []
}
