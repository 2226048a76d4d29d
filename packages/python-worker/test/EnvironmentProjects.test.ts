/** Projects and locks, with the real uv: packages come from an index that the test serves, or from a folder. */
import { assert, it } from "@effect/vitest"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Environment from "../src/Environment.ts"
import type * as EnvironmentLock from "../src/EnvironmentLock.ts"
import { EnvironmentProgress, type ProgressEvent } from "../src/EnvironmentProgress.ts"
import { folder, script, setEnvironment } from "./sandbox.ts"
import { type Index, python, serveIndex, uv, writeWheel } from "./wheel.ts"

/** Milliseconds for a test that makes environments with venv, which unpacks pip each time. */
const SLOW = 120_000

interface Place {
  readonly made: string
  readonly project: string
  readonly index: Index
  /** The options of everything that is done here. */
  readonly options: { readonly pyproject: string; readonly directory: string; readonly python: string }
}

/** A project that needs `snakedemo`, an index that has it, and caches of the test's own. */
const workplace = Effect.gen(function* () {
  const made = yield* folder
  const wheels = path.join(made, "wheels")
  for (const version of ["1.0", "2.0"]) writeWheel(wheels, "snakedemo", version)
  writeWheel(wheels, "snakeold", "1.0", ["snakedemo<2"])
  writeWheel(wheels, "snakelone", "1.0")
  const index = yield* serveIndex(wheels)
  yield* setEnvironment({
    XDG_CACHE_HOME: path.join(made, "cache"),
    UV: uv,
    UV_CACHE_DIR: path.join(made, "uv"),
    UV_DEFAULT_INDEX: index.url,
    UV_HTTP_RETRIES: "0",
    UV_OFFLINE: undefined,
    PIP_INDEX_URL: index.url,
    PIP_FIND_LINKS: undefined
  })
  const project = path.join(made, "pro jécт")
  fs.mkdirSync(project)
  writeProject(project, ["snakedemo"])
  const place: Place = {
    made,
    project,
    index,
    options: { pyproject: project, directory: path.join(made, "made"), python }
  }
  return place
})

const writeProject = (project: string, dependencies: ReadonlyArray<string>) =>
  fs.writeFileSync(
    path.join(project, "pyproject.toml"),
    `[project]\nname = "demo"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = ${JSON.stringify(dependencies)}\n`
  )

const importVersion = (interpreter: string, name: string) =>
  execFileSync(interpreter, ["-I", "-c", `import ${name}; print(${name}.__version__)`], {
    encoding: "utf8",
    stdio: "pipe"
  }).trim()

const readLock = (file: string) => {
  const content: typeof EnvironmentLock.EnvironmentLock.Type = JSON.parse(fs.readFileSync(file, "utf8"))
  return content
}

const changeLock = (file: string, identity: Partial<EnvironmentLock.Identity>) => {
  const content = readLock(file)
  fs.writeFileSync(file, JSON.stringify({ ...content, identity: { ...content.identity, ...identity } }))
}

const until = (condition: () => boolean) =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.fail("not yet"))).pipe(
    Effect.retry(Schedule.spaced("10 millis")),
    Effect.orDie
  )

const childrenOf = (parent: number | undefined) =>
  execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" })
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([pid, ppid]) => (pid !== undefined && ppid === parent ? [pid] : []))

const syncInProcess = ({ options }: Place) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const program = fileURLToPath(new URL("fixtures/syncProject.ts", import.meta.url))
      const child = spawn(
        process.execPath,
        ["--conditions=snakepit-source", program, options.pyproject, options.directory, options.python],
        { stdio: ["ignore", "pipe", "inherit"], detached: true }
      )
      return { child, exited: once(child, "exit") }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

// ---------------------------------------------------------------------------------------------------------------------
// Locks
// ---------------------------------------------------------------------------------------------------------------------

it.live("locks a project once, installs what is locked, and finds it again without uv", () =>
  Effect.gen(function* () {
    const { options, project } = yield* workplace
    const environment = yield* Environment.sync(options)
    assert.strictEqual(importVersion(environment.python, "snakedemo"), "2.0")
    assert.isTrue(fs.existsSync(path.join(project, "uv.lock")))
    const { identity, lockVersion } = readLock(path.join(project, "snakepit.lock.json"))
    assert.strictEqual(lockVersion, 1)
    assert.deepStrictEqual(identity, environment.identity)
    assert.match(identity.interpreter, /^[0-9a-f]{64}$/)
    assert.match(identity.lock ?? "", /^[0-9a-f]{64}$/)

    yield* setEnvironment({ UV: "/nowhere/uv" })
    assert.deepStrictEqual(yield* Environment.sync(options), environment)
    assert.deepStrictEqual(yield* Environment.identity(options), environment.identity)
  }).pipe(Effect.scoped)
)

