import { assert, describe, it } from "@effect/vitest"
import { parseRange } from "../../src/internal/versionRange.ts"

describe("parseRange", () => {
  it("holds for the versions within, and for no others", () => {
    for (const [range, version, holds] of [
      [">=2", "2.0.0", true],
      [">=2", "1.10.4", false],
      [">=2, <3", "2.5.1+cu121", true],
      [">=2,<3", "3.0", false],
      ["<3", "3.0rc1", false],
      [">1.9", "1.10", true],
      ["==2.1", "2.1.0", true],
      ["!=2.1", "2.1", false],
      ["<=2.1", "2.1.1", false]
    ] as const) {
      assert.strictEqual(parseRange(range)(version), holds, `${version} in ${range}`)
    }
  })

  it("throws for what is no range", () => {
    for (const range of ["", "2", "~=2", ">=2 <3", "latest", "=>2"]) {
      assert.throws(() => parseRange(range), RangeError, 'expected a range of versions like ">=2, <3"')
    }
  })
})
