import { assert, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Interpreter from "../src/Interpreter.ts"
import { folder, script, setEnvironment } from "./sandbox.ts"

/** What a Python too old answers. */
const old = (file: string) => script(file, `echo '{"version": "3.9.2", "path": "${file}"}'`)

/** Passes everything on to the interpreter of the tests, and counts its starts. */
const counting = (file: string, count: string, python: string) =>
  script(file, `echo start >> "${count}"\nexec "${python}" "$@"`)

it.live("finds the interpreter of the active environment and says what it is", () =>
  Effect.gen(function* () {
    const found = yield* Interpreter.find()
    assert.strictEqual(found.path, path.join(process.env["VIRTUAL_ENV"] ?? "", "bin", "python"))
    assert.match(found.version, /^3\.\d+\.\d+$/)
    assert.strictEqual(found.implementation, "cpython")
    assert.match(found.abi, /^cp3\d+t?$/)
    assert.match(found.platform, /-/)
    assert.match(found.ormsgpack?.version ?? "", /^1\.\d+/)
  }).pipe(Effect.scoped)
)

it.live("takes the explicit path before everything else, also relative and with unusual letters", () =>
  Effect.gen(function* () {
    const made = yield* folder
    const { path: python } = yield* Interpreter.find()
    const link = path.join(made, "python")
    fs.symlinkSync(fs.realpathSync(python), link)
    const absolute = yield* Interpreter.find({ python: link })
    assert.strictEqual(absolute.path, link)
    const relative = yield* Interpreter.find({ python: path.relative(process.cwd(), link) })
    assert.strictEqual(relative.path, link)
  }).pipe(Effect.scoped)
)

it.live("passes over what is too old, broken or missing, in order, and takes the first that will do", () =>
  Effect.gen(function* () {
    const made = yield* folder
    const { path: python } = yield* Interpreter.find()
    old(path.join(made, "bin", "python3"))
    script(path.join(made, "bin", "python"), `exec "${python}" "$@"`)
    yield* setEnvironment({
      VIRTUAL_ENV: path.join(made, "gone"),
      CONDA_PREFIX: undefined,
      PATH: `${path.join(made, "bin")}:/bin`
    })
    const found = yield* Interpreter.find()
    assert.strictEqual(found.path, python)
  }).pipe(Effect.scoped)
)

it.live("lists everything it tried, and why each did not do", () =>
  Effect.gen(function* () {
    const made = yield* folder
    const python3 = old(path.join(made, "bin", "python3"))
    const python = script(path.join(made, "bin", "python"), "echo 'libpython is missing' >&2; exit 127")
    yield* setEnvironment({ VIRTUAL_ENV: path.join(made, "gone"), CONDA_PREFIX: undefined, PATH: path.dirname(python) })
    const error = yield* Effect.flip(Interpreter.find())
    assert.deepStrictEqual(error.tried, [
      { what: "the active environment VIRTUAL_ENV", why: `there is no ${path.join(made, "gone", "bin", "python")}` },
      { what: `python3 (${python3})`, why: "it is Python 3.9.2, older than 3.10" },
      { what: `python (${python})`, why: "it ended with exit code 127: libpython is missing" }
    ])
    assert.include(error.message, "Install Python 3.10 or newer")
  }).pipe(Effect.scoped)
)

it.live("tries nothing else when the explicit interpreter does not do", () =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(Interpreter.find({ python: "no-such-python" }))
    assert.deepStrictEqual(error.tried, [{ what: 'the option python "no-such-python"', why: "not on the PATH" }])
  })
)

it.live("names what answers but is no Python", () =>
  Effect.gen(function* () {
    const made = yield* folder
    const file = script(path.join(made, "python"), "echo hello")
    const error = yield* Effect.flip(Interpreter.find({ python: file }))
    assert.deepStrictEqual(
      error.tried.map(({ why }) => why),
      ["it does not answer like Python: hello"]
    )
  }).pipe(Effect.scoped)
)

it.live("starts a known interpreter no second time, and a script on the PATH every time", () =>
  Effect.gen(function* () {
    const made = yield* folder
    const { path: python } = yield* Interpreter.find()
    yield* setEnvironment({ XDG_CACHE_HOME: path.join(made, "cache") })
    const first = yield* Interpreter.find({ python })
    const [answer = ""] = fs.readdirSync(path.join(made, "cache", "snakepit", "interpreters"))
    const file = path.join(made, "cache", "snakepit", "interpreters", answer)
    fs.writeFileSync(file, JSON.stringify({ ...first, version: "3.99.0" }))
    assert.strictEqual((yield* Interpreter.find({ python })).version, "3.99.0")

    const shim = counting(path.join(made, "python3"), path.join(made, "count"), python)
    yield* Interpreter.find({ python: shim })
    yield* Interpreter.find({ python: shim })
    assert.strictEqual(fs.readFileSync(path.join(made, "count"), "utf8"), "start\nstart\n")
  }).pipe(Effect.scoped)
)

it.live("asks again when the answer is damaged or ormsgpack is gone", () =>
  Effect.gen(function* () {
    const made = yield* folder
    const { path: python } = yield* Interpreter.find()
    yield* setEnvironment({ XDG_CACHE_HOME: path.join(made, "cache") })
    const first = yield* Interpreter.find({ python })
    const answers = path.join(made, "cache", "snakepit", "interpreters")
    const file = path.join(answers, fs.readdirSync(answers)[0] ?? "")
    for (const damaged of [
      "",
      "{",
      JSON.stringify({ ...first, ormsgpack: { version: "1.13.1", file: `${made}/gone` } })
    ]) {
      fs.writeFileSync(file, damaged)
      assert.deepStrictEqual(yield* Interpreter.find({ python }), first)
    }
  }).pipe(Effect.scoped)
)

it.live("works without a writable cache", () =>
  Effect.gen(function* () {
    const made = yield* folder
    fs.writeFileSync(path.join(made, "file"), "")
    yield* setEnvironment({ XDG_CACHE_HOME: path.join(made, "file") })
    assert.match((yield* Interpreter.find()).version, /^3\./)
  }).pipe(Effect.scoped)
)
