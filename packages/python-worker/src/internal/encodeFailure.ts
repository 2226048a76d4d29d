/**
 * What the encoder says of values that cannot cross.
 */
import { SnakepitError } from "@snakepit/core"
import { ZeroCopyError } from "@snakepit/zero-copy"
import * as Effect from "effect/Effect"
import { type Step, ValueFailure } from "./valueFailure.ts"

/** The text of whatever was thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What was thrown while a value was read; a getter or a proxy may throw anything. */
export const located = (error: unknown): ValueFailure =>
  error instanceof ValueFailure
    ? error
    : new ValueFailure("a value that throws when it is read", `It threw: ${messageOf(error)}.`)

/** The error that leaves the encoder: cycles are recognised here, where the whole path is known. */
export const encodeError = (error: unknown, root: string): SnakepitError.EncodeError => {
  const failure = located(error)
  const cycle = findCycle(failure.steps)
  if (cycle === undefined) {
    return new SnakepitError.EncodeError({ path: failure.path(root), actual: failure.actual, reason: failure.reason })
  }
  const ancestor = new ValueFailure("", "")
  ancestor.steps.push(...failure.steps.slice(cycle.outer + 1))
  const inner = new ValueFailure("", "")
  inner.steps.push(...failure.steps.slice(cycle.inner + 1))
  return new SnakepitError.EncodeError({
    path: inner.path(root),
    actual: `a reference back to ${ancestor.path(root)}`,
    reason: "Cyclic structures cannot cross; send ids instead of references."
  })
}

/** The outermost container that contains itself: where it stands, and where it stands again. */
const findCycle = (steps: ReadonlyArray<Step>): { readonly outer: number; readonly inner: number } | undefined => {
  const seen = new Map<object, number>()
  for (let i = steps.length - 1; i >= 0; i--) {
    const container = steps[i]?.container ?? {}
    const outer = seen.get(container)
    if (outer !== undefined) return { outer, inner: i }
    seen.set(container, i)
  }
  return undefined
}

/** `a string`, `an array`. */
export const article = (name: string): string => `${/^[AEIOU]/i.test(name) ? "an" : "a"} ${name}`

/** A value in the words of a message. */
export const describe = (value: object): string => {
  if (typeof value === "function") {
    const name: unknown = value.name
    return typeof name === "string" && name !== "" ? `the function ${name}` : "a function"
  }
  // Any object has a `constructor`, of any kind: only its name is used, and only if it is one.
  const name: unknown = (value as { readonly constructor?: { readonly name?: unknown } }).constructor?.name
  return typeof name === "string" && name !== "" && name !== "Object"
    ? `an instance of ${name}`
    : "an object with a prototype of its own"
}

/** Why its adapter does not send a value. */
export const adapterFailure = (value: object, adapter: string, error: unknown): ValueFailure =>
  error instanceof ZeroCopyError.LeaseClosed
    ? new ValueFailure(`${describe(value)} that is closed`, `Python cannot be given it: ${error.message}.`)
    : new ValueFailure(describe(value), `The value adapter "${adapter}" threw: ${messageOf(error)}.`)

/** Why an instance has no row in the value table, and what to do. */
export const unknownInstance = (value: object): ValueFailure => {
  if (ArrayBuffer.isView(value)) {
    return new ValueFailure(
      article(value.constructor.name),
      "Typed arrays cross as tensors: provide the tensor adapter of @snakepit/zero-copy."
    )
  }
  if (value instanceof Promise) return new ValueFailure("a Promise", "Await it first.")
  if (Effect.isEffect(value)) return new ValueFailure("an Effect", "Run it first, and send what it succeeds with.")
  const arrow = partsOfTables.find(({ mark }) => mark in value)
  if (arrow !== undefined) return new ValueFailure(arrow.name, `Send a table of it: ${arrow.table}.`)
  return new ValueFailure(
    describe(value),
    "Send a plain object, encode it with its Schema first, or provide a ValueAdapter for its class."
  )
}

/** Classes of apache-arrow, by what they are marked with; of these only tables cross. */
const partsOfTables = [
  { mark: Symbol.for("apache-arrow/RecordBatch"), name: "a RecordBatch of apache-arrow", table: "new Table(batch)" },
  { mark: Symbol.for("apache-arrow/Vector"), name: "a Vector of apache-arrow", table: "new Table({ name: vector })" }
]
