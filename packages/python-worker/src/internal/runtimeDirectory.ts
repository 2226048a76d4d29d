/**
 * The folder that holds the sockets of one instance: only its user can enter it, and it is removed with the instance. One
 * whose instance was killed is removed by the next that starts: the file `owner` names the process that it belonged to.
 */
import * as crypto from "node:crypto"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ProcessIdentity from "./processIdentity.ts"

/** A Unix socket's path has at most 107 bytes (`sun_path`, Linux; 103 on macOS); names inside the folder need about 30. */
const longestRoot = 60

const prefix = "snakepit-"
const ownerFile = "owner"

/** Makes the folder, with mode 0700, in the first of the roots that can be written to, and sweeps all of them. */
export const make = (roots: ReadonlyArray<string> = defaultRoots()): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const directory = await create(roots)
      await Promise.all(roots.map(sweep))
      return directory
    }),
    (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
  )

/** The folder of the instance. */
export class RuntimeDirectory extends Context.Service<RuntimeDirectory, string>()(
  "@snakepit/python-worker/RuntimeDirectory"
) {}

/** Makes the folder of an instance, and removes it with the layer. */
export const layer: Layer.Layer<RuntimeDirectory> = Layer.effect(
  RuntimeDirectory,
  Effect.suspend(() => make())
)

const defaultRoots = (): ReadonlyArray<string> => {
  const roots = [process.env["XDG_RUNTIME_DIR"] ?? "", os.tmpdir(), "/tmp"]
  return [...new Set(roots)].filter((root) => root !== "" && Buffer.byteLength(root) <= longestRoot)
}

const create = async (roots: ReadonlyArray<string>): Promise<string> => {
  for (const root of roots) {
    const directory = path.join(root, `${prefix}${crypto.randomBytes(6).toString("hex")}`)
    try {
      await fs.mkdir(directory, { mode: 0o700 })
    } catch {
      continue // not writable, or not there: the next root
    }
    await fs.writeFile(path.join(directory, ownerFile), ProcessIdentity.format(ProcessIdentity.self))
    return directory
  }
  throw new Error(`no folder for sockets could be made in ${roots.join(", ")}`)
}

/** Removes the folders of this user whose owners are dead. What does not prove that is left alone. */
const sweep = async (root: string): Promise<void> => {
  const found = await owned(root)
  const dead = found.filter(({ owner }) => !ProcessIdentity.isAlive(owner))
  // another instance may sweep at the same time
  await Promise.all(dead.map(({ directory }) => fs.rm(directory, { recursive: true, force: true }).catch(() => {})))
}

/** The folders of this user's instances that run now. */
export const running = async (
  roots: ReadonlyArray<string> = defaultRoots()
): Promise<ReadonlyArray<{ readonly directory: string; readonly pid: number }>> => {
  const found = (await Promise.all(roots.map(owned))).flat()
  return found
    .filter(({ owner }) => ProcessIdentity.isAlive(owner))
    .map(({ directory, owner }) => ({ directory, pid: owner.pid }))
}

interface Owned {
  readonly directory: string
  readonly owner: ProcessIdentity.ProcessIdentity
}

/** The folders in a root that say whose they are. A process of another container may live although it cannot be seen. */
const owned = async (root: string): Promise<ReadonlyArray<Owned>> => {
  const names = await fs.readdir(root).catch(() => [])
  const found = await Promise.all(
    names
      .filter((name) => name.startsWith(prefix))
      .map(async (name): Promise<ReadonlyArray<Owned>> => {
        const directory = path.join(root, name)
        try {
          const entry = await fs.lstat(directory)
          if (!entry.isDirectory() || entry.uid !== process.getuid?.()) return []
          const owner = ProcessIdentity.parse(await fs.readFile(path.join(directory, ownerFile), "utf8"))
          return owner !== undefined && ProcessIdentity.isSameHost(owner) ? [{ directory, owner }] : []
        } catch {
          return [] // it has no owner to ask for, or is gone
        }
      })
  )
  return found.flat()
}
