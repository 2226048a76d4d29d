import { assert, describe, it } from "@effect/vitest"
import { fitOf, fittingBuild } from "../src/torchBuild.ts"

describe("A build of torch", () => {
  for (const [what, kind, driver, version, cudaRuntime, status] of [
    ["that is not installed is no matter", "cuda", "12.8", undefined, undefined, "ok"],
    ["for the driver's CUDA fits", "cuda", "12.8", "2.9.0+cu128", undefined, "ok"],
    ["for another minor version of the driver's CUDA fits", "cuda", "12.2", "2.9.0+cu128", undefined, "ok"],
    ["for an older CUDA fits", "cuda", "13.0", "2.9.0+cu128", undefined, "ok"],
    ["for a newer CUDA does not fit", "cuda", "12.8", "2.9.0+cu130", undefined, "failed"],
    ["from PyPI is for the CUDA that it brings along", "cuda", "11.8", "2.9.0", "12.8.90", "failed"],
    ["for processors leaves the GPUs unused", "cuda", "12.8", "2.9.0+cpu", undefined, "warning"],
    ["without any CUDA leaves the GPUs unused", "cuda", "12.8", "2.9.0", undefined, "warning"],
    ["for CUDA runs without a GPU as well", "cpu", undefined, "2.9.0+cu128", undefined, "ok"],
    ["for processors fits a machine without GPUs", "cpu", undefined, "2.9.0+cpu", undefined, "ok"],
    ["for ROCm fits a machine with AMD's GPUs", "rocm", undefined, "2.9.0+rocm6.4", undefined, "ok"],
    ["for CUDA leaves AMD's GPUs unused", "rocm", undefined, "2.9.0+cu128", undefined, "warning"],
    ["for ROCm leaves NVIDIA's GPUs unused", "cuda", "12.8", "2.9.0+rocm6.4", undefined, "warning"]
  ] as const) {
    it(what, () => {
      const fit = fitOf(kind, driver, { version, cudaRuntime })
      assert.strictEqual(fit.status, status, fit.detail)
    })
  }

  for (const [kind, driver, build] of [
    ["cuda", "13.1", "cu130"],
    ["cuda", "12.8", "cu128"],
    ["cuda", "12.5", "cu124"],
    ["cuda", "12.2", "cu121"],
    ["cuda", "11.8", "cu118"],
    ["cuda", "11.4", "cpu"],
    ["cuda", undefined, "auto"],
    ["rocm", undefined, "rocm6.4"]
  ] as const) {
    it(`that fits ${kind} ${driver ?? "of a version that is not known"} is ${build}`, () => {
      assert.strictEqual(fittingBuild(kind, driver), build)
      if (kind === "cuda" && driver !== undefined && build !== "cpu") {
        assert.strictEqual(fitOf(kind, driver, { version: `2.9.0+${build}`, cudaRuntime: undefined }).status, "ok")
      }
    })
  }
})
