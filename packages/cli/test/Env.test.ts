/** A project from its first file to a changed lock, with the real uv. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { folder } from "../../python-worker/test/sandbox.ts"
import { python } from "../../python-worker/test/wheel.ts"
import { offline } from "./packages.ts"
import { snakepitIn } from "./run.ts"

describe("snakepit env", () => {
  it.live("makes a project, adds to it, removes from it, and says what it did", () =>
    Effect.gen(function* () {
      const place = yield* folder
      yield* offline(place)
      const project = path.join(place, "pro ject")
      const env = (...args: ReadonlyArray<string>) =>
        snakepitIn({ cwd: fs.existsSync(project) ? project : place }, "env", ...args, "--python", python)
      const dependencies = () => fs.readFileSync(path.join(project, "pyproject.toml"), "utf8")

      const init = yield* env("init", "pro ject", "-r", "snakedemo<2")
      assert.match(init.stdout, /^Python \S+ is ready: /)
      assert.include(dependencies(), "snakedemo<2")

      const added = JSON.parse((yield* env("add", "snakelone", "--json")).stdout)
      assert.include(dependencies(), "snakelone")
      const lone = path.join(added.directory, "lib")
      assert.lengthOf(fs.globSync("python*/site-packages/snakelone/__init__.py", { cwd: lone }), 1)

      const removed = JSON.parse((yield* env("remove", "snakelone", "--json")).stdout)
      assert.notInclude(dependencies(), "snakelone")
      assert.notStrictEqual(removed.key, added.key)
    }).pipe(Effect.scoped)
  )

  it.live("refuses a lock that does not fit its project, until it is locked anew", () =>
    Effect.gen(function* () {
      const cwd = yield* folder
      yield* offline(cwd)
      const env = (...args: ReadonlyArray<string>) => snakepitIn({ cwd }, "env", ...args, "--python", python)
      const write = (requirement: string) =>
        fs.writeFileSync(
          path.join(cwd, "pyproject.toml"),
          `[project]\nname = "demo"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = ["${requirement}"]\n`
        )
      write("snakedemo<2")
      const lock = yield* env("lock")
      assert.match(lock.stdout, /^locked: [0-9a-f]{64}\n$/)
      assert.isFalse(fs.existsSync(path.join(cwd, ".snakepit")))
      write("snakedemo>=2")
      const refused = yield* env("sync", "--json")
      assert.strictEqual(refused.exitCode, 1)
      assert.strictEqual(JSON.parse(refused.stdout).error.tag, "LockDrift")
      assert.notStrictEqual((yield* env("lock", "--upgrade")).stdout, lock.stdout)
      assert.deepInclude(yield* env("sync"), { exitCode: 0 })
    }).pipe(Effect.scoped)
  )

  it.live("names the command that makes a project where there is none", () =>
    Effect.gen(function* () {
      const cwd = yield* folder
      const run = yield* snakepitIn({ cwd }, "env", "add", "snakelone")
      assert.strictEqual(run.exitCode, 1)
      assert.match(run.stderr, /^ProjectNotFound: .*snakepit env init/)
    }).pipe(Effect.scoped)
  )
})
