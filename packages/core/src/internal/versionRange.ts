/** Ranges of library versions, in pip's notation as far as releases go: `>=2, <3, !=2.1`. Other parts of a version do not count. */

type Test = (version: ReadonlyArray<number>) => boolean

const tests: Readonly<Record<string, (order: number) => boolean>> = {
  ">=": (order) => order >= 0,
  "<=": (order) => order <= 0,
  ">": (order) => order > 0,
  "<": (order) => order < 0,
  "==": (order) => order === 0,
  "!=": (order) => order !== 0
}

/** The test whether a version is within a range; throws `RangeError` when the range is none. */
export const parseRange = (range: string): ((version: string) => boolean) => {
  const all = range.split(",").map((part): Test => {
    const [, operator = "", release = ""] = /^\s*(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+)*)\s*$/.exec(part) ?? []
    const test = tests[operator]
    if (test === undefined)
      throw new RangeError(`expected a range of versions like ">=2, <3", got ${JSON.stringify(range)}`)
    const bound = numbers(release)
    return (version) => test(compare(version, bound))
  })
  return (version) => all.every((test) => test(numbers(version)))
}

/** The release of a version: `2.5.1` of `2.5.1+cu121`. */
const numbers = (version: string): ReadonlyArray<number> =>
  (/^\d+(?:\.\d+)*/.exec(version.replace(/^v/, ""))?.[0] ?? "0").split(".").map(Number)

const compare = (one: ReadonlyArray<number>, other: ReadonlyArray<number>): number => {
  for (let index = 0; index < Math.max(one.length, other.length); index++) {
    const difference = (one[index] ?? 0) - (other[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
