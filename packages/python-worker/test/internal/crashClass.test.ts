import { assert, describe, it } from "@effect/vitest"
import { crashClass } from "../../src/internal/crashClass.ts"
import { classify } from "../../src/internal/process.ts"

const never = () => false
const end = (exitCode: number | null, signal: string | null) => ({
  crash: classify(exitCode, signal),
  exitCode,
  signal
})

describe("crashClass", () => {
  it.each([
    [null, "SIGSEGV", "segfault"],
    [139, null, "segfault"],
    [null, "SIGBUS", "segfault"],
    [null, "SIGABRT", "abort"],
    [134, null, "abort"],
    [null, "SIGFPE", "floating_point"],
    [136, null, "floating_point"],
    [null, "SIGKILL", "killed"],
    [137, null, "killed"],
    [null, "SIGTERM", "exit"],
    [3, null, "exit"],
    [0, null, "exit"]
  ] as const)("exit code %s and signal %s are %s", (exitCode, signal, expected) => {
    assert.strictEqual(crashClass(end(exitCode, signal), [], never), expected)
  })

  it("a SIGKILL is oom when the kernel has killed for memory meanwhile, another signal is not", () => {
    assert.strictEqual(
      crashClass(end(null, "SIGKILL"), [], () => true),
      "oom"
    )
    assert.strictEqual(
      crashClass(end(null, "SIGSEGV"), [], () => true),
      "segfault"
    )
  })

  it.each([
    "RuntimeError: CUDA error: an illegal memory access was encountered",
    "RuntimeError: CUDA error: device-side assert triggered",
    "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered",
    "cudaErrorLaunchFailure: unspecified launch failure",
    "Memory access fault by GPU node-1 (Agent handle: 0x55) on address 0x7f"
  ])("an end after %s is gpu", (line) => {
    assert.strictEqual(crashClass(end(null, "SIGABRT"), ["loading", line], never), "gpu")
    assert.strictEqual(crashClass(end(1, null), [line], never), "gpu")
  })

  it.each([
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 GiB",
    "UserWarning: CUDA is not available"
  ])("an end after %s is not gpu", (line) => {
    assert.strictEqual(crashClass(end(null, "SIGABRT"), [line], never), "abort")
  })

  it("a worker that the host has killed is not gpu, whatever it printed before", () => {
    const line = "RuntimeError: CUDA error: device-side assert triggered"
    assert.strictEqual(crashClass(end(null, "SIGKILL"), [line], never), "killed")
  })
})
