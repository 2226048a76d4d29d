import { assert, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as ProcessIdentity from "../../src/internal/processIdentity.ts"

it("knows this process, and survives being written down", () => {
  const read = ProcessIdentity.parse(ProcessIdentity.format(ProcessIdentity.self))
  assert.deepStrictEqual(read, ProcessIdentity.self)
  assert.isTrue(read !== undefined && ProcessIdentity.isAlive(read) && ProcessIdentity.isSameHost(read))
})

it("takes a process that has ended for dead", async () => {
  const child = spawn("true")
  const { pid = 0 } = child
  await once(child, "exit")
  assert.isFalse(ProcessIdentity.isAlive({ ...ProcessIdentity.self, pid }))
})

it.runIf(process.platform === "linux")("does not take a reused pid for the process it was", () => {
  assert.isFalse(ProcessIdentity.isAlive({ ...ProcessIdentity.self, started: ProcessIdentity.self.started - 1 }))
})

it("reads nothing into text of another shape", () => {
  for (const text of ["", "123", "abcdef-1", "abcdef-x-1", "ABCDEF-1-1"]) {
    assert.isUndefined(ProcessIdentity.parse(text))
  }
})
