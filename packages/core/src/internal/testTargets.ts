/** Finds what a call of the test worker is about: entries by dotted target, attributes of objects, and the errors of a miss. */
import type { Call } from "../Call.ts"
import { splitTarget } from "../Call.ts"
import * as PythonError from "../PythonError.ts"
import { type Member, member, requireMember, typeOf } from "./testObjects.ts"

/** Dunders that are part of an object's public face, whatever `allowPrivate` says. */
const publicDunders = new Set(["__call__", "__version__", "__name__", "__doc__", "__len__", "__file__"])

/** The entries of a test layer. */
export class TestTargets {
  private readonly entries = new Map<string, unknown>()

  constructor(targets: Readonly<Record<string, unknown>>) {
    for (const [target, entry] of Object.entries(targets)) {
      const { module, path } = splitTarget(target)
      this.entries.set(`${module}.${path}`, entry)
    }
  }

  /** The entry of a call, or an attribute of one: `"app.settings.rate"` reaches into the entry `"app.settings"`. */
  find(call: Call, allowPrivate: boolean): Member {
    const target = `${call.module}.${call.path}`
    const names = target.split(".")
    for (const name of names) checkName(name, target, allowPrivate)
    if (this.entries.has(target)) return { value: this.entries.get(target), owner: undefined }
    for (let depth = names.length - 1; depth > 0; depth--) {
      const prefix = names.slice(0, depth).join(".")
      if (!this.entries.has(prefix)) continue
      let found: Member = { value: this.entries.get(prefix), owner: undefined }
      for (const name of names.slice(depth)) {
        const next = member(found.value, name)
        if (next === undefined) {
          throw PythonError.of(
            "AttributeError",
            `object '${typeOf(found.value)}' has no attribute '${name}' (target '${target}')`
          )
        }
        found = next
      }
      return found
    }
    throw this.unknown(call, target)
  }

  private unknown(call: Call, target: string): PythonError.PythonError {
    const known = [...this.entries.keys()].map((name) => name.replace(/^builtins\./, "")).join(", ")
    const has = `the test layer has: ${known === "" ? "no targets" : known}`
    const isModule =
      call.module === "builtins" || [...this.entries.keys()].some((name) => name.startsWith(`${call.module}.`))
    return isModule
      ? PythonError.of(
          "AttributeError",
          `module '${call.module}' has no attribute '${call.path}' (target '${target}'); ${has}`
        )
      : PythonError.of("ModuleNotFoundError", `no module named '${call.module}' (target '${target}'); ${has}`)
  }
}

/** An attribute of the object behind a ref; `path` may be dotted. */
export const attribute = (owner: unknown, path: string, allowPrivate: boolean): Member => {
  let found: Member = { value: owner, owner: undefined }
  for (const name of path.split(".")) {
    checkName(name, path, allowPrivate)
    found = requireMember(found.value, name)
  }
  return found
}

/** Refuses names that start with an underscore, as the real worker does. */
export const checkName = (name: string, target: string, allowPrivate: boolean): void => {
  if (!name.startsWith("_") || allowPrivate || publicDunders.has(name)) return
  throw PythonError.of(
    "AttributeError",
    `'${target}' is private: names that start with an underscore are refused; set \`allowPrivate\` on the pool to allow them`
  )
}
