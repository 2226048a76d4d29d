import { assert, describe, it } from "@effect/vitest"
import { findPlaces } from "../../src/internal/segments.ts"

describe("findPlaces", () => {
  it("takes a folder that has the room that is wanted", () => {
    assert.deepStrictEqual(findPlaces(1024, "/tmp", "/var/tmp"), { roots: ["/tmp", "/var/tmp"], notice: undefined })
  })

  it("says that a folder is too small, with the remedy, and takes files instead", () => {
    // no file system has room on /proc
    const { notice, roots } = findPlaces(1024 ** 3, "/proc/self", "/var/tmp")
    assert.deepStrictEqual(roots, ["/var/tmp"])
    assert.include(notice, "/proc/self")
  })
})
