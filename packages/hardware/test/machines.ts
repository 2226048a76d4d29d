/** Whole machines, of what such machines print. */
import { amdMetric, amdStatic } from "../src/internal/amdSmi.ts"
import type { TestMachine } from "../src/Machine.ts"
import { fixture } from "./fixture.ts"

const linux = {
  "/proc/cpuinfo": fixture("cpu/epyc-two-sockets.cpuinfo.txt"),
  "/proc/meminfo": fixture("cpu/xeon-vm.meminfo.txt")
}

const capabilities = "nvidia-smi --query-gpu=index,compute_cap --format=csv,noheader"

/** Two GeForce RTX 4090: the first nearly full, the second empty. */
export const twoGpus: TestMachine = {
  files: linux,
  commands: { "nvidia-smi -q -x": fixture("nvidia/rtx-4090-pair.xml"), [capabilities]: "0, 8.9\n1, 8.9\n" }
}

/** Two A100, the first in two slices. */
export const mig: TestMachine = {
  files: linux,
  commands: {
    "nvidia-smi -q -x": fixture("nvidia/a100-mig.xml"),
    "nvidia-smi -L": fixture("nvidia/a100-mig.list.txt"),
    [capabilities]: "0, 8.0\n1, 8.0\n"
  }
}

/** Two MI300X. */
export const amd: TestMachine = {
  files: linux,
  commands: {
    [`amd-smi ${amdStatic.join(" ")}`]: fixture("amd/mi300x.static.json"),
    [`amd-smi ${amdMetric.join(" ")}`]: fixture("amd/mi300x.metric.json")
  }
}

export const mac: TestMachine = {
  platform: "darwin",
  architecture: "arm64",
  commands: {
    "sysctl hw machdep.cpu": fixture("mac/m3-pro.sysctl.txt"),
    "system_profiler SPDisplaysDataType -json": fixture("mac/m3-pro.displays.json"),
    "sw_vers -productVersion": "14.5\n"
  }
}

export const jetson: TestMachine = {
  architecture: "arm64",
  files: {
    "/proc/cpuinfo": fixture("cpu/jetson-orin.cpuinfo.txt"),
    "/proc/meminfo": fixture("cpu/xeon-vm.meminfo.txt"),
    "/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0"
  },
  commands: { "nvidia-smi -q -x": fixture("nvidia/jetson-orin.xml") }
}

/** Two A40, of which one has fallen off the bus. */
export const lost: TestMachine = {
  files: linux,
  commands: { "nvidia-smi -q -x": fixture("nvidia/lost.xml") }
}

/** No GPU. */
export const plain: TestMachine = { files: linux }

/** A GPU whose driver was updated and not reloaded. */
export const mismatched: TestMachine = {
  files: linux,
  commands: {
    "nvidia-smi -q -x": {
      _tag: "Ended",
      exitCode: 18,
      stdout: "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.124\n",
      stderr: ""
    }
  }
}
