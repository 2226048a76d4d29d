/** The JavaScript heap, measured after a collection. */
import * as v8 from "node:v8"
import * as vm from "node:vm"

v8.setFlagsFromString("--expose-gc")
const collect: unknown = vm.runInNewContext("gc")

export const collectGarbage = (): void => {
  if (typeof collect === "function") collect()
}

/** Objects, and the buffers outside the heap that they hold. */
export const heapMegabytes = (): number => {
  const { external, heapUsed } = process.memoryUsage()
  return (heapUsed + external) / 1e6
}
