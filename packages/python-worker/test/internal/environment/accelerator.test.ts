import { assert, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { accelerator } from "../../../src/internal/environment/accelerator.ts"
import { folder } from "../../sandbox.ts"

const on = (files: Readonly<Record<string, string>>) =>
  Effect.map(folder, (root) => {
    for (const [name, text] of Object.entries(files)) {
      fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
      fs.writeFileSync(path.join(root, name), text)
    }
    return accelerator(root, "linux", "x64")
  })

it.effect("reads the NVIDIA driver's version, of the closed and of the open kernel module", () =>
  Effect.gen(function* () {
    const closed =
      "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:"
    assert.strictEqual(yield* on({ "proc/driver/nvidia/version": closed }), "cuda driver 535.104.05")
    const open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (root@host)\n"
    assert.strictEqual(yield* on({ "proc/driver/nvidia/version": open }), "cuda driver 570.86.15")
    const garbled = { "proc/driver/nvidia/version": "???", "sys/module/nvidia/version": "580.65.06\n" }
    assert.strictEqual(yield* on(garbled), "cuda driver 580.65.06")
  }).pipe(Effect.scoped)
)

it.effect("knows ROCm by its device, and a machine without either", () =>
  Effect.gen(function* () {
    assert.strictEqual(yield* on({ "dev/kfd": "", "opt/rocm/.info/version": "6.4.1-83\n" }), "rocm 6.4.1-83")
    assert.strictEqual(yield* on({ "dev/kfd": "" }), "rocm unknown")
    assert.strictEqual(yield* on({}), "cpu")
    assert.strictEqual(accelerator("/nowhere", "darwin", "arm64"), "mps")
  }).pipe(Effect.scoped)
)
