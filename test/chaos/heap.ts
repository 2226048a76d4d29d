/** The JavaScript heap, measured after a collection. */
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
