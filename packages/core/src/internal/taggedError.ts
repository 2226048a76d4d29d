/**
 * `Schema.TaggedError` for people who print errors: `console.error(error)` shows the story of the call, where Effect's own shows
 * the fields, without message and stack.
 */
import { NodeInspectSymbol } from "effect/Inspectable"
import * as Schema from "effect/Schema"
import { print } from "./errorStory.ts"

/** Takes what `Schema.TaggedError` takes. */
export const taggedError =
  <Self>(identifier?: string) =>
  <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) => {
    const Class = Schema.TaggedError<Self>(identifier)(tag, fields)
    // for the compiler it is a text where `Self` is missing
    if (typeof Class === "function") Object.defineProperty(Class.prototype, NodeInspectSymbol, inspectProperty)
    return Class
  }

/**
 * Makes an instance of fields that are right already, as Schema does behind the check of its constructor: the check costs as much
 * as all else that an error costs, with `disableChecks` too.
 */
export const makeTrusted = <E extends object>(
  Class: abstract new (...args: never) => E,
  fields: { readonly _tag: string }
): E => {
  const checking: object = Object.getPrototypeOf(Class)
  const Error = Object.getPrototypeOf(checking)
  return Reflect.construct(Error, [fields], Class)
}

const inspectProperty: PropertyDescriptor & ThisType<Error> = {
  configurable: true,
  value(_depth: unknown, options: { readonly colors?: boolean } | undefined) {
    return print(this, options?.colors === true)
  }
}
