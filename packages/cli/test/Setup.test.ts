/** The environment of the flags, or of the nearest project, made by the real uv. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import { folder } from "../../python-worker/test/sandbox.ts"
import { python } from "../../python-worker/test/wheel.ts"
import type { Finding } from "../src/diagnosis.ts"
import { offline } from "./packages.ts"
import { canMount, mounting, snakepitIn } from "./run.ts"

const workplace = Effect.gen(function* () {
  const place = yield* folder
  yield* offline(place)
  fs.writeFileSync(path.join(place, "package.json"), "{}")
  return place
})

describe("snakepit setup", () => {
  it.live("makes an environment of packages once, where a call with the same flags finds them", () =>
    Effect.gen(function* () {
      const cwd = yield* workplace
      const flags = ["-r", "snakedemo<2", "--python", python]
      const made = yield* snakepitIn({ cwd }, "setup", ...flags)
      assert.match(made.stdout, /^Python 3\.\d+\.\d+ is ready: .*environments.*\n$/)
      // a line for each step, where there is no terminal to draw on
      assert.match(made.stderr, /^Install Python packages with uv \.\.\.$/m)
      assert.notInclude(made.stderr, "\u001b")

      const again = yield* snakepitIn({ cwd }, "setup", ...flags, "--json")
      assert.strictEqual(again.stderr, "")
      const { directory, drift, python: interpreter } = JSON.parse(again.stdout)
      assert.deepStrictEqual(drift, [])
      assert.strictEqual(interpreter, path.join(directory, "bin", "python"))
      assert.include(made.stdout, directory)

      const call = yield* snakepitIn({ cwd }, "call", "importlib.metadata.version", "--args", '["snakedemo"]', ...flags)
      assert.deepStrictEqual(call, { exitCode: 0, stdout: "1.0\n", stderr: "" })
    }).pipe(Effect.scoped)
  )

  it.live("takes the nearest project, and calls run in its environment", () =>
    Effect.gen(function* () {
      const place = yield* workplace
      const content = `[project]\nname = "demo"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = ["snakedemo"]\n`
      fs.writeFileSync(path.join(place, "pyproject.toml"), content)
      const cwd = path.join(place, "below")
      fs.mkdirSync(cwd)
      assert.strictEqual((yield* snakepitIn({ cwd }, "setup", "--python", python)).exitCode, 0)
      assert.isTrue(fs.existsSync(path.join(place, "uv.lock")))
      const args = ["call", "importlib.metadata.version", "--args", '["snakedemo"]', "--python", python]
      assert.strictEqual((yield* snakepitIn({ cwd }, ...args)).stdout, "2.0\n")
    }).pipe(Effect.scoped)
  )

  it.live.skipIf(!canMount)("what it has made works where nothing can be written but sockets", () =>
    Effect.gen(function* () {
      const cwd = yield* workplace
      const content = `[project]\nname = "demo"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = ["snakedemo"]\n`
      fs.writeFileSync(path.join(cwd, "pyproject.toml"), content)
      // a version, for which uv finds an interpreter
      const version = execFileSync(python, ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"], {
        encoding: "utf8"
      }).trim()
      assert.strictEqual((yield* snakepitIn({ cwd }, "setup", "--python", version)).exitCode, 0)
      const shell = mounting('mount --bind "$PLACE" "$PLACE"; mount -o remount,ro,bind "$PLACE"; cd "$PLACE"')
      // uv cannot make its cache here, and the PATH is not that of the shell that made the environment
      const env = { PLACE: cwd, UV_CACHE_DIR: path.join(cwd, "no cache"), PATH: `/opt/bin:${process.env["PATH"]}` }
      const readOnly = (...args: ReadonlyArray<string>) => snakepitIn({ cwd, shell, env }, ...args, "--python", version)
      const call = yield* readOnly("call", "importlib.metadata.version", "--args", '["snakedemo"]')
      assert.deepStrictEqual(call, { exitCode: 0, stdout: "2.0\n", stderr: "" })
      const findings: ReadonlyArray<Finding> = JSON.parse((yield* readOnly("doctor", "--json")).stdout)
      const statuses = Object.fromEntries(findings.map(({ check, status }) => [check, status]))
      assert.deepInclude(statuses, { cache: "warning", lock: "warning", worker: "ok" })
    }).pipe(Effect.scoped)
  )

  it.live(
    "does with venv and pip when uv cannot be had, and says so once",
    () =>
      Effect.gen(function* () {
        const cwd = yield* workplace
        const env = {
          UV: undefined,
          PATH: "/usr/bin:/bin",
          PIP_NO_INDEX: "1",
          PIP_FIND_LINKS: pathToFileURL(cwd).href
        }
        const flags = ["-r", "snakedemo<2", "--python", python]
        const { exitCode, stderr } = yield* snakepitIn({ cwd, env }, "setup", ...flags)
        assert.strictEqual(exitCode, 0, stderr)
        assert.lengthOf(stderr.match(/^uv cannot be had; venv and pip do the work/gm) ?? [], 1)
        assert.match(stderr, /^Environment for Python .* made with venv and pip/m)
        assert.match(stderr, /^Packages of the worker for Python .* made with venv and pip/m)
        const version = ["call", "importlib.metadata.version", "--args", '["snakedemo"]']
        assert.deepInclude(yield* snakepitIn({ cwd, env }, ...version, ...flags), { stdout: "1.0\n", stderr: "" })
      }).pipe(Effect.scoped),
    120_000
  )

  it.live("says so when there is no project; settings of tools are none", () =>
    Effect.gen(function* () {
      const cwd = yield* workplace
      fs.writeFileSync(path.join(cwd, "pyproject.toml"), "[tool.ruff]\nline-length = 120\n")
      const run = yield* snakepitIn({ cwd }, "setup", "--python", python)
      assert.include(run.stdout, `is ready: ${python}\nThere is no project here`)
    }).pipe(Effect.scoped)
  )

  it.live("finds a project however its TOML is written, and no other in its place", () =>
    Effect.gen(function* () {
      const place = yield* workplace
      const cwd = path.join(place, "below")
      fs.mkdirSync(cwd)
      fs.writeFileSync(path.join(place, "pyproject.toml"), '[project]\nname = "parent"\nversion = "0"\n')
      const file = path.join(cwd, "pyproject.toml")
      const lock = () => snakepitIn({ cwd }, "env", "lock", "--python", python)
      for (const content of [
        'project = { name = "demo", version = "0", requires-python = ">=3.10", dependencies = ["snakelone"] }',
        '[ project ] # ours\nname = "demo"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = ["snakelone"]',
        'project.name = "demo"\nproject.version = "0"\nproject.requires-python = ">=3.10"\nproject.dependencies = ["snakelone"]'
      ]) {
        fs.writeFileSync(file, content)
        assert.deepInclude(yield* lock(), { exitCode: 0 }, content)
        assert.include(fs.readFileSync(path.join(cwd, "uv.lock"), "utf8"), 'name = "snakelone"')
        fs.rmSync(path.join(cwd, "uv.lock"))
      }
      // in which Poetry is not asked for what it knows
      fs.writeFileSync(file, 'tool.poetry = { name = "demo", version = "0" }')
      const poetry = yield* snakepitIn({ cwd, env: { PATH: "/usr/bin:/bin" } }, "setup", "--json")
      assert.include(JSON.parse(poetry.stdout).error.message, `the .venv of the Poetry project ${cwd}`)
    }).pipe(Effect.scoped)
  )

  it.live("says of a pyproject.toml that is no TOML where it is and what is wrong with it", () =>
    Effect.gen(function* () {
      const place = yield* workplace
      const cwd = path.join(place, "below")
      fs.mkdirSync(cwd)
      fs.writeFileSync(path.join(place, "pyproject.toml"), '[project]\nname = "parent"\nversion = "0"\n')
      const file = path.join(cwd, "pyproject.toml")
      fs.writeFileSync(file, "project = {\n")
      for (const command of [["setup"], ["env", "sync"], ["call", "os.getcwd"]]) {
        const { exitCode, stderr } = yield* snakepitIn({ cwd }, ...command, "--python", python)
        assert.strictEqual(exitCode, 1)
        assert.include(stderr, `There is no usable Python project at ${file}: Invalid TOML document`)
      }
      const doctor = yield* snakepitIn({ cwd }, "doctor", "--json", "--python", python)
      const findings: ReadonlyArray<Finding> = JSON.parse(doctor.stdout)
      const environment = findings.find(({ check }) => check === "environment")
      assert.deepInclude(environment, {
        status: "failed",
        remedy: `Mend ${file}: what is wrong with it is said above.`
      })
    }).pipe(Effect.scoped)
  )

  it.live("fails with uv's explanation, as text and as JSON", () =>
    Effect.gen(function* () {
      const cwd = yield* workplace
      const flags = ["setup", "-r", "snakedemo>3", "--python", python]
      const text = yield* snakepitIn({ cwd }, ...flags)
      assert.deepInclude(text, { exitCode: 1, stdout: "" })
      assert.match(text.stderr, /^ResolutionFailed: Could not install Python packages with uv[^]*snakedemo>3/m)
      const json = yield* snakepitIn({ cwd }, ...flags, "--json")
      assert.strictEqual(json.exitCode, 1)
      const { error } = JSON.parse(json.stdout)
      assert.strictEqual(error.tag, "ResolutionFailed")
      assert.include(error.message, "snakedemo>3")
    }).pipe(Effect.scoped)
  )
})
