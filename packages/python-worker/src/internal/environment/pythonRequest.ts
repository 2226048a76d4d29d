/** Requests for a Python by version, as uv and `requires-python` write them: `3`, `3.13`, `3.13.1`, `cpython@3.12`, `>=3.11,<3.14`. */

const REQUEST = /^(?:(?:cpython|pypy|graalpy)@?)?(?:[<>=!~]=?=?\s*)?\d+(?:\.\d+)*(?:\.\*)?[a-z0-9+]*(?:\s*,.*)?$/

/** Whether the text asks for a version, and is no path or command. */
export const isRequest = (text: string): boolean => REQUEST.test(text.trim())

/** The request, limited to the versions that Snakepit supports where it would allow others. */
export const supported = (request: string | undefined, minimum: string): string => {
  if (request === undefined) return `>=${minimum}`
  const wanted = request.trim()
  return /^[<>=!~]/.test(wanted) && olderThan(minimum).some((version) => satisfies(wanted, version))
    ? `${wanted},>=${minimum}`
    : wanted
}

/** The first and the last version of each release of Python 3 before one like `3.10`. */
const olderThan = (minimum: string): ReadonlyArray<string> =>
  Array.from({ length: Number(minimum.split(".")[1]) }, (_, minor) => [`3.${minor}.0`, `3.${minor}.99`]).flat()

/** Whether a version like `3.13.1` is one of those asked for. Only the numbers are looked at. */
export const satisfies = (request: string, version: string): boolean =>
  request.split(",").every((part) => {
    const [, operator = "", wanted = ""] = /^\s*(?:[a-z]+@?)?([<>=!~]*)\s*(\d+(?:\.\d+)*)/.exec(part) ?? []
    const order = compare(version, wanted)
    const isPrefix = `${version}.`.startsWith(`${wanted}.`)
    if (operator === ">=") return order >= 0
    if (operator === ">") return order > 0 && !isPrefix
    if (operator === "<=") return order <= 0
    if (operator === "<") return order < 0
    if (operator === "!=") return !isPrefix
    if (operator === "~=") return order >= 0 && `${version}.`.startsWith(`${wanted.replace(/\.\d+$/, "")}.`)
    return isPrefix
  })

const compare = (one: string, other: string): number => {
  const [left, right] = [one, other].map((text) => text.split(".").map(Number))
  for (let index = 0; index < 3; index++) {
    const difference = (left?.[index] ?? 0) - (right?.[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
