/**
 * What a machine has, as plain values: each schema here encodes to JSON as it stands. What could not be learned is `null`,
 * never zero. Sizes are in bytes.
 *
 * `Hardware.ts` answers these; `HardwareError.ts` holds what can go wrong.
 */
import * as Schema from "effect/Schema"

/** Kinds of devices, best first. */
export const DeviceKind = Schema.Literals(["cuda", "rocm", "mps", "cpu"])
export type DeviceKind = typeof DeviceKind.Type

const Bytes = Schema.NullOr(Schema.Int)
const Measured = Schema.NullOr(Schema.Finite)
const Text = Schema.NullOr(Schema.String)

/** A slice of a GPU in MIG mode: a device of its own. */
export const MigDevice = Schema.Struct({
  /** Its number within the GPU. */
  index: Schema.Int,
  uuid: Text,
  /** Like `1g.10gb`. */
  profile: Text,
  memoryTotalBytes: Bytes,
  memoryFreeBytes: Bytes
})
export type MigDevice = typeof MigDevice.Type

/** One NVIDIA GPU. */
export const CudaDevice = Schema.Struct({
  /** Its number in PCI bus order, as `nvidia-smi` counts. */
  index: Schema.Int,
  uuid: Text,
  name: Schema.String,
  memoryTotalBytes: Bytes,
  memoryFreeBytes: Bytes,
  /** Whether it shares the memory of the CPU, as on Jetson and DGX Spark. */
  unifiedMemory: Schema.Boolean,
  /** Like `8.9`. */
  computeCapability: Text,
  temperatureCelsius: Measured,
  utilizationPercent: Measured,
  /** Why it can do nothing at present, in the driver's words: `GPU is lost`. */
  fault: Text,
  /** Whether it is in MIG mode: then only its slices can be used. */
  migEnabled: Schema.Boolean,
  migDevices: Schema.Array(MigDevice)
})
export type CudaDevice = typeof CudaDevice.Type

/** NVIDIA's driver and the GPUs that this process may use. */
export const CudaInfo = Schema.Struct({
  driverVersion: Text,
  /** The newest CUDA version that the driver serves. */
  driverCudaVersion: Text,
  /** The CUDA toolkit's version, when `nvcc` is installed. */
  toolkitVersion: Text,
  cudnnVersion: Text,
  /** Those that `CUDA_VISIBLE_DEVICES` leaves. */
  devices: Schema.Array(CudaDevice),
  /** How many it hides. */
  hiddenDevices: Schema.Int
})
export type CudaInfo = typeof CudaInfo.Type

/** One AMD GPU. */
export const RocmDevice = Schema.Struct({
  /** Its number, as `rocm-smi` and `amd-smi` count. */
  index: Schema.Int,
  /** What `HIP_VISIBLE_DEVICES` has to say for it: its position among those that `ROCR_VISIBLE_DEVICES` leaves. */
  hipIndex: Schema.Int,
  uuid: Text,
  name: Schema.String,
  memoryTotalBytes: Bytes,
  memoryFreeBytes: Bytes,
  /** The architecture, like `gfx90a`. */
  architecture: Text,
  temperatureCelsius: Measured,
  utilizationPercent: Measured
})
export type RocmDevice = typeof RocmDevice.Type

/** AMD's driver and the GPUs that this process may use. */
export const RocmInfo = Schema.Struct({
  version: Text,
  driverVersion: Text,
  /** Those that `ROCR_VISIBLE_DEVICES` and `HIP_VISIBLE_DEVICES` leave. */
  devices: Schema.Array(RocmDevice),
  hiddenDevices: Schema.Int
})
export type RocmInfo = typeof RocmInfo.Type

/** A Mac's GPU, as PyTorch's `mps` device uses it. */
export const MpsInfo = Schema.Struct({
  name: Schema.String,
  gpuCores: Schema.NullOr(Schema.Int),
  /** The highest Metal version it supports, like `3`. */
  metalVersion: Text,
  macosVersion: Text,
  memoryTotalBytes: Bytes,
  unifiedMemory: Schema.Boolean
})
export type MpsInfo = typeof MpsInfo.Type

