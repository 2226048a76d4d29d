import { assert, describe, it } from "@effect/vitest"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Environment from "../src/Environment.ts"
import * as Interpreter from "../src/Interpreter.ts"
import { folder, script, setEnvironment } from "./sandbox.ts"
import { python, uv, writeWheel } from "./wheel.ts"

/** Packages come from this folder alone; the cache is the test's own. */
const workplace = Effect.gen(function* () {
  const made = yield* folder
  yield* setEnvironment({
    XDG_CACHE_HOME: path.join(made, "cache"),
    UV: undefined,
    UV_CACHE_DIR: path.join(made, "uv"),
    UV_FIND_LINKS: made,
    UV_OFFLINE: "1",
    PIP_FIND_LINKS: pathToFileURL(made).href,
    PIP_NO_INDEX: "1"
  })
  writeWheel(made, "snakedemo", "1.0")
  writeWheel(made, "ormsgpack", "1.12.0")
  return made
})

const importVersion = (interpreter: string, name: string, pythonPath = "") =>
  execFileSync(interpreter, ["-c", `import ${name}; print(${name}.__version__)`], {
    encoding: "utf8",
    stdio: "pipe",
    env: { PYTHONPATH: pythonPath }
  }).trim()

/** The only folder that a set of requirements has led to. */
const environmentFolder = (directory: string) => {
  const [key = "", ...others] = fs.readdirSync(path.join(directory, "environments"))
  assert.deepStrictEqual(others, [])
  return path.join(directory, "environments", key)
}

const builds = (directory: string) =>
  fs.readdirSync(environmentFolder(directory)).filter((name) => name.startsWith("build-"))

const until = (condition: () => boolean) =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.fail("not yet"))).pipe(
    Effect.retry(Schedule.spaced("10 millis")),
    Effect.orDie
  )

/** An installer that says that it has started, with its process id, and then never ends. */
const hangingInstaller = (made: string) => ({
  uv: script(
    path.join(made, "hanging-uv"),
    `sleep 1000 &\necho $$ > "${made}/pid.new"\nmv "${made}/pid.new" "${made}/pid"\nwait`
  ),
  started: until(() => fs.existsSync(path.join(made, "pid"))),
  groupLives: () => {
    try {
      process.kill(-Number(fs.readFileSync(path.join(made, "pid"), "utf8")), 0)
      return true
    } catch {
      return false
    }
  }
})

const makeInProcess = (directory: string, requirements: ReadonlyArray<string>, env: NodeJS.ProcessEnv = {}) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      spawn(
        process.execPath,
        [
          "--conditions=snakepit-source",
          fileURLToPath(new URL("fixtures/makeEnvironment.ts", import.meta.url)),
          directory,
          ...requirements
        ],
        { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, ...env } }
      )
    ),
    (child) => Effect.sync(() => child.kill("SIGKILL"))
  )

const output = (child: ChildProcess) =>
  Effect.promise(async () => {
    const chunks: Array<Buffer> = []
    child.stdout?.on("data", (chunk: Buffer) => chunks.push(chunk))
    const [code] = await once(child, "close")
    return { code, stdout: Buffer.concat(chunks).toString().trim() }
  })

/** Milliseconds for a test that makes environments with venv, which unpacks pip each time. */
const SLOW = 120_000

