/**
 * An error as one story: where TypeScript called, what it called in Python, and Python's traceback. Short as the `stack` of every
 * error of a call, which `Cause.pretty` prints; in full, with causes and group members, as `PythonError.render`.
 *
 * Nothing is formatted before somebody reads it.
 */
import type { Call } from "../Call.ts"
import type { Frame, PythonError, PythonExceptionValue } from "../PythonError.ts"
import { callSiteLines } from "./callSite.ts"

/** The call that an error ended; the first one, when the error went through several. */
type Place = Pick<Call, "target" | "callType" | "site">

/** Lets a derived class put its private fields on an object that is there. */
// oxlint-disable-next-line typescript/no-extraneous-class -- no function is a base to TypeScript
class Given {
  constructor(object: object) {
    return object
  }
}

/**
 * Where an error's story begins, when that is known, in a private field of the error. A property would make errors of two places
 * unequal, since `Equal` looks at those with symbols too; a `WeakMap` costs each collection of garbage its time.
 */
class Story extends Given {
  #place: Place | undefined

  static addTo(error: object): Story {
    return new Story(error)
  }

  static isIn(error: object): boolean {
    return #place in error
  }

  static placeIn(error: object): Place | undefined {
    return #place in error ? error.#place : undefined
  }

  static begin(error: object, { callType, site, target }: Place): void {
    // of the call no more than the story needs: an error may be kept for long, arguments and contexts are not to be
    if (#place in error) error.#place ??= { target, callType, site }
  }
}

const { placeIn } = Story

const stackProperty: PropertyDescriptor & ThisType<Error> = {
  configurable: true,
  enumerable: false,
  get() {
    return [`${this.name}: ${this.message}`, ...body(this, placeIn(this), plain)].join("\n")
  },
  set(stack: unknown) {
    Object.defineProperty(this, "stack", { value: stack, writable: true })
  }
}

const untold = <E extends object>(error: E): E => {
  Story.addTo(error)
  return Object.defineProperty(error, "stack", stackProperty)
}

/** Gives an error the `stack` that tells the story of its call. */
export const tellStory = <E extends object>(error: E, place: Place | undefined): E => {
  if (!(error instanceof Error)) return error
  if (!Story.isIn(error)) {
    forgetStack(error)
    untold(error)
  }
  if (place !== undefined) Story.begin(error, place)
  return error
}

/** Makes an error whose story begins at the place of its call: where a reply was read says nothing. */
export const makeUntold = <E extends object>(construct: () => E): E => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return untold(construct())
  } finally {
    Error.stackTraceLimit = limit
  }
}

/**
 * V8 keeps the functions of a stack that nobody has read, with all that they see, also behind a `stack` of ours: half a megabyte
 * of a worker that is gone. Another, empty stack takes its place.
 */
const forgetStack = (error: Error): void => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  Error.captureStackTrace(error)
  Error.stackTraceLimit = limit
}

/** Lets an error that was made of another tell the other's story. */
export const retell = <E extends object>(error: E, original: object): E => tellStory(error, placeIn(original))

/** An error for a console: of Python's the whole report, of others the stack. */
export const print = (error: Error, colors: boolean): string =>
  isPython(error) ? report(error, colors) : String(error.stack)

/** The whole report, with causes, contexts and the members of groups. */
export const report = (error: PythonExceptionValue, colors: boolean): string =>
  inFull(error, placeIn(error), colors ? colored : plain).join("\n")

/** Whether stderr is a terminal that shows colours: `NO_COLOR` (no-color.org) and `FORCE_COLOR` have the last word. */
export const wantsColors = (): boolean => {
  const { env, stderr } = globalThis.process ?? {}
  if (env?.["NO_COLOR"]) return false
  if (env?.["FORCE_COLOR"]) return env["FORCE_COLOR"] !== "0"
  return stderr?.isTTY === true && env?.["TERM"] !== "dumb"
}

// ---------------------------------------------------------------------------------------------------------------------
// Text
// ---------------------------------------------------------------------------------------------------------------------

type Style = (text: string) => string

interface Styles {
  readonly fault: Style
  readonly quiet: Style
  readonly advice: Style
  readonly boundary: Style
}

const same: Style = (text) => text
const plain: Styles = { fault: same, quiet: same, advice: same, boundary: same }

const ansi =
  (code: number): Style =>
  (text) =>
    `\u001b[${code}m${text}\u001b[0m`
const colored: Styles = { fault: ansi(31), quiet: ansi(2), advice: ansi(32), boundary: ansi(36) }

const isPython = (error: object): error is PythonExceptionValue => "pythonType" in error && "frames" in error

