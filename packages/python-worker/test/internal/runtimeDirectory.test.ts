import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as ProcessIdentity from "../../src/internal/processIdentity.ts"
import * as RuntimeDirectory from "../../src/internal/runtimeDirectory.ts"
import { folder } from "../sandbox.ts"

/** A folder as an instance leaves it that was killed. */
const leave = (root: string, name: string, owner: string | undefined) => {
  const directory = path.join(root, name)
  fs.mkdirSync(directory)
  fs.writeFileSync(path.join(directory, "default-0.sock"), "")
  if (owner !== undefined) fs.writeFileSync(path.join(directory, "owner"), owner)
}

/** The pid of a process that has ended. */
const deadPid = () => spawnSync("true").pid

const remaining = (left: Readonly<Record<string, string | undefined>>) =>
  Effect.gen(function* () {
    const root = yield* folder
    for (const [name, owner] of Object.entries(left)) leave(root, name, owner)
    yield* RuntimeDirectory.sweep([root])
    return fs.readdirSync(root)
  })

const { self } = ProcessIdentity

describe("RuntimeDirectory", () => {
  it.effect("is closed to others, names its owner, and is removed with its scope", () =>
    Effect.gen(function* () {
      const root = yield* folder
      const directory = yield* Effect.scoped(
        Effect.gen(function* () {
          const made = yield* RuntimeDirectory.make([root])
          assert.strictEqual(fs.statSync(made).mode & 0o777, 0o700)
          assert.strictEqual(fs.readFileSync(path.join(made, "owner"), "utf8"), ProcessIdentity.format(self))
          return made
        })
      )
      assert.isFalse(fs.existsSync(directory))
    })
  )

  it.effect("is made in the next root when the first cannot be used", () =>
    Effect.gen(function* () {
      const root = yield* folder
      const made = yield* RuntimeDirectory.make([path.join(root, "missing"), root])
      assert.strictEqual(path.dirname(made), root)
    })
  )

  it.effect("says why when it cannot be made in any root", () =>
    Effect.gen(function* () {
      const root = yield* folder
      const file = path.join(root, "file")
      fs.writeFileSync(file, "")
      const reason = yield* Effect.flip(RuntimeDirectory.make([path.join(root, "missing"), file]))
      assert.match(reason, /^no folder for sockets could be made: ENOENT.*missing.*; ENOTDIR.*file/)
    })
  )

  it.effect("is not made in a root that is relative or too long, whatever the environment says", () =>
    Effect.gen(function* () {
      for (const unfit of ["relative", `/${"x".repeat(200)}`]) {
        const made = yield* Effect.acquireUseRelease(
          Effect.sync(() => {
            const before = process.env["XDG_RUNTIME_DIR"]
            process.env["XDG_RUNTIME_DIR"] = unfit
            return before
          }),
          () => RuntimeDirectory.make(),
          (before) =>
            Effect.sync(() => {
              if (before === undefined) delete process.env["XDG_RUNTIME_DIR"]
              else process.env["XDG_RUNTIME_DIR"] = before
            })
        )
        assert.isTrue(path.isAbsolute(made))
        assert.isFalse(made.startsWith(unfit))
      }
    })
  )

  it.effect("sweeps what an instance left that is dead", () =>
    Effect.gen(function* () {
      const owner = ProcessIdentity.format({ ...self, pid: deadPid() })
      assert.deepStrictEqual(yield* remaining({ "snakepit-dead": owner }), [])
    })
  )

  it.effect("sweeps what an instance left whose process id is in use again", () =>
    Effect.gen(function* () {
      const owner = ProcessIdentity.format({ ...self, started: self.started - 1 })
      assert.deepStrictEqual(yield* remaining({ "snakepit-reused": owner }), [])
    })
  )

  it.effect("leaves alone what belongs to the living, to other hosts, to nobody known, and to other programs", () =>
    Effect.gen(function* () {
      const dead = { ...self, pid: deadPid() }
      const left = {
        "other-dead": ProcessIdentity.format(dead),
        "snakepit-alive": ProcessIdentity.format(self),
        "snakepit-other-host": ProcessIdentity.format({ ...dead, host: "000000" }),
        "snakepit-unknown": undefined,
        "snakepit-unreadable": "who knows"
      }
      assert.deepStrictEqual((yield* remaining(left)).sort(), Object.keys(left))
    })
  )

  it.effect("does not follow a link", () =>
    Effect.gen(function* () {
      const [root, elsewhere] = [yield* folder, yield* folder]
      leave(elsewhere, "snakepit-dead", ProcessIdentity.format({ ...self, pid: deadPid() }))
      fs.symlinkSync(path.join(elsewhere, "snakepit-dead"), path.join(root, "snakepit-link"))
      yield* RuntimeDirectory.sweep([root])
      assert.isTrue(fs.existsSync(path.join(elsewhere, "snakepit-dead", "default-0.sock")))
    })
  )
})
