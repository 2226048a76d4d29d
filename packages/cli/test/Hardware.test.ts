import { Hardware, HardwareInfo } from "@snakepit/hardware"
import { assert, describe, it } from "@effect/vitest"
import * as os from "node:os"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { snakepit } from "./run.ts"

describe("snakepit hardware", () => {
  it.live("shows what detection finds, as JSON and as a table", () =>
    Effect.gen(function* () {
      const json = yield* snakepit("hardware", "--json")
      const found = Schema.decodeUnknownSync(HardwareInfo.HardwareInfo)(JSON.parse(json.stdout))
      const { cpu, devices } = yield* Hardware.info
      assert.deepStrictEqual(
        found.devices.map(({ id }) => id),
        devices.map(({ id }) => id)
      )
      assert.strictEqual(found.cpu.logicalCores, os.cpus().length)
      const text = yield* snakepit("hardware")
      assert.include(text.stdout, `cores       ${cpu.availableCores} of ${cpu.logicalCores}`)
      assert.match(text.stdout, /^device +name +memory$/m)
    }).pipe(Effect.provide(Hardware.layer))
  )
})
