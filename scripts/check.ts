/**
 * `npm run check`: everything that can be known without running the product. One line for each check; what a check has to
 * say is shown only when it fails.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { run } from "../packages/python-worker/src/internal/subprocess.ts"
import { exports } from "./checks/exports.ts"
import { hosts } from "./checks/hosts.ts"
import { imports } from "./checks/imports.ts"
import { links } from "./checks/links.ts"
import { versions } from "./checks/versions.ts"
import { environment } from "./development.ts"
import { root } from "./repository.ts"

interface Check {
  readonly name: string
  /** What is wrong; empty when nothing is. */
  readonly run: Effect.Effect<string, Error>
}

const command = (name: string, program: string, args: ReadonlyArray<string>, folder = "."): Check => ({
  name,
  run: Effect.suspend(() => {
    const lines: Array<string> = []
    return Effect.map(run(program, args, { cwd: path.join(root, folder), onLine: (line) => lines.push(line) }), (end) =>
      end.exitCode === 0 ? "" : lines.join("\n") || `exit code ${end.exitCode}`
    )
  })
})

const tool = (name: string, file: string, args: ReadonlyArray<string>) =>
  command(name, process.execPath, [path.join(root, "node_modules", file), ...args])

const inspection = (name: string, inspect: () => ReadonlyArray<string>): Check => ({
  name,
  run: Effect.sync(() => inspect().join("\n"))
})

/** Folders with Python files besides `python` itself. */
const pythonFolders = ["python", "bench", "examples", "test"].filter(
  (folder) => fs.globSync("**/*.py", { cwd: path.join(root, folder) }).length > 0
)

const checks = (python: string): ReadonlyArray<Check> => [
  tool("types", "typescript/bin/tsc", ["-p", "tsconfig.json"]),
  tool("lint", "oxlint/bin/oxlint", ["--deny-warnings"]),
  tool("format", "oxfmt/bin/oxfmt", ["--check"]),
  command("Python types", python, ["-m", "mypy", "--strict", "src"], "python"),
  command("Python lint", python, ["-m", "ruff", "check", ...pythonFolders]),
  command("Python format", python, ["-m", "ruff", "format", "--check", ...pythonFolders]),
  inspection("package exports", exports),
  inspection("package imports", imports),
  inspection("versions", versions),
  inspection("registry hosts", hosts),
  inspection("links", links)
]

const perform = (check: Check) =>
  check.run.pipe(
    Effect.catch((error) => Effect.succeed(error.message)),
    Effect.map((problems) => {
      console.log(problems === "" ? `ok      ${check.name}` : `FAILED  ${check.name}\n${problems.replace(/^/gm, "  ")}`)
      return problems === ""
    })
  )

const main = Effect.gen(function* () {
  const { python } = yield* environment
  const results = yield* Effect.forEach(checks(python), perform, { concurrency: 2 })
  const failed = results.filter((ok) => !ok).length
  console.log(`\n${results.length - failed} checks passed, ${failed} failed`)
  if (failed > 0) process.exitCode = 1
})

NodeRuntime.runMain(main)
