/** Pools with environments of their own, made before their first worker; packages come from a folder, nothing from the network. */
import { Snakepit, SnakepitError } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { assert, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { folder, setEnvironment } from "../packages/python-worker/test/sandbox.ts"
import { python, repackWheel, uv, writeWheel } from "../packages/python-worker/test/wheel.ts"
import { type TestPool, withPool, withPools } from "./harness.ts"

const workplace = Effect.gen(function* () {
  const made = yield* folder
  yield* setEnvironment({
    XDG_CACHE_HOME: path.join(made, "cache"),
    UV: uv,
    UV_CACHE_DIR: path.join(made, "uv"),
    UV_FIND_LINKS: made,
    UV_OFFLINE: "1"
  })
  for (const version of ["1.0", "2.0"]) writeWheel(made, "snakedemo", version)
  // what the worker itself needs, laid beside each of them
  repackWheel(made, "ormsgpack")
  return made
})

const version = (pool?: string) => Snakepit.attribute("snakedemo.__version__", { success: Schema.String, pool })

it.live("gives each pool the packages that it asks for", () =>
  Effect.gen(function* () {
    const environmentDirectory = path.join(yield* workplace, "made")
    const pools: Record<string, TestPool> = {
      default: { requirements: ["snakedemo<2"], environmentDirectory },
      newer: { requirements: ["snakedemo"], environmentDirectory }
    }
    yield* Effect.gen(function* () {
      assert.strictEqual(yield* version(), "1.0")
      assert.strictEqual(yield* version("newer"), "2.0")
    }).pipe(withPools(pools))
    assert.strictEqual(fs.readdirSync(path.join(environmentDirectory, "environments")).length, 2)
  }).pipe(Effect.scoped)
)

it.live("gives a pool the environment of a project, or the one that all pools have", () =>
  Effect.gen(function* () {
    const made = yield* workplace
    const project = path.join(made, "projéct")
    fs.mkdirSync(project)
    const content = `[project]\nname = "demo"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = ["snakedemo<2"]\n`
    fs.writeFileSync(path.join(project, "pyproject.toml"), content)
    const own = { size: 1, environmentDirectory: path.join(made, "made"), progress: "silent" } as const
    const SnakepitLive = SnakepitNode.layer({
      environment: { pyproject: project, python },
      pools: { default: own, newer: { ...own, requirements: ["snakedemo"] } }
    })
    yield* Effect.gen(function* () {
      assert.strictEqual(yield* version(), "1.0")
      assert.strictEqual(yield* version("newer"), "2.0")
    }).pipe(Effect.provide(SnakepitLive))
    assert.isTrue(fs.existsSync(path.join(project, "uv.lock")))
  }).pipe(Effect.scoped)
)

it.live("a pool with requirements of its own does not obey the lock of the environment that all pools have", () =>
  Effect.gen(function* () {
    const made = yield* workplace
    const lock = path.join(made, "common.lock.json")
    const own = { size: 1, environmentDirectory: path.join(made, "made"), progress: "silent" } as const
    const SnakepitLive = SnakepitNode.layer({
      environment: { requirements: ["snakedemo<2"], lock, python },
      pools: { default: own, newer: { ...own, requirements: ["snakedemo"] } }
    })
    for (const _ of ["lock", "obey"]) {
      yield* Effect.gen(function* () {
        assert.strictEqual(yield* version(), "1.0")
        assert.strictEqual(yield* version("newer"), "2.0")
      }).pipe(Effect.provide(SnakepitLive))
    }
    assert.include(fs.readFileSync(lock, "utf8"), "snakedemo==1.0")
  }).pipe(Effect.scoped)
)

it.live("keeps the variables and the packages of the user's own Python away from workers, unless asked", () =>
  Effect.gen(function* () {
    const made = yield* folder
    fs.writeFileSync(path.join(made, "outside.py"), "")
    yield* setEnvironment({ PYTHONPATH: made, PYTHONHASHSEED: "7", PYTHONNOUSERSITE: undefined })
    const variable = (name: string) =>
      Snakepit.call("os.getenv", { args: [name], success: Schema.NullOr(Schema.String) })
    const outside = Effect.result(Snakepit.attribute("outside.__name__"))
    const seen = Effect.all([variable("PYTHONPATH"), variable("PYTHONHASHSEED"), outside])

    for (const start of ["fork", "spawn"] as const) {
      const [pythonPath, seed, imported] = yield* seen.pipe(withPool({ start }))
      assert.deepStrictEqual([pythonPath, seed], [null, null])
      assert.strictEqual(imported._tag, "Failure")
    }
    const [inherited, , found] = yield* seen.pipe(withPool({ inheritPython: true }))
    assert.strictEqual(inherited, made)
    assert.strictEqual(found._tag, "Success")
    const [, given] = yield* seen.pipe(withPool({ env: { PYTHONHASHSEED: "3" } }))
    assert.strictEqual(given, "3")
    const userSite = Snakepit.attribute("site.ENABLE_USER_SITE", { success: Schema.Boolean })
    assert.isFalse(yield* userSite.pipe(withPool()))
  }).pipe(Effect.scoped)
)

for (const [options, key, expected] of [
  [{ pyproject: ".", requirements: [] }, "requirements", "none beside"],
  [{ drift: "maybe" }, "drift", '"warn", "fail"'],
  [{ managedPython: "yes" }, "managedPython", "a boolean"],
  [{ uv: { pth: "uv" } }, "uv", "pythonMirror"],
  [{ uv: { offline: "1" } }, "uv.offline", "a boolean"],
  [{ lock: true }, "lock", "a string"]
] as const) {
  it.live(`refuses ${JSON.stringify(options)} with what is allowed`, () =>
    Effect.gen(function* () {
      // options of any kind, as a program without types would pass them
      const layer = SnakepitNode.layer({ pools: { default: { size: 1, ...(options as TestPool) } } })
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.instanceOf(error, SnakepitError.ConfigError)
      assert.include(error.message, `pools.default.${key}`)
      assert.include(error.message, expected)
    })
  )
}

for (const [config, key, expected] of [
  [null, "config", "pools, environment"],
  [{ pool: {} }, "pool", "pools, environment"],
  [{ environment: "numpy" }, "environment", "an object"],
  [{ pools: [] }, "pools", "an object"],
  [{ environment: { python: "3.12" }, pools: [] }, "pools", "an object"],
  [{ environment: { pythn: "3.12" } }, "pools.default.pythn", "a known key"]
] as const) {
  it.live(`refuses the configuration ${JSON.stringify(config)} with what is allowed`, () =>
    Effect.gen(function* () {
      // as a program without types would pass it
      const layer = SnakepitNode.layer(config as unknown as SnakepitNode.Config)
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.instanceOf(error, SnakepitError.ConfigError)
      assert.include(error.message, `\`${key}\``)
      assert.include(error.message, expected)
    })
  )
}

it.live("fails the start with the installer's explanation when the packages cannot be had", () =>
  Effect.gen(function* () {
    const made = yield* workplace
    const options = { size: 1, requirements: ["snakedemo>3"], environmentDirectory: made, progress: "silent" } as const
    const error = yield* Effect.flip(Effect.scoped(Layer.build(SnakepitNode.layer({ pools: { default: options } }))))
    assert.instanceOf(error, SnakepitError.WorkerStartError)
    assert.include(error.message, "snakedemo")
  }).pipe(Effect.scoped)
)