it.live("installs the locked version when the index has a newer one, until it is locked anew", () =>
  Effect.gen(function* () {
    const { made, options, project } = yield* workplace
    yield* Environment.sync(options)
    writeWheel(path.join(made, "wheels"), "snakedemo", "3.0")
    const elsewhere = { ...options, directory: path.join(made, "elsewhere") }
    assert.strictEqual(importVersion((yield* Environment.sync(elsewhere)).python, "snakedemo"), "2.0")

    const before = readLock(path.join(project, "snakepit.lock.json")).identity.lock
    yield* setEnvironment({ UV_CACHE_DIR: path.join(made, "uv-2") })
    const identity = yield* Environment.lock({ ...options, upgrade: true })
    assert.notStrictEqual(identity.lock, before)
    const upgraded = yield* Environment.sync({ ...options, drift: "fail" })
    assert.strictEqual(importVersion(upgraded.python, "snakedemo"), "3.0")
  }).pipe(Effect.scoped)
)

it.live("refuses a lock that no longer fits the project, and says so before anything is installed", () =>
  Effect.gen(function* () {
    const { options, project } = yield* workplace
    yield* Environment.sync(options)
    assert.deepStrictEqual(yield* Environment.drift(options), [])
    writeProject(project, ["snakedemo", "snakelone"])
    const error = yield* Effect.flip(Environment.sync(options))
    assert.strictEqual(error._tag, "LockDrift")
    assert.include(error.message, "uv.lock")
    assert.deepStrictEqual(
      (yield* Environment.drift(options)).map(({ field }) => field),
      ["uv.lock"]
    )
    yield* Environment.lock(options)
    assert.deepStrictEqual(yield* Environment.drift(options), [])
    assert.strictEqual(importVersion((yield* Environment.sync(options)).python, "snakelone"), "1.0")
  }).pipe(Effect.scoped)
)

it.live("reports drift of the machine field by field: a warning, or a failure when asked for", () =>
  Effect.gen(function* () {
    const { options, project } = yield* workplace
    const environment = yield* Environment.sync(options)
    changeLock(path.join(project, "snakepit.lock.json"), { version: "3.10.0", hardware: "cuda driver 580.65.06" })
    const expected = [
      { field: "version", locked: "3.10.0", found: environment.identity.version },
      { field: "hardware", locked: "cuda driver 580.65.06", found: environment.identity.hardware }
    ]
    assert.deepStrictEqual((yield* Environment.sync(options)).drift, expected)
    assert.deepStrictEqual(yield* Environment.drift(options), expected)
    const error = yield* Effect.flip(Environment.sync({ ...options, drift: "fail" }))
    assert.strictEqual(error._tag, "LockDrift")
    assert.include(error.message, "version: locked 3.10.0, found 3.")
    assert.include(error.message, "hardware: locked cuda driver 580.65.06")

    fs.writeFileSync(path.join(project, "snakepit.lock.json"), "{")
    assert.strictEqual((yield* Effect.flip(Environment.sync(options)))._tag, "LockDrift")
  }).pipe(Effect.scoped)
)

it.live("locks inline requirements in the file that is named, with hashes, and obeys it", () =>
  Effect.gen(function* () {
    const { made, options } = yield* workplace
    const lock = path.join(made, "locks", "vision.json")
    const inline = { requirements: ["snakedemo>=1"], lock, directory: options.directory, python }
    assert.strictEqual(importVersion((yield* Environment.sync(inline)).python, "snakedemo"), "2.0")
    const { packages = [], requirements } = readLock(lock)
    assert.deepStrictEqual(requirements, ["snakedemo>=1"])
    assert.match(packages.join(), /^snakedemo==2.0 --hash=sha256:[0-9a-f]{64}$/)

    writeWheel(path.join(made, "wheels"), "snakedemo", "3.0")
    yield* setEnvironment({ UV_CACHE_DIR: path.join(made, "uv-2") })
    const elsewhere = yield* Environment.sync({ ...inline, directory: path.join(made, "elsewhere"), drift: "fail" })
    assert.strictEqual(importVersion(elsewhere.python, "snakedemo"), "2.0")

    const other = { ...inline, requirements: ["snakedemo>=1", "snakelone"] }
    const error = yield* Effect.flip(Environment.sync(other))
    assert.include(error.message, "requirements: locked snakedemo>=1, found snakedemo>=1, snakelone")
    yield* Environment.lock(other)
    assert.strictEqual(importVersion((yield* Environment.sync(other)).python, "snakedemo"), "3.0")
  }).pipe(Effect.scoped)
)

