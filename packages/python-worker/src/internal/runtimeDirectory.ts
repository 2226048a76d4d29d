/**
 * The folder that holds the sockets of one instance: only its user can enter it, and it is removed with the instance.
 */
import * as crypto from "node:crypto"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** A Unix socket's path has at most 107 bytes (`sun_path`, Linux; 103 on macOS); names inside the folder need about 30. */
const longestRoot = 60

/** Makes the folder, with mode 0700. */
export const make: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.promise(async () => {
    const roots = [process.env["XDG_RUNTIME_DIR"], os.tmpdir(), "/tmp"]
    for (const root of roots) {
      if (root === undefined || root === "" || Buffer.byteLength(root) > longestRoot) continue
      const directory = path.join(root, `snakepit-${crypto.randomBytes(6).toString("hex")}`)
      try {
        await fs.mkdir(directory, { mode: 0o700 })
        return directory
      } catch {
        // not writable, or not there: the next root
      }
    }
    throw new Error(`no folder for sockets could be made in ${roots.filter((root) => root !== undefined).join(", ")}`)
  }),
  (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
)
