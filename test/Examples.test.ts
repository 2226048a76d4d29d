/** The examples, run as a user would: they end well, and print what their readers are told. */
import { assert, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import * as path from "node:path"
import { promisify } from "node:util"
import { describe } from "vitest"

const root = path.join(import.meta.dirname, "..")

/** What an example prints, without the lines about its environment. Throws when it does not end with 0. */
const run = async (name: string): Promise<ReadonlyArray<string>> => {
  const args = ["--conditions=snakepit-source", `examples/${name}/main.ts`]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root })
  return stdout.trimEnd().split("\n")
}

// Those that install numpy do so into `.snakepit` on the first run, from the network if need be.
describe("Examples", { timeout: 180_000 }, () => {
  it("digits trains, serves and survives", async () => {
    const lines = await run("digits")
    for (const expected of [
      /^ {2}training {2}█{20} {2}40\/40 {2}loss 0\.\d+ {2}accuracy 9\d\.\d %$/,
      /^ {2}9\d\.\d % of them were read correctly$/,
      /^ {2}caught ShapeMismatch: pass the 64 features that the SGDClassifier was fitted with, in their order$/,
      /^ {2}caught WorkerCrash: default-\d ended with SIGKILL$/,
      /^ {2}the others finished$/,
      /^ {2}a new copy of the classifier took its place, and the images were read once more$/
    ]) {
      assert.isTrue(
        lines.some((line) => expected.test(line)),
        `${expected} in\n${lines.join("\n")}`
      )
    }
  })

  it("device-fallback goes on with another device, and says what would fit", async () => {
    const lines = await run("device-fallback")
    assert.strictEqual(lines[0], "1000 vectors: the small device had room")
    assert.strictEqual(
      lines.at(-1),
      "matmul on (32, 64) and (10, 64); axis 1 has 64, axis 0 has 10; transpose matrix: (32, 64) and (64, 10) multiply"
    )
    assert.match(lines[2] ?? "", /^8000 vectors: no \d+ MB left on the small device \(cpu\); on to the large one$/)
  })

  it("images copies nothing on the way to Python", async () => {
    const lines = await run("images")
    assert.match(lines.at(-1) ?? "", /^\d\d\.\d MB of arguments reached Python, 0\.0 MB were copied$/)
  })

  it("segfault survives", async () => {
    assert.deepStrictEqual(await run("segfault"), [
      "6 estimates, all near 3.14: true",
      "segfault, may have run: true",
      "it died in always_dies > string_at",
      "2 crashes that no caller noticed; the next estimate is 3.112"
    ])
  })
})