// ---------------------------------------------------------------------------------------------------------------------
// Changing projects
// ---------------------------------------------------------------------------------------------------------------------

it.live("makes a project, adds to it and removes from it", () =>
  Effect.gen(function* () {
    const { made, options } = yield* workplace
    const project = path.join(made, "Neues Projekt é")
    const { directory } = options
    const first = yield* Environment.init({ folder: project, requirements: ["snakedemo<2"], directory, python })
    assert.strictEqual(importVersion(first.python, "snakedemo"), "1.0")
    assert.include(fs.readFileSync(path.join(project, "pyproject.toml"), "utf8"), 'name = "neues-projekt"')

    const here = { ...options, pyproject: project }
    const added = yield* Environment.add(["snakelone"], here)
    assert.strictEqual(importVersion(added.python, "snakelone"), "1.0")
    assert.deepStrictEqual(readLock(path.join(project, "snakepit.lock.json")).identity, added.identity)

    const removed = yield* Environment.remove(["snakelone"], here)
    assert.throws(() => importVersion(removed.python, "snakelone"))
    assert.strictEqual(importVersion(removed.python, "snakedemo"), "1.0")
    assert.deepStrictEqual(yield* Environment.sync({ ...here, drift: "fail" }), removed)
  }).pipe(Effect.scoped)
)

it.live("keeps uv's explanation of a conflict, and leaves the project as it was", () =>
  Effect.gen(function* () {
    const { options, project } = yield* workplace
    writeProject(project, ["snakedemo>=2"])
    yield* Environment.sync(options)
    const files = ["pyproject.toml", "uv.lock", "snakepit.lock.json"].map((name) => path.join(project, name))
    const before = files.map((file) => fs.readFileSync(file, "utf8"))
    const error = yield* Effect.flip(Environment.add(["snakeold"], options))
    assert.strictEqual(error._tag, "ResolutionFailed")
    assert.match(error.message, /snakeold.* depends? on snakedemo<2/s)
    assert.include(error.message, "unsatisfiable")
    assert.deepStrictEqual(
      files.map((file) => fs.readFileSync(file, "utf8")),
      before
    )
  }).pipe(Effect.scoped)
)

// ---------------------------------------------------------------------------------------------------------------------
// Network
// ---------------------------------------------------------------------------------------------------------------------

it.live("makes a locked environment offline from the cache, and names the network when something is not in it", () =>
  Effect.gen(function* () {
    const { index, made, options, project } = yield* workplace
    yield* Environment.sync(options)
    index.close()
    const elsewhere = path.join(made, "elsewhere")
    const offline = { ...options, directory: elsewhere, uv: { offline: true } }
    assert.strictEqual(importVersion((yield* Environment.sync(offline)).python, "snakedemo"), "2.0")

    const missing = yield* Effect.flip(Environment.add(["snakelone"], offline))
    assert.strictEqual(missing._tag, "NetworkUnavailable")
    assert.include(missing.message, "snakelone")
    yield* setEnvironment({ UV: undefined, PATH: "/usr/bin:/bin" })
    const unfetched = { ...offline, directory: path.join(made, "third") }
    assert.strictEqual((yield* Effect.flip(Environment.sync(unfetched)))._tag, "UvMissing")
    yield* setEnvironment({ UV: uv })
    const refused = yield* Effect.flip(Environment.add(["snakelone"], options))
    assert.strictEqual(refused._tag, "NetworkUnavailable")
    assert.include(refused.message, index.url)
    assert.notInclude(fs.readFileSync(path.join(project, "pyproject.toml"), "utf8"), "snakelone")
  }).pipe(Effect.scoped)
)

