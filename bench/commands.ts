/** How long commands of the command line take, from the bundle that users get, beside a Node that does nothing. */
import { execFile, execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"
import { type Run, wholeNumber } from "./bench.ts"
import { interpreter } from "./interpreter.ts"
import { interleave, rounded, Times } from "./rounds.ts"
import { printTable } from "./table.ts"

const root = path.dirname(import.meta.dirname)
const program = path.join(root, "packages/cli/dist/snakepit.js")

export const run: Run = async (flags) => {
  const rounds = wholeNumber(flags, "rounds", 20)
  execFileSync(process.execPath, [path.join(root, "scripts/build.ts")], { cwd: root, stdio: "ignore" })
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "snakepit-bench-"))
  try {
    // a project, so that `setup` has an environment to find
    fs.writeFileSync(path.join(folder, "package.json"), "{}")
    fs.writeFileSync(
      path.join(folder, "pyproject.toml"),
      `[project]\nname = "bench"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = []\n`
    )
    // the executable itself: a script of that name, as version managers put on the PATH, is asked who it is at every start
    const executable = execFileSync(interpreter(), ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" })
    const python = ["--python", executable.trim()]
    const commands: ReadonlyArray<Timed> = [
      { name: "node", title: "node -e 0", args: ["-e", "0"], times: new Times() },
      { name: "help", title: "snakepit --help", args: [program, "--help"], times: new Times() },
      { name: "setup", title: "snakepit setup", args: [program, "setup", ...python], times: new Times() },
      {
        name: "call",
        title: "snakepit call math.sqrt",
        args: [program, "call", "math.sqrt", "--args", "[2]", ...python],
        times: new Times()
      }
    ]
    for (const { args } of commands) await execute(process.execPath, args, { cwd: folder })
    const turns = commands.map(
      ({ args, times }) =>
        () =>
          times.round(1, (micros) => time(args, folder, micros))
    )
    await interleave(rounds, turns)
    printTable(
      ["", "p50 ms", "p90 ms"],
      commands.map(({ times, title }) => [title, ...[0.5, 0.9].map((p) => millis(times, p).toFixed(0))])
    )
    return Object.fromEntries(commands.map(({ name, times }) => [`${name}_p50_ms`, rounded(millis(times, 0.5))]))
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}

interface Timed {
  readonly name: string
  readonly title: string
  readonly args: ReadonlyArray<string>
  readonly times: Times
}

const execute = promisify(execFile)

const time = async (args: ReadonlyArray<string>, cwd: string, micros: Float64Array): Promise<void> => {
  const begin = performance.now()
  await execute(process.execPath, args, { cwd })
  micros[0] = (performance.now() - begin) * 1_000
}

const millis = (times: Times, p: number): number => times.percentile(p) / 1_000
