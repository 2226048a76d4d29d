import { assert, describe, it } from "@effect/vitest"
import * as NvidiaSmi from "../../src/internal/nvidiaSmi.ts"
import { fixture, mebibyte } from "../fixture.ts"

describe("parseReport", () => {
  it("reads driver, CUDA version and what each GPU has", () => {
    const report = NvidiaSmi.parseReport(fixture("nvidia/rtx-4090-pair.xml"))
    assert.strictEqual(report?.driverVersion, "550.54.15")
    assert.strictEqual(report?.cudaVersion, "12.4")
    assert.deepStrictEqual(report?.devices[0], {
      index: 0,
      uuid: "GPU-11111111-aaaa-4bbb-8ccc-000000000001",
      name: "NVIDIA GeForce RTX 4090",
      memoryTotalBytes: 24564 * mebibyte,
      memoryFreeBytes: 6006 * mebibyte,
      unifiedMemory: false,
      computeCapability: null,
      temperatureCelsius: 64,
      utilizationPercent: 87,
      fault: null,
      migEnabled: false,
      migDevices: []
    })
    assert.strictEqual(report?.devices[1]?.memoryFreeBytes, 24205 * mebibyte)
  })

  it("reads the slices of a GPU in MIG mode, apart from the GPU's own memory", () => {
    const [partitioned, whole] = NvidiaSmi.parseReport(fixture("nvidia/a100-mig.xml"))?.devices ?? []
    assert.isTrue(partitioned?.migEnabled)
    assert.isNull(partitioned?.utilizationPercent)
    assert.deepStrictEqual(
      partitioned?.migDevices.map(({ index, memoryFreeBytes }) => [index, memoryFreeBytes]),
      [
        [0, 40171 * mebibyte],
        [1, 9984 * mebibyte]
      ]
    )
    assert.isFalse(whole?.migEnabled)
    assert.deepStrictEqual(whole?.migDevices, [])
  })

  it("reads reports of old drivers", () => {
    const report = NvidiaSmi.parseReport(fixture("nvidia/quadro-p2000.xml"))
    assert.strictEqual(report?.driverVersion, "418.56")
    assert.strictEqual(report?.devices[0]?.name, "Quadro P2000")
    assert.strictEqual(report?.devices[0]?.memoryTotalBytes, 5059 * mebibyte)
  })

  it("takes memory that is not reported for unknown, not for none", () => {
    for (const file of ["nvidia/gb10.xml", "nvidia/jetson-orin.xml"]) {
      const [device] = NvidiaSmi.parseReport(fixture(file))?.devices ?? []
      assert.isNull(device?.memoryTotalBytes)
      assert.isNull(device?.memoryFreeBytes)
    }
  })

  it("reads what is there of a report that was cut off", () => {
    const whole = fixture("nvidia/rtx-4090-pair.xml")
    const report = NvidiaSmi.parseReport(whole.slice(0, whole.lastIndexOf("<fb_memory_usage>")))
    assert.strictEqual(report?.devices.length, 2)
    assert.strictEqual(report?.devices[0]?.temperatureCelsius, 64)
    assert.isNull(report?.devices[1]?.memoryTotalBytes)
  })

  it("knows that other texts are no reports", () => {
    for (const text of ["", "No devices were found\n", "<html><body>404</body></html>", "<nvidia_smi"]) {
      assert.isUndefined(NvidiaSmi.parseReport(text))
    }
  })
})

