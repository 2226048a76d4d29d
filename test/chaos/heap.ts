/** The JavaScript heap, measured after a collection. */
import * as v8 from "node:v8"
import * as vm from "node:vm"

v8.setFlagsFromString("--expose-gc")
const collect: unknown = vm.runInNewContext("gc")

export const collectGarbage = (): void => {
  if (typeof collect === "function") collect()
}

export const heapMegabytes = (): number => process.memoryUsage().heapUsed / 1e6
