/** Packages for what is installed in a test: nothing comes from the network. */
import * as path from "node:path"
import { setEnvironment } from "../../python-worker/test/sandbox.ts"
import { repackWheel, uv, writeWheel } from "../../python-worker/test/wheel.ts"

/**
 * Wheels in a folder, and caches there: `snakedemo` 1.0 and 2.0, `snakelone`, and what the worker itself needs. Holds until the
 * scope closes.
 */
export const offline = (folder: string) => {
  for (const version of ["1.0", "2.0"]) writeWheel(folder, "snakedemo", version)
  writeWheel(folder, "snakelone", "1.0")
  repackWheel(folder, "ormsgpack")
  return setEnvironment({
    XDG_CACHE_HOME: path.join(folder, "cache"),
    UV: uv,
    UV_CACHE_DIR: path.join(folder, "uv"),
    UV_FIND_LINKS: folder,
    UV_OFFLINE: "1"
  })
}
