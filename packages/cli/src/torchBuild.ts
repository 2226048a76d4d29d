/** The build of torch that is installed, held against the GPUs that there are. */
import type { HardwareInfo } from "@snakepit/hardware"

/** The build of torch that a worker finds. */
export interface TorchBuild {
  readonly version: string | undefined
  /** That of the package with CUDA's runtime, which builds from PyPI bring along. */
  readonly cudaRuntime: string | undefined
}

/** Those that PyTorch makes for CUDA, oldest first. */
const cudaBuilds = ["11.8", "12.1", "12.4", "12.6", "12.8", "13.0"] as const

/** The newest build that the machine can use, as uv names it in `--torch-backend`. */
export const fittingBuild = (
  accelerator: HardwareInfo.HardwareInfo["accelerator"],
  driverCuda: string | undefined
): string => {
  if (accelerator === "rocm") return "rocm6.4"
  if (accelerator !== "cuda" || driverCuda === undefined) return "auto"
  const newest = cudaBuilds.findLast((cuda) => Number(cuda) <= Number(driverCuda))
  return newest === undefined ? "cpu" : `cu${newest.replace(".", "")}`
}

/** How well it can use what is here. */
export interface Fit {
  readonly status: "ok" | "warning" | "failed"
  readonly detail: string
}

/**
 * Judges a build of torch. `2.9.0+cu128` is for CUDA 12.8, `2.9.0+rocm6.4` for ROCm, `2.9.0+cpu` for neither; a build without
 * such a mark, as PyPI has them, brings the CUDA runtime as a package. Builds for one major version of CUDA run on every driver of
 * that version, and on newer ones.
 */
export const fitOf = (
  accelerator: HardwareInfo.HardwareInfo["accelerator"],
  driverCuda: string | undefined,
  { cudaRuntime, version: torch }: TorchBuild
): Fit => {
  if (torch === undefined) return { status: "ok", detail: `${accelerator}; torch is not installed` }
  const [, kind = "", digits = ""] = /\+(cu|rocm)([\d.]+)$/.exec(torch) ?? []
  const cuda = kind === "cu" ? `${digits.slice(0, -1)}.${digits.slice(-1)}` : kind === "" ? cudaRuntime : undefined
  const isUnused = (accelerator === "cuda" && cuda === undefined) || (accelerator === "rocm" && kind !== "rocm")
  if (isUnused) return { status: "warning", detail: `torch ${torch} cannot use the GPUs that are here` }
  if (accelerator !== "cuda" || cuda === undefined || driverCuda === undefined) {
    return { status: "ok", detail: `${accelerator}; torch ${torch}` }
  }
  return Number.parseInt(cuda) > Number.parseInt(driverCuda)
    ? {
        status: "failed",
        detail: `torch ${torch} is built for CUDA ${cuda}, and the driver serves CUDA ${driverCuda} at most`
      }
    : { status: "ok", detail: `cuda ${driverCuda}; torch ${torch}` }
}
