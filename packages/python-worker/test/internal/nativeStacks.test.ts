import { assert, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { describe } from "vitest"
import { isRunning, tempDirectory, withoutExec } from "../../../../test/harness.ts"
import { which } from "../../src/internal/executable.ts"
import { nativeStacks } from "../../src/internal/nativeStacks.ts"

const sleeper = Effect.acquireRelease(
  Effect.sync(() => spawn("sleep", ["3600"])),
  (child) => Effect.sync(() => void child.kill("SIGKILL"))
).pipe(Effect.map(({ pid }) => pid ?? assert.fail("it did not start")))

/** Runs with no programs on the PATH but these shell scripts. */
const withPrograms = (programs: Readonly<Record<string, string>>) =>
  Effect.gen(function* () {
    const folder = yield* tempDirectory
    for (const [name, script] of Object.entries(programs)) {
      fs.writeFileSync(path.join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    }
    const before = process.env["PATH"]
    yield* Effect.acquireRelease(
      Effect.sync(() => (process.env["PATH"] = folder)),
      () => Effect.sync(() => (process.env["PATH"] = before))
    )
  })

const stacksOf = (pid: number, timeout = 20_000, signal = new AbortController().signal) =>
  Effect.promise(() => nativeStacks(pid, timeout, signal))

describe("nativeStacks", () => {
  it.live.skipIf(which("gdb") === undefined && which("eu-stack") === undefined)(
    "has the frames, and the process goes on",
    () =>
      Effect.gen(function* () {
        const pid = yield* sleeper
        assert.match((yield* stacksOf(pid)).join("\n"), /#0 [^]*sleep/)
        assert.isTrue(isRunning(pid))
      })
  )

  it.live("is empty without a debugger", () =>
    Effect.gen(function* () {
      const pid = yield* sleeper
      yield* withPrograms({})
      assert.deepStrictEqual(yield* stacksOf(pid), [])
    })
  )

  it.live("keeps what a debugger says of stacks, also when it fails in the end", () =>
    Effect.gen(function* () {
      yield* withPrograms({ "eu-stack": 'echo "PID 1 - process"; echo "TID 1:"; echo "#0  0x1 sleep"; exit 1' })
      assert.deepStrictEqual(yield* stacksOf(1), ["TID 1:", "#0  0x1 sleep"])
    })
  )

  it.live("is empty where the debugger cannot be started", () =>
    Effect.gen(function* () {
      yield* withPrograms({ "eu-stack": 'echo "TID 1:"' })
      yield* withoutExec
      assert.deepStrictEqual(yield* stacksOf(1), [])
    }).pipe(Effect.scoped)
  )

  it.live("waits for no debugger longer than it may, nor after the process has ended", () =>
    Effect.gen(function* () {
      yield* withPrograms({ gdb: "while :; do :; done" })
      assert.deepStrictEqual(yield* stacksOf(1, 50), [])
      const end = new AbortController()
      const waiting = nativeStacks(1, 60_000, end.signal)
      end.abort()
      assert.deepStrictEqual(yield* Effect.promise(() => waiting), [])
    })
  )
})
