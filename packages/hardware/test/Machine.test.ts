import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Machine from "../src/Machine.ts"

describe("Machine", () => {
  it.live("runs commands in the C locale and tells how they ended", () =>
    Effect.gen(function* () {
      const machine = yield* Machine.Machine
      assert.deepStrictEqual(yield* machine.run(process.execPath, ["-p", "process.env.LC_ALL"]), {
        _tag: "Ended",
        exitCode: 0,
        stdout: "C\n",
        stderr: ""
      })
      const script = "console.log('out'); console.error('err'); process.exit(3)"
      assert.deepStrictEqual(yield* machine.run(process.execPath, ["-e", script]), {
        _tag: "Ended",
        exitCode: 3,
        stdout: "out\n",
        stderr: "err\n"
      })
      assert.deepStrictEqual(yield* machine.run("no-such-command-here", []), { _tag: "NotFound" })
    }).pipe(Effect.provide(Machine.layer))
  )

  it.live("ends a command when its caller is interrupted", () =>
    Effect.gen(function* () {
      const machine = yield* Machine.Machine
      const fiber = yield* Effect.forkChild(machine.run(process.execPath, ["-e", "setTimeout(() => {}, 60_000)"]), {
        startImmediately: true
      })
      yield* Fiber.interrupt(fiber)
      assert.isDefined(fiber.pollUnsafe())
    }).pipe(Effect.provide(Machine.layer))
  )

  it.live("reads files, and nothing where there are none", () =>
    Effect.gen(function* () {
      const machine = yield* Machine.Machine
      assert.include(yield* machine.read(new URL(import.meta.url).pathname), "reads files")
      assert.isUndefined(yield* machine.read("/no/such/file"))
      assert.isUndefined(yield* machine.read("/"))
    }).pipe(Effect.provide(Machine.layer))
  )
})
