import { assert, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as EnvironmentLock from "../src/EnvironmentLock.ts"
import { folder } from "./sandbox.ts"

const locked = {
  version: "3.13.1",
  implementation: "cpython",
  platform: "x86_64-linux-gnu",
  interpreter: "a".repeat(64),
  lock: "b".repeat(64),
  hardware: "cpu"
} satisfies EnvironmentLock.Identity

it("compares every field of an identity, and no other", () => {
  assert.deepStrictEqual(EnvironmentLock.compare(locked, { ...locked }), [])
  for (const [field, value] of Object.entries(locked)) {
    const found = { ...locked, [field]: "another" }
    assert.deepStrictEqual(EnvironmentLock.compare(locked, found), [{ field, locked: value, found: "another" }])
  }
  const unlocked = { ...locked, lock: null }
  assert.deepStrictEqual(EnvironmentLock.compare(unlocked, locked), [
    { field: "lock", locked: "nothing", found: locked.lock }
  ])
})

it.effect("is read as it was written, and leaves no draft beside it", () =>
  Effect.gen(function* () {
    const file = path.join(yield* folder, "deep", EnvironmentLock.fileName)
    assert.isUndefined(yield* EnvironmentLock.read(file))
    const lock = { lockVersion: 1, identity: locked, requirements: ["six"], packages: ["six==1.17.0"] } as const
    yield* EnvironmentLock.write(file, lock)
    assert.deepStrictEqual(yield* EnvironmentLock.read(file), lock)
    assert.deepStrictEqual(fs.readdirSync(path.dirname(file)), [EnvironmentLock.fileName])
  }).pipe(Effect.scoped)
)

it.effect("that is no JSON is drift, and says so", () =>
  Effect.gen(function* () {
    const file = path.join(yield* folder, EnvironmentLock.fileName)
    fs.writeFileSync(file, "{ broken")
    const error = yield* Effect.flip(EnvironmentLock.read(file))
    assert.strictEqual(error._tag, "LockDrift")
    assert.include(error.message, file)
    assert.match(error.message, /snakepit\.lock\.json: locked text that is no JSON \(Expected property name/)
    assert.notInclude(error.message, "lockVersion")
  }).pipe(Effect.scoped)
)

it.effect("of a version that is not known is drift, since nothing is known to hold", () =>
  Effect.gen(function* () {
    const file = path.join(yield* folder, EnvironmentLock.fileName)
    fs.writeFileSync(file, JSON.stringify({ lockVersion: 2, identity: locked }))
    const error = yield* Effect.flip(EnvironmentLock.read(file))
    assert.strictEqual(error._tag, "LockDrift")
    assert.include(error.message, file)
  }).pipe(Effect.scoped)
)
