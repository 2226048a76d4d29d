/** The short form of `npm run chaos`: the same run and the same audit, with fewer calls. */
import { SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { complaint, type Entry } from "./chaos/audit.ts"
import { Faults } from "./chaos/faults.ts"
import { chaos } from "./chaos/run.ts"
import { kinds } from "./chaos/workload.ts"
import { kill, waitUntil } from "./harness.ts"
import { descendants, startedWith } from "./processTree.ts"

describe("Chaos", () => {
  it.live(
    "every promise holds while workers, connections and fork servers are broken",
    () =>
      Effect.gen(function* () {
        const report = yield* chaos({ seed: 20_261_121, calls: 1_000, faultEveryMillis: 200, deadlineMillis: 40_000 })
        assert.deepStrictEqual(report.violations, [])
        assert.strictEqual(report.settled, 1_000)
        assert.isAtLeast(report.faults.size, 5)
      }),
    90_000
  )
})

describe("The audit of a chaos run", () => {
  const kindOf = (name: string) => kinds.find((kind) => kind.name === name) ?? assert.fail(`there is no kind ${name}`)
  const entry = (name: string, exit: Exit.Exit<void, unknown>): Entry => ({ id: 1, kind: kindOf(name), exit })
  const crash = (mayHaveExecuted: boolean) =>
    new SnakepitError.WorkerCrash({
      pool: "forked",
      worker: "forked-1",
      crash: "segfault",
      exitCode: null,
      signal: "SIGSEGV",
      stderr: [],
      inFlight: [],
      mayHaveExecuted
    })
  const injected = () => {
    const faults = new Faults()
    faults.add("segfault", "forked-1", "segfault")
    return faults
  }

  it("finds nothing wrong with a success that ran once and with a crash that was injected", () => {
    assert.isUndefined(complaint(entry("short", Exit.void), 1, injected()))
    assert.isUndefined(complaint(entry("short", Exit.fail(crash(true))), 1, injected()))
    assert.isUndefined(complaint(entry("segfault", Exit.fail(crash(true))), 1, injected()))
    assert.isUndefined(complaint(entry("short, idempotent", Exit.void), 3, injected()))
  })

  it.each([
    ["a call that ran twice", entry("short", Exit.void), 2, /ran 2 times/],
    ["a success that never ran", entry("short", Exit.void), 0, /without having run/],
    ["an idempotent call that failed", entry("short, idempotent", Exit.fail(crash(true))), 1, /failed all the same/],
    ["an error that denies what happened", entry("short", Exit.fail(crash(false))), 1, /says that it has not/],
    ["a wrong answer", entry("short", Exit.fail("wrong answer: expected 1, got 2")), 1, /wrong answer/],
    ["a call that was not interrupted", entry("cancelled", Exit.void), 1, /was to end as IsInterrupted/],
    ["a defect", entry("short", Exit.die(new Error("boom"))), 1, /boom/]
  ] as const)("finds %s", (_, found, runs, expected) => {
    assert.match(complaint(found, runs, injected()) ?? "", expected)
  })

  it.live("finds a process whose parent has died", () =>
    Effect.gen(function* () {
      const variable = `SNAKEPIT_CHAOS=${crypto.randomUUID()}`
      execFileSync("sh", ["-c", `env ${variable} sleep 3600 > /dev/null 2>&1 &`])
      yield* waitUntil("it runs", () => startedWith(variable).length > 0)
      const [orphan, ...others] = startedWith(variable)
      assert(orphan !== undefined)
      yield* Effect.addFinalizer(() => kill(orphan, "SIGKILL"))
      assert.deepStrictEqual(others, [])
      assert.notInclude(descendants(process.pid), orphan)
    }).pipe(Effect.scoped)
  )

  it("finds a crash that nobody injected", () => {
    assert.match(complaint(entry("short", Exit.fail(crash(true))), 1, new Faults()) ?? "", /nobody injected/)
  })
})
