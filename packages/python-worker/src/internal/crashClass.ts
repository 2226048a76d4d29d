/** What ended a worker: the kernel's word, and what else is known. */
import type { SnakepitError, Worker } from "@snakepit/core"

/**
 * Errors after which a GPU context serves nothing any more, as the CUDA and ROCm runtimes and PyTorch word them. Running out of
 * device memory is not among them.
 */
const fatalOnGpu =
  /(?:CUDA|HIP) error: (?:an illegal memory access|device-side assert|unspecified launch failure|misaligned address|an illegal instruction|invalid program counter|uncorrectable|hardware stack error|the launch timed out)|(?:CUDA|cuda)_?(?:ERROR|Error)_?(?:ILLEGAL_ADDRESS|IllegalAddress|LAUNCH_FAILED|LaunchFailure|ASSERT|Assert|ECC_UNCORRECTABLE|ECCUncorrectable|HARDWARE_STACK_ERROR|HardwareStackError)|NVRM: Xid|Memory access fault by GPU node/

/** The class of a process's end, from its last stderr lines and whether the kernel killed for memory meanwhile. */
export const crashClass = (
  end: Worker.WorkerEnd,
  stderr: ReadonlyArray<string>,
  killedForMemory: () => boolean
): SnakepitError.CrashClass => {
  if (end.signal !== "SIGKILL" && end.exitCode !== 137 && stderr.some((line) => fatalOnGpu.test(line))) return "gpu"
  if (end.crash === "killed" && killedForMemory()) return "oom"
  return end.crash ?? "exit"
}