it.live("writes nothing when nothing has changed", () =>
  Effect.gen(function* () {
    const { made, options } = yield* workplace
    const lock = path.join(made, "lock.json")
    const inline = { requirements: ["snakedemo"], lock, directory: options.directory, python: ">=3.10" }
    const everything = Effect.all([Environment.sync(options), Environment.sync(inline), Environment.identity(options)])
    const before = yield* everything
    const files = () =>
      fs
        .globSync("**/*", { cwd: made })
        .map((file) => `${file} ${fs.lstatSync(path.join(made, file)).mtimeMs}`)
        .toSorted()
    const seen = files()
    yield* setEnvironment({ UV: "/nowhere/uv" })
    assert.deepStrictEqual(yield* everything, before)
    assert.deepStrictEqual(files(), seen)
  }).pipe(Effect.scoped)
)

it.live("tells of the packages that are downloaded, with their sizes, and of the process that it waits for", () =>
  Effect.gen(function* () {
    const place = yield* workplace
    const { index, made, options, project } = place
    const wheel = writeWheel(path.join(made, "wheels"), "snakebig", "1.0")
    execFileSync(python, ["-c", ADD_MEGABYTES, wheel])
    writeProject(project, ["snakebig"])
    yield* Environment.lock(options)
    yield* setEnvironment({ UV_CACHE_DIR: path.join(made, "uv-2") })
    index.hold()
    const before = index.downloads.length
    const { exited } = yield* syncInProcess(place)
    yield* until(() => index.downloads.length > before)
    const events: Array<ProgressEvent> = []
    const waiting = yield* Effect.forkChild(
      Effect.provideService(Environment.sync(options), EnvironmentProgress, (event) => events.push(event))
    )
    yield* until(() => events.some(({ _tag }) => _tag === "Waiting"))
    index.release()
    yield* Fiber.join(waiting)
    yield* Effect.promise(() => exited)
    assert.deepStrictEqual(
      events.filter(({ _tag }) => _tag === "Step"),
      []
    )

    events.length = 0
    yield* setEnvironment({ UV_CACHE_DIR: path.join(made, "uv-3") })
    const elsewhere = { ...options, directory: path.join(made, "elsewhere") }
    yield* Effect.provideService(Environment.sync(elsewhere), EnvironmentProgress, (event) => events.push(event))
    const downloading = { _tag: "Package", activity: "downloading", name: "snakebig", done: 0, total: 1 } as const
    assert.deepInclude(events, { ...downloading, size: "3.0MiB" })
    assert.deepInclude(events, { ...downloading, size: undefined, done: 1 })
    assert.deepInclude(events.at(-1), { _tag: "End" })
  }).pipe(Effect.scoped)
)

const ADD_MEGABYTES = `
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[1], "a") as archive:
    archive.writestr("snakebig/data", os.urandom(3 << 20))
`

it.live("asks for a place before it locks inline requirements", () =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(Environment.lock({ requirements: ["snakedemo"] }))
    assert.include(error.message, "the option `lock`")
  })
)

it.live("makes another environment for other builds of torch", () =>
  Effect.gen(function* () {
    const { options } = yield* workplace
    const wanted = { requirements: ["snakedemo"], directory: options.directory, python }
    const auto = yield* Environment.sync(wanted)
    const cpu = yield* Environment.sync({ ...wanted, uv: { torchBackend: "cpu" } })
    assert.notStrictEqual(cpu.key, auto.key)
    const wrong = yield* Effect.flip(Environment.sync({ ...wanted, uv: { torchBackend: "cu0" } }))
    assert.include(wrong.message, "possible values: auto, cpu")
  }).pipe(Effect.scoped)
)

it.live("asks uv for the builds of torch that the option names", () =>
  Effect.gen(function* () {
    const { options } = yield* workplace
    yield* setEnvironment({ HTTPS_PROXY: "http://127.0.0.1:9", https_proxy: undefined, ALL_PROXY: undefined })
    const wanted = { requirements: ["torch"], directory: options.directory, python }
    const error = yield* Effect.flip(Environment.sync({ ...wanted, uv: { torchBackend: "cu128" } }))
    assert.strictEqual(error._tag, "NetworkUnavailable")
    assert.match(error.message, /whl\/cu128\/torch/)
  }).pipe(Effect.scoped)
)

// ---------------------------------------------------------------------------------------------------------------------
// Several processes
// ---------------------------------------------------------------------------------------------------------------------

