/**
 * apache-arrow, loaded on first use and at once, since decoding cannot wait: importing it takes about 50 ms.
 *
 * It has to be the ES module, which is the one that programs import: the CommonJS build has classes of its own, and a
 * table of one is none to the other. `require` of an ES module answers that very instance.
 */
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import type * as Arrow from "apache-arrow"

let arrow: typeof Arrow | undefined

export const loadArrow = (): typeof Arrow => {
  if (arrow === undefined) {
    const path = fileURLToPath(import.meta.resolve("apache-arrow"))
    // What stands at that path is the module that the type names.
    arrow = createRequire(import.meta.url)(path) as typeof Arrow
  }
  return arrow
}
