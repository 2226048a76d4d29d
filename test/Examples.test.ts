/** The examples that need nothing but Python, run as a user would. */
import { assert, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as path from "node:path"
import { promisify } from "node:util"
import { describe } from "vitest"

const root = path.join(import.meta.dirname, "..")

describe("Examples", () => {
  it("segfault survives", async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--conditions=snakepit-source", "examples/segfault/main.ts"],
      { cwd: root }
    )
    assert.deepStrictEqual(stdout.trimEnd().split("\n"), [
      "6 estimates, all near 3.14: true",
      "segfault, may have run: true",
      "it died in always_dies > string_at",
      "2 crashes that no caller noticed; the next estimate is 3.112"
    ])
  })
})