describe.each([
  { installer: "venv and pip", variables: { UV: undefined, PATH: path.dirname("/bin/sh") } },
  { installer: "uv", variables: { UV: uv } }
])("with $installer", ({ variables }) => {
  it.live(
    "makes an environment once, and finds it again without an installer",
    () =>
      Effect.gen(function* () {
        const made = yield* workplace
        yield* setEnvironment(variables)
        const directory = path.join(made, "project", ".snakepit")
        const options = { requirements: ["snakedemo==1.0"], directory }
        const environment = yield* Environment.sync(options)
        assert.strictEqual(importVersion(environment.python, "snakedemo"), "1.0")
        assert.strictEqual(fs.readFileSync(path.join(directory, ".gitignore"), "utf8"), "*\n")

        yield* setEnvironment({ UV: "/nowhere/uv" })
        const again = yield* Environment.sync({ ...options, requirements: [" snakedemo==1.0"] })
        assert.deepStrictEqual(again, environment)
        assert.strictEqual(builds(directory).length, 1)
      }).pipe(Effect.scoped),
    SLOW
  )

  it.live(
    "lays what the worker needs beside an environment, never into it",
    () =>
      Effect.gen(function* () {
        const made = yield* workplace
        yield* setEnvironment(variables)
        const environment = yield* Environment.sync({ requirements: [], directory: made })
        const interpreter = yield* Interpreter.find({ python: environment.python })
        assert.isNull(interpreter.ormsgpack)
        const beside = yield* Environment.workerDependencies(interpreter)
        assert.isDefined(beside)
        assert.match(beside, /cache.snakepit.worker-[0-9a-f]{8}-cp3\d+t?-[^/]+.current$/)
        assert.strictEqual(importVersion(environment.python, "ormsgpack", beside), "1.12.0")
        assert.throws(() => importVersion(environment.python, "ormsgpack"))

        yield* setEnvironment({ UV: "/nowhere/uv" })
        assert.strictEqual(yield* Environment.workerDependencies(interpreter), beside)
      }).pipe(Effect.scoped),
    SLOW
  )

  it.live(
    "reports what the installer said when a requirement cannot be had",
    () =>
      Effect.gen(function* () {
        const made = yield* workplace
        yield* setEnvironment(variables)
        const options = { requirements: ["no-such-package"], directory: made }
        const error = yield* Effect.flip(Environment.sync(options))
        assert.match(error.message, /Could not install Python packages with (pip|uv)/)
        assert.match(
          error.message,
          /no-such-package.*(not found|No matching distribution)|No matching.*no-such-package/s
        )
        assert.deepStrictEqual(builds(made), [])
      }).pipe(Effect.scoped),
    SLOW
  )
})

it.live("installs nothing beside an interpreter that imports ormsgpack by itself", () =>
  Effect.gen(function* () {
    const interpreter = yield* Interpreter.find({ python })
    assert.isUndefined(yield* Environment.workerDependencies(interpreter))
  })
)

it.live("builds once when several processes ask at the same time", () =>
  Effect.gen(function* () {
    const made = yield* workplace
    yield* setEnvironment({ UV: uv })
    const children = yield* Effect.all([1, 2, 3].map(() => makeInProcess(made, ["snakedemo"])))
    const outcomes = yield* Effect.forEach(children, output, { concurrency: "unbounded" })
    const expected = path.join(environmentFolder(made), "current", "bin", "python")
    assert.deepStrictEqual(
      outcomes,
      children.map(() => ({ code: 0, stdout: expected }))
    )
    assert.deepStrictEqual(fs.readdirSync(environmentFolder(made)).toSorted(), [...builds(made), "current"])
    assert.strictEqual(builds(made).length, 1)
  }).pipe(Effect.scoped)
)

it.live("ends the installer with all its children, and leaves nothing, when it is interrupted", () =>
  Effect.gen(function* () {
    const made = yield* workplace
    const installer = hangingInstaller(made)
    yield* setEnvironment({ UV: installer.uv })
    const options = { requirements: ["snakedemo"], directory: made }
    const fiber = yield* Effect.forkChild(Environment.sync(options))
    yield* installer.started
    assert.isTrue(installer.groupLives())
    yield* Fiber.interrupt(fiber)
    yield* until(() => !installer.groupLives())
    assert.deepStrictEqual(fs.readdirSync(environmentFolder(made)), [])
  }).pipe(Effect.scoped)
)