describe("parseQuery", () => {
  it("reads numbers where there are numbers", () => {
    const { devices, driverVersion } = NvidiaSmi.parseQuery(fixture("nvidia/geforce-gtx-770.csv"))
    assert.strictEqual(driverVersion, "388.71")
    assert.strictEqual(devices[0]?.memoryFreeBytes, 1890 * mebibyte)
    assert.strictEqual(devices[0]?.temperatureCelsius, 52)
    assert.isNull(devices[0]?.utilizationPercent)
  })

  it("keeps the GPUs that answer when another does not", () => {
    const { devices } = NvidiaSmi.parseQuery(fixture("nvidia/trouble.csv"))
    assert.deepStrictEqual(
      devices.map(({ index, memoryFreeBytes, memoryTotalBytes, name, temperatureCelsius, uuid }) => [
        index,
        uuid === null,
        name,
        memoryTotalBytes,
        memoryFreeBytes,
        temperatureCelsius
      ]),
      [
        [0, false, "NVIDIA GeForce RTX 3090", 24576 * mebibyte, 24240 * mebibyte, 41],
        [1, false, "NVIDIA GeForce RTX 3090", null, null, null],
        [2, true, "Tesla K80", 11441 * mebibyte, null, null],
        [3, true, "NVIDIA GPU", null, null, null]
      ]
    )
  })

  it("says which GPU has a fault", () => {
    assert.deepStrictEqual(
      NvidiaSmi.parseQuery(fixture("nvidia/trouble.csv")).devices.map(({ fault }) => fault),
      [null, "Unknown Error", null, "GPU is lost"]
    )
    assert.deepStrictEqual(
      NvidiaSmi.parseReport(fixture("nvidia/lost.xml"))?.devices.map(({ fault, memoryTotalBytes }) => [
        fault,
        memoryTotalBytes
      ]),
      [
        [null, 46068 * mebibyte],
        ["GPU is lost", null]
      ]
    )
  })

  it("passes over what is no GPU", () => {
    for (const text of [
      "",
      "No devices were found",
      'Field "compute_cap" is not a valid field to query.',
      "0, GPU-1"
    ]) {
      assert.deepStrictEqual(NvidiaSmi.parseQuery(text).devices, [])
    }
  })
})

describe("parseCapabilities", () => {
  it("reads versions by index", () => {
    assert.deepStrictEqual(
      [...NvidiaSmi.parseCapabilities("0, 8.9\n1, [N/A]\n2, 12.0\n")],
      [
        [0, "8.9"],
        [2, "12.0"]
      ]
    )
  })

  it("finds none where the driver does not know the field", () => {
    assert.strictEqual(NvidiaSmi.parseCapabilities('Field "compute_cap" is not a valid field to query.\n').size, 0)
  })
})

it("parseSlices reads UUIDs and profiles by GPU and slice", () => {
  assert.deepStrictEqual(NvidiaSmi.parseSlices(fixture("nvidia/a100-mig.list.txt")), [
    { gpu: 0, index: 0, profile: "3g.40gb", uuid: "MIG-44444444-aaaa-5bbb-8ccc-000000000001" },
    { gpu: 0, index: 1, profile: "2g.20gb", uuid: "MIG-44444444-aaaa-5bbb-8ccc-000000000002" }
  ])
  assert.deepStrictEqual(NvidiaSmi.parseSlices("  MIG 1g.10gb  Device 0: (UUID: MIG-1)"), [])
})

it("parseToolkit and parseCudnn read versions", () => {
  assert.strictEqual(NvidiaSmi.parseToolkit("Cuda compilation tools, release 12.6, V12.6.68"), "12.6")
  assert.isNull(NvidiaSmi.parseToolkit("bash: nvcc: command not found"))
  assert.strictEqual(
    NvidiaSmi.parseCudnn("#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 0\n"),
    "9.1.0"
  )
  assert.isNull(NvidiaSmi.parseCudnn("/* empty */"))
})

it.each([
  ["Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 570.124", "driver_mismatch"],
  [
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n\nFailed to properly shut down NVML: Driver Not Loaded",
    "driver_not_loaded"
  ],
  [
    "Failed to initialize NVML: GPU access blocked by the operating system\nFailed to properly shut down NVML: GPU access blocked by the operating system",
    "access_blocked"
  ],
  ["Failed to initialize NVML: Insufficient Permissions", "access_blocked"],
  [
    "Unable to determine the device handle for GPU 0000:02:00.0: GPU is lost.  Reboot the system to recover this GPU",
    "device_lost"
  ],
  ["Unable to determine the device handle for GPU0000:07:00.0: Unknown Error", "device_lost"],
  ["No devices were found", "no_devices"],
  ["NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.", "driver_not_loaded"],
  ["Failed to initialize NVML: Unknown Error", undefined],
  ["", undefined]
])("diagnose knows %j", (said, reason) => {
  assert.strictEqual(NvidiaSmi.diagnose(said), reason)
})
