/** Workers that stop answering, and those that only seem to. */
import { Snakepit, SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { which } from "../packages/python-worker/src/internal/executable.ts"
import { isRunning, type TestPool, waitForWorkers, waitUntil, withoutExec, withPool, workerPid } from "./harness.ts"

/** Unresponsive after 600 ms: long enough for a worker on a busy machine to get its turn. */
const quick = { heartbeatInterval: 100, heartbeatTimeout: 400, heartbeatMisses: 3 }

const crashOf = (target: string, args: ReadonlyArray<unknown> = []) =>
  Effect.map(Effect.flip(Snakepit.call(target, { args })), (error) => {
    assert.instanceOf(error, SnakepitError.WorkerCrash)
    return error
  })

const innermost = (crash: SnakepitError.WorkerCrash) => {
  const [thread] = crash.pythonStack
  return thread?.frames.findLast(({ file }) => file.endsWith("hazards.py"))?.function
}

const hasDebugger = which("gdb") !== undefined || which("eu-stack") !== undefined

const starts: ReadonlyArray<NonNullable<TestPool["start"]>> = ["fork", "spawn"]

describe.each(starts)("Heartbeat of workers that come by %s", (start) => {
  it.live("a worker that holds the interpreter lock is killed as unresponsive, and the error says where it hung", () =>
    Effect.gen(function* () {
      const pid = yield* workerPid
      const crash = yield* crashOf("hazards.hold_lock")
      assert.strictEqual(crash.crash, "unresponsive")
      assert.strictEqual(innermost(crash), "hold_lock")
      assert.deepStrictEqual(crash.inFlight, ["hazards.hold_lock"])
      assert.isTrue(crash.mayHaveExecuted)
      assert.match(crash.stderr.join("\n"), /did not answer for \d+ ms; thread \d+ \(.*\): running/)
      yield* waitUntil("the process is gone", () => !isRunning(pid))
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    }).pipe(withPool({ ...quick, start }))
  )

  it.live.skipIf(!hasDebugger)("the native stacks are in the error where there is a debugger", () =>
    Effect.gen(function* () {
      const crash = yield* crashOf("hazards.hold_lock_asleep")
      assert.strictEqual(innermost(crash), "hold_lock_asleep")
      assert.match(crash.nativeStack.join("\n"), /^(TID|Thread) [^]*#0 [^]*sleep/)
    }).pipe(withPool({ ...quick, start }))
  )

  it.live.skipIf(!hasDebugger)("a worker is killed too where the debugger cannot be started", () =>
    Effect.gen(function* () {
      const crash = yield* Effect.scoped(Effect.andThen(withoutExec, crashOf("hazards.hold_lock")))
      assert.strictEqual(crash.crash, "unresponsive")
      assert.strictEqual(innermost(crash), "hold_lock")
      assert.deepStrictEqual(crash.nativeStack, [])
      yield* waitForWorkers(1)
    }).pipe(withPool({ ...quick, start }))
  )

  it.live(
    "what a call answers after the signal that asked for its stack cut it short is not taken for its result",
    () =>
      Effect.gen(function* () {
        const crash = yield* crashOf("hazards.hold_lock_asleep")
        assert.strictEqual(crash.crash, "unresponsive")
        assert.strictEqual(innermost(crash), "hold_lock_asleep")
      }).pipe(withPool({ ...quick, start }))
  )

  it.live("a frozen worker is found, killed and replaced", () =>
    Effect.gen(function* () {
      const crash = yield* crashOf("hazards.freeze")
      assert.strictEqual(crash.crash, "unresponsive")
      assert.include(crash.stderr.join("\n"), "stopped by a signal")
      yield* waitForWorkers(1)
    }).pipe(withPool({ ...quick, start }))
  )

  it.live("a worker that froze while it was idle is replaced too", () =>
    Effect.gen(function* () {
      const pid = yield* workerPid
      process.kill(pid, "SIGSTOP")
      yield* waitUntil("the process is gone", () => !isRunning(pid))
      yield* waitForWorkers(1)
    }).pipe(withPool({ ...quick, start }))
  )

  it.live("code that computes and native code that lets other threads run are never mistaken for a hang", () =>
    Effect.gen(function* () {
      const pid = yield* workerPid
      assert.strictEqual(yield* Snakepit.call("hazards.compute", { args: [1.5] }), "computed")
      assert.strictEqual(yield* Snakepit.call("hazards.sleep_natively", { args: [1.5] }), "slept")
      assert.strictEqual(yield* workerPid, pid)
    }).pipe(withPool({ ...quick, start }))
  )

  it.live("the Python stack of a segfault and of an abort is in the error, without the worker's own frames", () =>
    Effect.gen(function* () {
      const segfault = yield* crashOf("hazards.segfault")
      assert.strictEqual(segfault.crash, "segfault")
      assert.deepStrictEqual(
        segfault.pythonStack[0]?.frames.map((frame) => frame.function),
        ["segfault", "string_at"]
      )
      assert.isTrue(segfault.pythonStack[0]?.current)
      assert.include(segfault.stderr, "Fatal Python error: Segmentation fault")
      const abort = yield* crashOf("hazards.abort")
      assert.strictEqual(abort.crash, "abort")
      assert.deepStrictEqual(
        abort.pythonStack[0]?.frames.map((frame) => frame.function),
        ["abort"]
      )
    }).pipe(withPool({ start }))
  )

  it.live("a worker that ends with a fatal GPU error on stderr is classed as gpu", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* crashOf("hazards.print_gpu_error_and_abort")).crash, "gpu")
    }).pipe(withPool({ start }))
  )
})