/** The processor and memory, with the limits that hold for this process. */
export const CpuInfo = Schema.Struct({
  model: Text,
  architecture: Schema.String,
  physicalCores: Schema.NullOr(Schema.Int),
  /** Hardware threads of the machine. */
  logicalCores: Schema.Int,
  /** Hardware threads that this process may use: affinity and the cgroup's quota counted in. At least 1. */
  availableCores: Schema.Int,
  /** The cgroup's quota, in cores, when there is one: `1.5`. */
  quotaCores: Measured,
  /** Instruction set extensions that matter to numeric libraries, by Linux's names, sorted: `avx2`, `avx512f`, `neon`, `sve`. */
  features: Schema.Array(Schema.String),
  memoryTotalBytes: Bytes,
  /** The cgroup's limit, when it is below the machine's memory. */
  memoryLimitBytes: Bytes,
  /** What could be allocated now without swapping, limit counted in. */
  memoryAvailableBytes: Bytes,
  /** What this process runs in, when that could be told. */
  container: Schema.NullOr(Schema.Literals(["docker", "podman", "kubernetes", "lxc", "other"])),
  /** Whether this is Linux inside Windows. */
  wsl: Schema.Boolean
})
export type CpuInfo = typeof CpuInfo.Type

/** One device that work can be placed on. A GPU in MIG mode is not one, its slices are; nor is a GPU with a fault. */
export const Device = Schema.Struct({
  /** `cuda:0`, `cuda:0:1` (slice 1 of GPU 0), `rocm:0`, `mps` or `cpu`. Numbers are the machine's, not those that a worker sees. */
  id: Schema.String,
  kind: DeviceKind,
  name: Schema.String,
  memoryTotalBytes: Bytes,
  memoryFreeBytes: Bytes,
  /** Environment variables that show a process this device and no other. */
  environment: Schema.Record(Schema.String, Schema.String)
})
export type Device = typeof Device.Type

/** Why detection of one kind of hardware came to nothing although there are signs of it. */
export const Problem = Schema.Struct({
  detector: DeviceKind,
  reason: Schema.Literals([
    "driver_mismatch",
    "driver_not_loaded",
    "access_blocked",
    "device_lost",
    "no_devices",
    "timed_out",
    "unreadable_output",
    "command_failed"
  ]),
  /** The tool's own words. */
  detail: Schema.String,
  remedy: Schema.String
})
export type Problem = typeof Problem.Type

/** All of it. */
export const HardwareInfo = Schema.Struct({
  /** Like `linux-x64` or `darwin-arm64`. */
  platform: Schema.String,
  /** The best kind of device there is. */
  accelerator: DeviceKind,
  /** Every device that work can be placed on, by kind, best first; the last is `cpu`. */
  devices: Schema.Array(Device),
  cpu: CpuInfo,
  cuda: Schema.NullOr(CudaInfo),
  rocm: Schema.NullOr(RocmInfo),
  mps: Schema.NullOr(MpsInfo),
  problems: Schema.Array(Problem),
  /** Unix time in milliseconds. */
  detectedAt: Schema.Number
})
export type HardwareInfo = typeof HardwareInfo.Type

/** The flags that programs branch on. */
export const Capabilities = Schema.Struct({
  cuda: Schema.Boolean,
  rocm: Schema.Boolean,
  mps: Schema.Boolean,
  avx: Schema.Boolean,
  avx2: Schema.Boolean,
  /** The foundation instructions, `avx512f`; `CpuInfo.features` names the rest. */
  avx512: Schema.Boolean,
  neon: Schema.Boolean,
  sve: Schema.Boolean,
  cudnn: Schema.Boolean,
  /** The newest CUDA version that the driver serves. */
  cudaVersion: Text,
  cudnnVersion: Text,
  rocmVersion: Text
})
export type Capabilities = typeof Capabilities.Type

/** What tells machines apart for a lock file: nothing in it changes from one minute to the next. */
export const Identity = Schema.Struct({
  platform: Schema.String,
  accelerator: DeviceKind,
  cpuModel: Text,
  cpuFeatures: Schema.Array(Schema.String),
  gpuCount: Schema.Int,
  /** Name and compute capability or architecture of each GPU, in order. */
  gpus: Schema.Array(Schema.String),
  driverVersion: Text,
  cudaVersion: Text,
  rocmVersion: Text
})
export type Identity = typeof Identity.Type