const inFull = (error: PythonExceptionValue, place: Place | undefined, styles: Styles): ReadonlyArray<string> => {
  const linked = (why: string, other: PythonExceptionValue | undefined) =>
    other === undefined ? [] : [styles.quiet(why), ...indent(inFull(other, placeIn(other), styles))]
  return [
    headline(error, styles),
    ...body(error, place, styles),
    ...error.exceptions.flatMap((member, index) =>
      linked(`  member ${index + 1} of ${error.exceptions.length}:`, member)
    ),
    ...linked("  caused by", error.cause),
    // Python shows a cause instead of a context
    ...(error.cause === undefined ? linked("  while handling", error.context) : [])
  ]
}

const headline = (error: PythonExceptionValue, styles: Styles): string => {
  const name = error.pythonType === error._tag ? error._tag : `${error._tag} (${error.pythonType})`
  return `${styles.fault(name)}: ${error.message}`
}

const indent = (lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.flatMap((line) => line.split("\n")).map((line) => `    ${line}`)

/** Everything about one error but its name, message and the errors it is linked to. */
const body = (error: Error, place: Place | undefined, styles: Styles): ReadonlyArray<string> => [
  ...callSiteLines(place?.site),
  ...boundary(error, place, styles),
  ...(isPython(error) ? python(error, styles) : [])
]

const boundary = (error: Error, place: Place | undefined, styles: Styles): ReadonlyArray<string> => {
  const call = isPython(error) ? error.call : undefined
  const { callType, target } = place ?? call ?? {}
  if (target === undefined) return []
  const given = (call?.arguments ?? []).map(({ device, dtype, name, shape, type }) =>
    [`${name}: ${type}`, dtype, shape && tuple(shape), device && `on ${device}`].filter(Boolean).join(" ")
  )
  return [
    styles.boundary(`    -- Python: ${target} [${callType}], most recent call last --`),
    ...given.map((argument) => styles.quiet(`    | ${argument}`))
  ]
}

const python = (error: PythonExceptionValue, styles: Styles): ReadonlyArray<string> => [
  ...error.frames.flatMap((frame) => traceback(frame, styles)),
  ...(error.syntax === undefined ? [] : traceback({ ...error.syntax, function: "<text>" }, styles)),
  ...error.notes.map((note) => `    note: ${note}`),
  ...facts(error).map((fact) => `    ${fact}`),
  ...("suggestion" in error ? [styles.advice(`    suggestion: ${String(error.suggestion)}`)] : []),
  ...(error.truncated ?? []).map(({ field, kept, pythonType, total }) =>
    styles.quiet(`    left out: ${total - kept} of ${total} of ${field}${pythonType ? ` (${pythonType})` : ""}`)
  ),
  ...(error.repro === undefined ? [] : [`    reproduce it: ${error.repro}`])
]

/** What the fields of a machine-learning error say, where a message often does not. */
const facts = (error: PythonExceptionValue): ReadonlyArray<string> => {
  const known = error as PythonError // a class of `LibraryError` has a tag that is none of these
  switch (known._tag) {
    case "ShapeMismatch":
      return [`shapes: ${known.operands.map(({ name, shape }) => `${name} ${tuple(shape)}`).join(", ")}`]
    case "DtypeMismatch":
      return known.expected === null && known.actual === null
        ? []
        : [`dtypes: expected ${known.expected ?? "another"}, got ${known.actual ?? "one that does not fit"}`]
    case "DeviceMismatch":
      return [`devices: ${known.operands.map(({ device, name }) => `${name} on ${device}`).join(", ")}`]
    case "OutOfMemory":
      return known.requestedBytes === null && known.freeBytes === null && known.totalBytes === null
        ? []
        : [
            `memory of ${known.device}: ${bytes(known.requestedBytes)} requested, ${bytes(known.freeBytes)} free of ${bytes(known.totalBytes)}`
          ]
    default:
      return []
  }
}

/** A shape as Python writes it. */
const tuple = (shape: ReadonlyArray<number | null>): string =>
  `(${shape.map((size) => size ?? "?").join(", ")}${shape.length === 1 ? "," : ""})`

const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const

const bytes = (count: number | null): string => {
  if (count === null) return "an unknown amount"
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, count)) / 10))
  return `${Number((count / 2 ** (10 * power)).toPrecision(3))} ${units[power]}`
}

/** The form of a JavaScript frame, so that terminals and editors make links of it. */
const traceback = (frame: Frame, styles: Styles): ReadonlyArray<string> => {
  const position = [frame.file, frame.line, ...(frame.column === undefined ? [] : [frame.column])].join(":")
  const lines = [`    at ${frame.function} (${position})`]
  if (frame.source !== "") lines.push(styles.quiet(`        ${frame.source}`))
  if (frame.source !== "" && frame.caret !== undefined) {
    const [start, end] = frame.caret
    lines.push(styles.fault(`        ${" ".repeat(start)}${"^".repeat(Math.max(1, end - start))}`))
  }
  return lines
}