it.live("locks and builds once when two processes come to a new project at the same time", () =>
  Effect.gen(function* () {
    const place = yield* workplace
    const processes = [yield* syncInProcess(place), yield* syncInProcess(place)]
    for (const { exited } of processes) {
      const [code] = yield* Effect.promise(() => exited)
      assert.strictEqual(code, 0)
    }
    const keys = fs.readdirSync(path.join(place.options.directory, "environments"))
    assert.strictEqual(keys.length, 1)
    const builds = fs.readdirSync(path.join(place.options.directory, "environments", keys[0] ?? ""))
    assert.strictEqual(builds.filter((name) => name.startsWith("build-")).length, 1)
    yield* setEnvironment({ UV: "/nowhere/uv" })
    assert.strictEqual(importVersion((yield* Environment.sync(place.options)).python, "snakedemo"), "2.0")
  }).pipe(Effect.scoped)
)

it.live("never takes a build that was killed in the middle for a finished one", () =>
  Effect.gen(function* () {
    const place = yield* workplace
    yield* Environment.lock(place.options)
    yield* setEnvironment({ UV_CACHE_DIR: path.join(place.made, "uv-2") })
    place.index.hold()
    const before = place.index.downloads.length
    const { child, exited } = yield* syncInProcess(place)
    // uv has made the virtual environment and waits for the first package
    yield* until(() => place.index.downloads.length > before)
    const root = path.join(place.options.directory, "environments")
    const [key = ""] = fs.readdirSync(root)
    const begun = fs.readdirSync(path.join(root, key))
    assert.isTrue(begun.some((name) => name.startsWith("build-")))
    assert.notInclude(begun, "current")
    // as when the machine loses its power: the installer dies with the process
    const installers = childrenOf(child.pid)
    assert.isNotEmpty(installers)
    child.kill("SIGKILL")
    for (const pid of installers) process.kill(-pid, "SIGKILL")
    yield* Effect.promise(() => exited)

    place.index.release()
    const environment = yield* Environment.sync(place.options)
    assert.strictEqual(importVersion(environment.python, "snakedemo"), "2.0")
    const left = fs.readdirSync(path.join(root, key))
    assert.deepStrictEqual(
      left.filter((name) => !name.startsWith("build-")),
      ["current"]
    )
    assert.strictEqual(left.length, 2)
  }).pipe(Effect.scoped)
)

// ---------------------------------------------------------------------------------------------------------------------
// Without uv, without rights, without a project
// ---------------------------------------------------------------------------------------------------------------------

it.live("fetches uv as the package it is when there is none", () =>
  Effect.gen(function* () {
    const { made, options } = yield* workplace
    // A package of this name whose command is the real uv.
    writeWheel(path.join(made, "wheels"), "uv", "99.0")
    execFileSync(python, ["-c", ADD_COMMAND, path.join(made, "wheels", "uv-99.0-py3-none-any.whl"), uv])
    yield* setEnvironment({ UV: undefined, PATH: "/usr/bin:/bin" })
    const environment = yield* Environment.sync(options)
    assert.strictEqual(importVersion(environment.python, "snakedemo"), "2.0")
    assert.isTrue(fs.existsSync(path.join(made, "cache", "snakepit", "uv", "current", "bin", "uv")))
  }).pipe(Effect.scoped)
)

const ADD_COMMAND = `
import sys, zipfile
wheel, command = sys.argv[1:]
with zipfile.ZipFile(wheel, "a") as archive:
    entry = zipfile.ZipInfo("uv-99.0.data/scripts/uv")
    entry.external_attr = 0o100755 << 16
    archive.writestr(entry, f"#!/bin/sh\\nexec '{command}' \\"$@\\"\\n")
`

it.live(
  "does with venv and pip when uv cannot be had, and names uv when nothing else will do",
  () =>
    Effect.gen(function* () {
      const { options } = yield* workplace
      yield* setEnvironment({ UV: undefined, PATH: "/usr/bin:/bin" })
      const events: Array<ProgressEvent> = []
      const listening = Effect.provideService(EnvironmentProgress, (event) => events.push(event))
      const environment = yield* listening(Environment.sync(options))
      assert.strictEqual(importVersion(environment.python, "snakedemo"), "2.0")
      assert.isNull(environment.identity.lock)
      assert.deepInclude(events.at(-2) ?? {}, { _tag: "End" })

      const error = yield* Effect.flip(Environment.add(["snakelone"], options))
      assert.strictEqual(error._tag, "UvMissing")
      assert.include(error.message, "pip install uv")
    }).pipe(Effect.scoped),
  SLOW
)

