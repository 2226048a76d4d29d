import { assert, it } from "@effect/vitest"
import { countProcessors, parseAffinity } from "../../src/internal/cpuList.ts"
import { parseMemory } from "../../src/internal/memInfo.ts"
import { fixture } from "../fixture.ts"

it("countProcessors counts each processor of a list once", () => {
  assert.strictEqual(countProcessors("0-3,8,10-11\n"), 7)
  assert.strictEqual(countProcessors("0"), 1)
  assert.strictEqual(countProcessors("0-1,1"), 2)
  for (const list of ["", "3-1", "a-b", "0-", "0-999999"]) assert.isNull(countProcessors(list))
})

it("parseAffinity reads the list in a process's status", () => {
  assert.strictEqual(
    parseAffinity("Name:\tnode\nCpus_allowed:\tf\nCpus_allowed_list:\t0-3\nMems_allowed_list:\t0\n"),
    4
  )
  assert.isNull(parseAffinity(""))
})

it("parseMemory reads kibibytes", () => {
  assert.deepStrictEqual(parseMemory(fixture("cpu/xeon-vm.meminfo.txt")).totalBytes, 24_684_096 * 1024)
  // kernels before 3.14 have no MemAvailable
  assert.deepStrictEqual(parseMemory("MemTotal:  100 kB\nMemFree:  40 kB\n"), {
    totalBytes: 102_400,
    availableBytes: 40_960
  })
  assert.deepStrictEqual(parseMemory("MemTotal: many kB"), { totalBytes: null, availableBytes: null })
})
