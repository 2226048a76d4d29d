import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Hardware from "../src/Hardware.ts"
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

  it.live("ends a command that takes too long", () =>
    Effect.gen(function* () {
      const machine = yield* Machine.Machine
      const end = yield* machine.run(process.execPath, ["-e", "setTimeout(() => {}, 60_000)"])
      assert.deepStrictEqual(end, { _tag: "TimedOut" })
    }).pipe(Effect.provide(Machine.layerWith({ timeout: "100 millis" })))
  )

  it.live.runIf(process.platform === "linux")("finds a vendor's tool on the path and reads what it prints", () =>
    Effect.gen(function* () {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "snakepit-hardware-"))
      const given = process.env["PATH"] ?? ""
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          process.env["PATH"] = given
          fs.rmSync(folder, { recursive: true })
        })
      )
      const report = path.join(import.meta.dirname, "fixtures/nvidia/rtx-4090-pair.xml")
      const script = `#!/bin/sh\n[ "$*" = "-q -x" ] && exec cat '${report}'\n[ "$1" = "--query-gpu=index,compute_cap" ] && echo '0, 8.9'\n`
      fs.writeFileSync(path.join(folder, "nvidia-smi"), script, { mode: 0o755 })
      process.env["PATH"] = `${folder}${path.delimiter}${given}`
      const { cuda, problems } = yield* Hardware.detect
      assert.deepStrictEqual(problems, [])
      assert.deepStrictEqual(
        cuda?.devices.map(({ computeCapability, name }) => [name, computeCapability]),
        [
          ["NVIDIA GeForce RTX 4090", "8.9"],
          ["NVIDIA GeForce RTX 4090", null]
        ]
      )
    }).pipe(Effect.scoped, Effect.provide(Hardware.layer))
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