it.live("takes over from a process that was killed, and removes what it left", () =>
  Effect.gen(function* () {
    const made = yield* workplace
    const installer = hangingInstaller(made)
    const killed = yield* makeInProcess(made, ["snakedemo"], { UV: installer.uv })
    yield* installer.started
    // What it would have begun to build.
    const holder = fs.readFileSync(path.join(environmentFolder(made), "lock"), "utf8")
    fs.mkdirSync(path.join(environmentFolder(made), `build-${holder}-abcdef`))
    killed.kill("SIGKILL")
    yield* Effect.promise(() => once(killed, "exit"))
    process.kill(-Number(fs.readFileSync(path.join(made, "pid"), "utf8")), "SIGKILL")

    yield* setEnvironment({ UV: uv })
    const environment = yield* Environment.sync({ requirements: ["snakedemo"], directory: made })
    assert.strictEqual(importVersion(environment.python, "snakedemo"), "1.0")
    assert.strictEqual(builds(made).length, 1)
    assert.isFalse(fs.existsSync(path.join(environmentFolder(made), "lock")))
  }).pipe(Effect.scoped)
)

it.live("builds anew when the interpreter that an environment stands on is gone", () =>
  Effect.gen(function* () {
    const made = yield* workplace
    yield* setEnvironment({ UV: uv })
    const options = { requirements: ["snakedemo"], directory: made }
    const environment = yield* Environment.sync(options)
    fs.rmSync(environment.python)
    fs.symlinkSync("/nowhere/python", environment.python)
    assert.strictEqual(importVersion((yield* Environment.sync(options)).python, "snakedemo"), "1.0")
    assert.strictEqual(builds(made).length, 1)
  }).pipe(Effect.scoped)
)

it.live("makes another environment for other requirements", () =>
  Effect.gen(function* () {
    const made = yield* workplace
    yield* setEnvironment({ UV: uv })
    const one = yield* Environment.sync({ requirements: [], directory: made })
    const other = yield* Environment.sync({ requirements: ["snakedemo"], directory: made })
    assert.notStrictEqual(one.key, other.key)
    assert.throws(() => importVersion(one.python, "snakedemo"))
  }).pipe(Effect.scoped)
)

it.live("refuses a UV that cannot be run, and a directory that cannot be used", () =>
  Effect.gen(function* () {
    const made = yield* workplace
    yield* setEnvironment({ UV: "/nowhere/uv" })
    const noInstaller = yield* Effect.flip(Environment.sync({ requirements: [], directory: made }))
    assert.include(noInstaller.message, 'the environment variable UV "/nowhere/uv": it is not an executable file')

    fs.writeFileSync(path.join(made, "file"), "")
    const directory = path.join(made, "file", "inside")
    const noDirectory = yield* Effect.flip(Environment.sync({ requirements: [], directory }))
    assert.include(noDirectory.message, `Cannot use ${path.join(directory, "environments")}`)
  }).pipe(Effect.scoped)
)

it.live("holds options to what they may be, as pools do, and lets nothing of them through", () =>
  Effect.gen(function* () {
    const made = yield* folder
    const directory = path.join(made, "environments")
    const refused: ReadonlyArray<readonly [string, Environment.SyncOptions]> = [
      ["requirements", { requirements: ["six"], pyproject: made }],
      ["requirements", { requirements: ["six\nidna"] }],
      ["requirements", { requirements: ["-r x.txt"] }],
      ["directory", { requirements: [], directory: "" }],
      ["uv.path", { requirements: [], uv: { path: "" } }]
    ]
    const { drift, identity, init, interpreterOf, lock, sync } = Environment
    for (const [key, options] of refused) {
      for (const use of [sync, lock, identity, drift, interpreterOf, init]) {
        const error = yield* Effect.flip<unknown, unknown, never>(use({ folder: made, directory, ...options }))
        assert.deepInclude(error, { _tag: "ConfigError", key })
      }
    }
    for (const use of [Environment.interpreterOf, Environment.init]) {
      const error = yield* Effect.flip<unknown, unknown, never>(use({ folder: made, python: "" }))
      assert.deepInclude(error, { _tag: "ConfigError", key: "python" })
    }
    assert.deepStrictEqual(fs.readdirSync(made), [])
  }).pipe(Effect.scoped)
)