it.live(
  "locks inline requirements with pip when uv cannot be had",
  () =>
    Effect.gen(function* () {
      const { made, options } = yield* workplace
      yield* setEnvironment({ UV: undefined, PATH: "/usr/bin:/bin" })
      const lock = path.join(made, "lock.json")
      const inline = { requirements: ["snakeold"], lock, directory: options.directory, python: withPip(made) }
      const environment = yield* Environment.sync(inline)
      assert.deepStrictEqual(readLock(lock).packages, ["snakedemo==1.0", "snakeold==1.0"])
      assert.strictEqual(importVersion(environment.python, "snakedemo"), "1.0")
    }).pipe(Effect.scoped),
  SLOW
)

/** The environment of the tests may have been made by uv, which puts no pip into it. */
const withPip = (made: string) => {
  execFileSync(python, ["-m", "venv", path.join(made, "with pip")])
  return path.join(made, "with pip", "bin", "python")
}

it.live("refuses an interpreter that the project does not allow, with uv's words", () =>
  Effect.gen(function* () {
    const { options, project } = yield* workplace
    const file = path.join(project, "pyproject.toml")
    fs.writeFileSync(file, fs.readFileSync(file, "utf8").replace(">=3.10", ">=3.99"))
    const error = yield* Effect.flip(Environment.sync(options))
    assert.strictEqual(error._tag, "PythonNotFound")
    assert.match(error.message, /incompatible with the project's Python requirement: `>=3.99`/)
    assert.isFalse(fs.existsSync(path.join(project, "snakepit.lock.json")))
  }).pipe(Effect.scoped)
)

it.live("names the folder that cannot be written", () =>
  Effect.gen(function* () {
    const { made, options } = yield* workplace
    fs.writeFileSync(path.join(made, "file"), "")
    const error = yield* Effect.flip(Environment.sync({ ...options, directory: path.join(made, "file") }))
    assert.strictEqual(error._tag, "EnvironmentNotWritable")
    assert.include(error.message, path.join(made, "file"))
    const lock = path.join(made, "file", "snakepit.lock.json")
    assert.strictEqual((yield* Effect.flip(Environment.sync({ ...options, lock })))._tag, "EnvironmentNotWritable")

    yield* setEnvironment({ UV_CACHE_DIR: path.join(made, "file") })
    const cache = yield* Effect.flip(Environment.sync({ ...options, directory: path.join(made, "other") }))
    assert.strictEqual(cache._tag, "EnvironmentNotWritable")
  }).pipe(Effect.scoped)
)

it.live("uses the environment of a Poetry project as it is", () =>
  Effect.gen(function* () {
    const { made, options } = yield* workplace
    const project = path.join(made, "poetry")
    fs.mkdirSync(project)
    fs.writeFileSync(path.join(project, "pyproject.toml"), `[tool.poetry]\nname = "demo"\n`)
    fs.writeFileSync(path.join(project, "poetry.lock"), "")
    execFileSync(uv, ["venv", "--quiet", "--python", python, path.join(project, ".venv")])
    const environment = yield* Environment.sync({ pyproject: project, directory: options.directory })
    assert.strictEqual(environment.python, path.join(project, ".venv", "bin", "python"))
    assert.match(environment.identity.lock ?? "", /^[0-9a-f]{64}$/)
    assert.isFalse(fs.existsSync(options.directory))
    assert.isFalse(fs.existsSync(path.join(project, "snakepit.lock.json")))
    const error = yield* Effect.flip(Environment.add(["snakelone"], { ...options, pyproject: project }))
    assert.include(error.message, "it is poetry's, and changed with `poetry add`")
  }).pipe(Effect.scoped)
)

it.live("takes a UV that cannot be run for a mistake, and passes over nothing", () =>
  Effect.gen(function* () {
    const { made, options } = yield* workplace
    const broken = script(path.join(made, "uv"), "echo 'Illegal instruction' >&2; exit 132")
    const failed = yield* Effect.flip(Environment.sync({ ...options, uv: { path: broken } }))
    assert.strictEqual(failed._tag, "InstallFailed")
    assert.include(failed.message, "Illegal instruction")
    const missing = yield* Effect.flip(Environment.sync({ ...options, uv: { path: "/nowhere/uv" } }))
    assert.strictEqual(missing._tag, "UvMissing")
    assert.include(missing.message, 'the option uv.path "/nowhere/uv"')
  }).pipe(Effect.scoped)
)
