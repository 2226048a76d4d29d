import { assert, describe, it } from "@effect/vitest"
import * as os from "node:os"
import * as Effect from "effect/Effect"
import * as CpuDetector from "../src/CpuDetector.ts"
import * as Machine from "../src/Machine.ts"
import { fixture, gibibyte } from "./fixture.ts"

const detect = (machine: Machine.TestMachine) =>
  CpuDetector.CpuDetector.use((detector) => detector.detect).pipe(
    Effect.provide(CpuDetector.layer),
    Effect.provide(Machine.layerTest(machine))
  )

/** A machine of 16 GiB with 4 hardware threads. */
const files = {
  "/proc/cpuinfo": fixture("cpu/epyc-two-sockets.cpuinfo.txt"),
  "/proc/meminfo": "MemTotal: 16777216 kB\nMemFree: 1048576 kB\nMemAvailable: 12582912 kB\n",
  "/proc/self/status": "Cpus_allowed_list:\t0-3\n",
  "/proc/self/cgroup": "0::/\n",
  "/proc/self/mountinfo": "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
}

describe("CpuDetector", () => {
  it.effect("reads a machine without limits", () =>
    Effect.gen(function* () {
      const { features, ...rest } = yield* detect({ files })
      assert.deepStrictEqual(rest, {
        model: "AMD EPYC 7543 32-Core Processor",
        architecture: "x64",
        physicalCores: 3,
        logicalCores: 4,
        availableCores: 4,
        quotaCores: null,
        memoryTotalBytes: 16 * gibibyte,
        memoryLimitBytes: null,
        memoryAvailableBytes: 12 * gibibyte,
        container: null,
        wsl: false
      })
      assert.include(features, "avx2")
    })
  )

  it.effect("honours quota and memory limit of version 2, page cache not counted as used", () =>
    Effect.gen(function* () {
      const cpu = yield* detect({
        files: {
          ...files,
          "/.dockerenv": "",
          "/sys/fs/cgroup/cpu.max": "250000 100000\n",
          "/sys/fs/cgroup/memory.max": `${4 * gibibyte}\n`,
          "/sys/fs/cgroup/memory.current": `${3 * gibibyte}\n`,
          "/sys/fs/cgroup/memory.stat": `anon 1\ninactive_file ${2 * gibibyte}\n`
        }
      })
      assert.deepInclude(cpu, {
        quotaCores: 2.5,
        availableCores: 2,
        memoryLimitBytes: 4 * gibibyte,
        memoryAvailableBytes: 3 * gibibyte,
        container: "docker"
      })
    })
  )

  it.effect("honours the smallest limit of the groups around it, of version 1 too", () =>
    Effect.gen(function* () {
      const cpu = yield* detect({
        files: {
          ...files,
          "/proc/self/cgroup": "5:cpu,cpuacct:/kubepods/pod1/c1\n4:memory:/kubepods/pod1/c1\n0::/\n",
          "/proc/self/mountinfo":
            "32 31 0:29 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n",
          "/cg/cpu/kubepods/pod1/c1/cpu.cfs_quota_us": "-1\n",
          "/cg/cpu/kubepods/pod1/c1/cpu.cfs_period_us": "100000\n",
          "/cg/cpu/kubepods/pod1/cpu.cfs_quota_us": "50000\n",
          "/cg/cpu/kubepods/pod1/cpu.cfs_period_us": "100000\n",
          "/cg/memory/kubepods/pod1/c1/memory.limit_in_bytes": "9223372036854771712\n",
          "/cg/memory/kubepods/memory.limit_in_bytes": `${8 * gibibyte}\n`,
          "/cg/memory/kubepods/memory.usage_in_bytes": `${gibibyte}\n`
        }
      })
      // half a core still runs one thread
      assert.deepInclude(cpu, {
        quotaCores: 0.5,
        availableCores: 1,
        memoryLimitBytes: 8 * gibibyte,
        memoryAvailableBytes: 7 * gibibyte,
        container: "kubernetes"
      })
    })
  )

  it.effect("honours affinity, and takes a limit above the machine's memory for none", () =>
    Effect.gen(function* () {
      const cpu = yield* detect({
        files: {
          ...files,
          "/proc/self/status": "Cpus_allowed_list:\t1,3\n",
          "/sys/fs/cgroup/cpu.max": "max 100000\n",
          "/sys/fs/cgroup/memory.max": `${64 * gibibyte}\n`
        }
      })
      assert.deepInclude(cpu, { availableCores: 2, quotaCores: null, memoryLimitBytes: null })
    })
  )

  it.effect("tells what this process runs in", () =>
    Effect.gen(function* () {
      const inside = (machine: Machine.TestMachine) => Effect.map(detect(machine), (cpu) => cpu.container)
      assert.strictEqual(yield* inside({ files: { ...files, "/run/.containerenv": 'engine="podman-4.9"' } }), "podman")
      assert.strictEqual(yield* inside({ files, environment: { KUBERNETES_SERVICE_HOST: "10.0.0.1" } }), "kubernetes")
      assert.strictEqual(yield* inside({ files, environment: { container: "lxc" } }), "lxc")
      assert.strictEqual(yield* inside({ files, environment: { container: "systemd-nspawn" } }), "other")
      const wsl = yield* detect({ files: { "/proc/sys/kernel/osrelease": "5.15.167.4-microsoft-standard-WSL2\n" } })
      assert.isTrue(wsl.wsl)
    })
  )

  it.effect("answers what the runtime knows where no file can be read", () =>
    Effect.gen(function* () {
      const cpu = yield* detect({ architecture: "arm64", logicalCores: 6, memoryBytes: gibibyte })
      assert.deepInclude(cpu, {
        model: null,
        architecture: "arm64",
        logicalCores: 6,
        availableCores: 6,
        memoryTotalBytes: gibibyte,
        memoryAvailableBytes: null,
        features: []
      })
    })
  )

  it.effect("asks sysctl on macOS", () =>
    Effect.gen(function* () {
      const commands = { "sysctl hw machdep.cpu": fixture("mac/m3-pro.sysctl.txt") }
      const cpu = yield* detect({ platform: "darwin", architecture: "arm64", commands })
      assert.deepInclude(cpu, { model: "Apple M3 Pro", physicalCores: 12, memoryTotalBytes: 38_654_705_664 })
      assert.include(cpu.features, "neon")
    })
  )

  it.live.runIf(process.platform === "linux")("agrees with the runtime about this machine", () =>
    Effect.gen(function* () {
      const detector = yield* CpuDetector.CpuDetector
      const cpu = yield* detector.detect
      assert.strictEqual(cpu.memoryTotalBytes, os.totalmem())
      assert.isAtLeast(cpu.availableCores, 1)
      assert.isAtMost(cpu.availableCores, os.cpus().length)
    }).pipe(Effect.provide(CpuDetector.layer), Effect.provide(Machine.layer))
  )
})
