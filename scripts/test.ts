/**
 * `npm test`: the Python tests, then the TypeScript tests, and a closing line that adds them up.
 *
 * Arguments go to vitest, and then only the TypeScript tests run: `npm test -- packages/core`.
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { environment } from "./development.ts"
import { root } from "./repository.ts"

interface Counts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
}

/** A run that broke before it could count, like a syntax error in a test file, is one failure. */
const broken: Counts = { passed: 0, failed: 1, skipped: 0 }

/** Seconds that one Python test may take. */
const PYTHON_TEST_SECONDS = 60

/** What pytest answers when it found no test. */
const PYTEST_NO_TESTS = 5

const pytest = (python: string, report: string): Counts => {
  const folder = path.join(root, "python")
  if (!fs.existsSync(path.join(folder, "tests"))) {
    console.log("There are no Python tests yet: python/tests is missing.")
    return { passed: 0, failed: 0, skipped: 0 }
  }
  const args = ["-m", "pytest", "tests", "-q", `--timeout=${PYTHON_TEST_SECONDS}`, `--junit-xml=${report}`]
  const { status } = spawnSync(python, args, { cwd: folder, stdio: "inherit" })
  if (status === PYTEST_NO_TESTS) {
    console.log("There are no Python tests yet: python/tests is empty.")
    return { passed: 0, failed: 0, skipped: 0 }
  }
  if (!fs.existsSync(report)) return broken
  const count = (name: string) =>
    Number(new RegExp(`<testsuite [^>]*\\b${name}="(\\d+)"`).exec(readReport(report))?.[1])
  const [tests, failed, skipped] = [count("tests"), count("failures") + count("errors"), count("skipped")]
  return atLeastOneFailure(status, { passed: tests - failed - skipped, failed, skipped })
}

const vitest = (args: ReadonlyArray<string>, report: string): Counts => {
  const { status } = spawnSync(
    process.execPath,
    [
      path.join(root, "node_modules", "vitest", "vitest.mjs"),
      "run",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
      ...args
    ],
    { cwd: root, stdio: "inherit" }
  )
  if (!fs.existsSync(report)) return status === 0 ? { passed: 0, failed: 0, skipped: 0 } : broken
  // The format of vitest's json reporter, which is jest's.
  const counts = JSON.parse(readReport(report)) as Record<
    "numPassedTests" | "numFailedTests" | "numPendingTests" | "numTodoTests",
    number
  >
  return atLeastOneFailure(status, {
    passed: counts.numPassedTests,
    failed: counts.numFailedTests,
    skipped: counts.numPendingTests + counts.numTodoTests
  })
}

const readReport = (report: string) => fs.readFileSync(report, "utf8")

/** A runner that fails without a failed test, because of a file that does not load or a leak, has failed all the same. */
const atLeastOneFailure = (status: number | null, counts: Counts): Counts =>
  status !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts

const main = Effect.gen(function* () {
  const args = process.argv.slice(2)
  const { python } = yield* environment
  const reports = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "snakepit-test-"))),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true }))
  )
  // One after the other: each of them keeps all cores busy.
  const runs = args.length === 0 ? [pytest(python, path.join(reports, "pytest.xml"))] : []
  runs.push(vitest(args, path.join(reports, "vitest.json")))
  const total = (key: keyof Counts) => runs.reduce((sum, counts) => sum + counts[key], 0)
  const skipped = total("skipped") === 0 ? "" : `, ${total("skipped")} skipped`
  console.log(`\n${total("passed")} passed, ${total("failed")} failed${skipped}`)
  if (total("failed") > 0) process.exitCode = 1
}).pipe(Effect.scoped)

NodeRuntime.runMain(main)
