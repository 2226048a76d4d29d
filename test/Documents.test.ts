import { afterAll, assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import { run } from "../packages/python-worker/src/internal/subprocess.ts"
import { type Block, blocks } from "./documents.ts"

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

/** Inside the repository, so that the packages resolve; a folder for each document. */
const programs = path.join(root, ".snakepit", "documents", String(process.pid))

/** Seconds that one block may take, and all of them to type-check. */
const RUN_SECONDS = 60
const CHECK_SECONDS = 120

const documents = ["README.md", "*.md", "guides/**/*.md", "packages/*/README.md"]
  .flatMap((pattern) => fs.globSync(pattern, { cwd: root }))
  .filter((file, index, all) => all.indexOf(file) === index)
  .toSorted()
  .map((file) => ({ file, blocks: blocks(fs.readFileSync(path.join(root, file), "utf8")) }))
  .filter((document) => document.blocks.length > 0)

const folderOf = (file: string) => path.join(programs, file.replace(/\.md$/, "").replaceAll(path.sep, "-"))

for (const document of documents) {
  fs.mkdirSync(folderOf(document.file), { recursive: true })
  for (const block of document.blocks) {
    // Empty lines before it give its errors the line numbers of the document.
    fs.writeFileSync(path.join(folderOf(document.file), block.file), "\n".repeat(block.line - 1) + block.code)
  }
}

afterAll(() => fs.rmSync(programs, { recursive: true, force: true }))

const execute = (program: string, args: ReadonlyArray<string>, folder: string, seconds: number) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    return run(program, args, {
      cwd: folder,
      env: {
        ...process.env,
        PATH: [path.dirname(npx), process.env["PATH"]].join(path.delimiter),
        PYTHONPATH: [folder, path.join(root, "python", "src")].join(path.delimiter)
      },
      onLine: (line) => lines.push(line)
    }).pipe(
      Effect.map((outcome) => ({ ...outcome, everything: lines.join("\n") })),
      Effect.timeoutOrElse({
        duration: seconds * 1_000,
        orElse: () => Effect.fail(new Error(`not finished after ${seconds} s; so far:\n${lines.join("\n")}`))
      })
    )
  })

const node = [process.execPath, "--conditions=snakepit-source"] as const

/** In an `sh` block, `npx` runs the sources of the one program that there is. */
const npx = path.join(programs, "bin", "npx")
fs.mkdirSync(path.dirname(npx), { recursive: true })
const cli = path.join(root, "packages/cli/src/main.ts")
fs.writeFileSync(npx, `#!/bin/sh\n[ "$1" = snakepit ] && shift && exec ${[...node, cli].join(" ")} "$@"\n`, {
  mode: 0o755
})

const interpreters = {
  ts: node,
  python: [path.join(process.env["VIRTUAL_ENV"] ?? "", "bin", "python")],
  sh: ["sh", "-e"]
} as const

const runBlock = (block: Block, folder: string) => {
  const [program, ...args] = interpreters[block.language]
  return execute(program, [...args, block.file], folder, RUN_SECONDS)
}

it.live(
  "every TypeScript block type-checks",
  () =>
    Effect.gen(function* () {
      if (!documents.some((document) => document.blocks.some(({ language }) => language === "ts"))) return
      const config = {
        extends: path.join(root, "tsconfig.base.json"),
        compilerOptions: {
          noEmit: true,
          customConditions: ["snakepit-source"],
          typeRoots: [path.join(root, "node_modules", "@types")],
          // A block may name what it does not go on to use.
          noUnusedLocals: false,
          noUnusedParameters: false
        },
        include: ["**/*.ts"]
      }
      fs.writeFileSync(path.join(programs, "tsconfig.json"), JSON.stringify(config))
      const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc")
      const outcome = yield* execute(process.execPath, [tsc, "-p", programs], programs, CHECK_SECONDS)
      assert.strictEqual(outcome.everything, "")
    }),
  (CHECK_SECONDS + 5) * 1_000
)

describe.each(documents)("$file", (document) => {
  for (const block of document.blocks) {
    if (block.noRun !== undefined) continue
    it.live(
      `the ${block.language} block on line ${block.line} runs and prints what it says`,
      () =>
        Effect.gen(function* () {
          const outcome = yield* runBlock(block, folderOf(document.file))
          assert.strictEqual(outcome.exitCode, 0, outcome.everything)
          if (block.output.length > 0) assert.deepStrictEqual(outcome.stdout.split("\n"), block.output)
        }),
      (RUN_SECONDS + 5) * 1_000
    )
  }
})

describe("blocks", () => {
  it("finds the programs of both languages, with their lines and names", () => {
    const text = "# Title\n\n```ts\nconst a = 1\n```\n\n```sh\nls\n```\n\n```python\n# trainer.py\nprint(1)\n```\n"
    assert.deepStrictEqual(
      blocks(text).map(({ language, line, file, code }) => ({ language, line, file, code })),
      [
        { language: "ts", line: 4, file: "line4.ts", code: "const a = 1\n" },
        { language: "python", line: 12, file: "trainer.py", code: "# trainer.py\nprint(1)\n" }
      ]
    )
  })

  it("takes commands for a program when they say what they print", () => {
    const text = "```sh\nnpm test\n```\n\n```sh\necho snake\n# => snake\n```\n"
    assert.deepStrictEqual(
      blocks(text).map(({ file, language, output }) => ({ file, language, output })),
      [{ file: "line6.sh", language: "sh", output: ["snake"] }]
    )
  })

  it("reads what a program says it prints, beside a statement or on lines of their own", () => {
    const text =
      "```ts\nconsole.log(1) // => 1\nconsole.log({})\n// => {}\n// =>\n```\n```python\nprint(2)  # => 2\n```\n"
    assert.deepStrictEqual(
      blocks(text).map(({ output }) => output),
      [["1", "{}", ""], ["2"]]
    )
  })

  it("keeps a block from being run only for a reason", () => {
    assert.strictEqual(blocks("```ts no-run: needs a GPU\n\n```\n")[0]?.noRun, "needs a GPU")
    assert.throws(() => blocks("text\n```ts no-run\n\n```\n"), "Line 2: `no-run` needs a reason after it")
  })
})
