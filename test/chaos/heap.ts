/** The memory of this process, measured after a collection. */
import * as fs from "node:fs"
import * as v8 from "node:v8"
import * as vm from "node:vm"

v8.setFlagsFromString("--expose-gc")
const collect: unknown = vm.runInNewContext("gc")

export const collectGarbage = (): void => {
  if (typeof collect === "function") collect()
}

/** Objects, and the buffers outside the heap that they hold; not what is mapped of shared memory, which is judged apart. */
export const heapMegabytes = (): number => {
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / 1e6
}

/** What the kernel keeps for this process: of native code too, but again not what is mapped of shared memory. Linux only. */
export const residentMegabytes = (): number => {
  const status = fs.readFileSync("/proc/self/status", "latin1")
  const [all = NaN, shared = NaN] = ["VmRSS", "RssShmem"].map((name) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1])
  )
  return ((all - shared) * 1024) / 1e6
}
