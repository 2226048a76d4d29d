import { assert, describe, it } from "@effect/vitest"
import * as Cgroup from "../../src/internal/cgroup.ts"

const folders = (controller: "cpu" | "memory", cgroup: string, mounts: string) =>
  Cgroup.levels(controller, cgroup, mounts).map(({ folder, version }) => `${version} ${folder}`)

const unified = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"

describe("levels", () => {
  it("climbs from a systemd slice to the root of version 2", () => {
    assert.deepStrictEqual(folders("cpu", "0::/user.slice/user-1000.slice/app.scope\n", unified), [
      "2 /sys/fs/cgroup/user.slice/user-1000.slice/app.scope",
      "2 /sys/fs/cgroup/user.slice/user-1000.slice",
      "2 /sys/fs/cgroup/user.slice",
      "2 /sys/fs/cgroup"
    ])
  })

  it("takes the mount point for a container's own group", () => {
    // a namespace of its own, one that leads out of it, and the host's path with the group mounted as the root
    assert.deepStrictEqual(folders("memory", "0::/\n", unified), ["2 /sys/fs/cgroup"])
    assert.deepStrictEqual(folders("memory", "0::/../../other\n", unified), ["2 /sys/fs/cgroup"])
    const docker = "/docker/0f3a"
    const mounts = `354 347 0:28 ${docker} /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory`
    assert.deepStrictEqual(folders("memory", `10:memory:${docker}\n`, mounts), ["1 /sys/fs/cgroup/memory"])
  })

  it("finds controllers of version 1 wherever they are mounted, beside version 2", () => {
    const mounts = [
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct",
      "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory",
      "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"
    ].join("\n")
    const cgroup = "5:cpu,cpuacct:/kubepods/burstable/pod1\n4:memory:/\n1:name=systemd:/\n0::/\n"
    assert.deepStrictEqual(folders("cpu", cgroup, mounts), [
      "1 /sys/fs/cgroup/cpu,cpuacct/kubepods/burstable/pod1",
      "1 /sys/fs/cgroup/cpu,cpuacct/kubepods/burstable",
      "1 /sys/fs/cgroup/cpu,cpuacct/kubepods",
      "1 /sys/fs/cgroup/cpu,cpuacct",
      "2 /sys/fs/cgroup/unified"
    ])
  })

  it("reads mount points with hyphens and blanks", () => {
    const mounts = "354 347 0:28 /system.slice/docker-65.scope /cg\\040root/cpu-acct ro - cgroup cgroup rw,cpuacct,cpu"
    assert.deepStrictEqual(folders("cpu", "3:cpuacct,cpu:/system.slice/docker-65.scope\n", mounts), [
      "1 /cg root/cpu-acct"
    ])
  })

  it("finds none where there are none", () => {
    assert.deepStrictEqual(folders("cpu", "", unified), [])
    assert.deepStrictEqual(folders("cpu", "0::/\n", ""), [])
    assert.deepStrictEqual(folders("cpu", "nonsense", "nonsense - cgroup2"), [])
  })
})

it("parseCpuMax and parseCfs answer cores", () => {
  assert.strictEqual(Cgroup.parseCpuMax("150000 100000\n"), 1.5)
  assert.strictEqual(Cgroup.parseCfs("42000\n", "100000\n"), 0.42)
  for (const text of ["max 100000\n", "", "0 100000", "1 0", "x y"]) assert.isNull(Cgroup.parseCpuMax(text))
  assert.isNull(Cgroup.parseCfs("-1\n", "100000\n"))
})

it("parseMemoryLimit knows both ways of saying that there is no limit", () => {
  assert.strictEqual(Cgroup.parseMemoryLimit("44040192\n"), 44_040_192)
  for (const text of ["max\n", "9223372036854771712\n", "18446744073709551615", "", "-1"]) {
    assert.isNull(Cgroup.parseMemoryLimit(text))
  }
})

it("parseReclaimable reads both versions", () => {
  assert.strictEqual(Cgroup.parseReclaimable("anon 5\ninactive_file 4096\n"), 4096)
  assert.strictEqual(Cgroup.parseReclaimable("cache 5\ntotal_inactive_file 8192\n"), 8192)
  assert.strictEqual(Cgroup.parseReclaimable(""), 0)
})
