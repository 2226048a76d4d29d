/**
 * The folders of one instance, for its sockets and for its shared memory: only its user can enter them, and they are removed with the
 * instance. Those whose instance was killed are removed by the next that starts: the file `owner` names the process that they belonged to.
 */
import { segmentRoots } from "@snakepit/zero-copy"
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

/**
 * Makes the folder, with mode 0700, in the first of the roots that can be written to. Fails with the reason when there is no such root.
 */
export const make = (roots: ReadonlyArray<string> = socketRoots()): Effect.Effect<string, string, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () => create(roots),
      catch: (error) => (error instanceof Error ? error.message : String(error))
    }),
    (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
  )

/** Wherever an instance can have a folder. */
const allRoots = (): ReadonlyArray<string> => [...new Set([...socketRoots(), ...segmentRoots()])]

/** Removes the folders of this user whose owners are dead. What does not prove that is left alone. */
export const sweep = (roots: ReadonlyArray<string> = allRoots()): Effect.Effect<void> =>
  Effect.promise(async () => {
    const dead = await abandoned(roots)
    // another instance may sweep at the same time
    await Promise.all(dead.map((directory) => fs.rm(directory, { recursive: true, force: true }).catch(() => {})))
  })

/** The folder of the instance. */
export class RuntimeDirectory extends Context.Service<RuntimeDirectory, string>()(
  "@snakepit/python-worker/RuntimeDirectory"
) {}

/**
 * Makes the folder for the sockets of an instance, and removes it with the layer. Sweeps before: whoever asks how much room there is for
 * shared memory is not to count what the dead have left of theirs.
 */
export const layer: Layer.Layer<RuntimeDirectory> = Layer.effect(
  RuntimeDirectory,
  // a host without a folder for temporary files is beyond repair: nobody could handle that
  Effect.suspend(() => Effect.andThen(sweep(), Effect.orDie(Effect.mapError(make(), (reason) => new Error(reason)))))
)

const socketRoots = (): ReadonlyArray<string> => {
  const roots = [process.env["XDG_RUNTIME_DIR"] ?? "", os.tmpdir(), "/tmp"]
  // a relative one would be another folder for workers that have a working directory of their own
  return [...new Set(roots)].filter((root) => path.isAbsolute(root) && Buffer.byteLength(root) <= longestRoot)
}

const create = async (roots: ReadonlyArray<string>): Promise<string> => {
  const reasons: Array<string> = []
  for (const root of roots) {
    const directory = path.join(root, `${prefix}${crypto.randomBytes(6).toString("hex")}`)
    try {
      await fs.mkdir(directory, { mode: 0o700 })
      await fs.writeFile(path.join(directory, ownerFile), ProcessIdentity.format(ProcessIdentity.self))
      return directory
    } catch (error) {
      // not there, not writable, or full: the next root
      await fs.rm(directory, { recursive: true, force: true }).catch(() => {})
      reasons.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new Error(`no folder for sockets could be made: ${reasons.join("; ")}`)
}

/** The folders of this user's instances that run now. */
export const running = async (
  roots: ReadonlyArray<string> = socketRoots()
): Promise<ReadonlyArray<{ readonly directory: string; readonly pid: number }>> => {
  const found = (await Promise.all(roots.map(owned))).flat()
  return found
    .filter(({ owner }) => ProcessIdentity.isAlive(owner))
    .map(({ directory, owner }) => ({ directory, pid: owner.pid }))
}

/** The folders of this user's instances that were killed. */
export const abandoned = async (roots: ReadonlyArray<string> = allRoots()): Promise<ReadonlyArray<string>> => {
  const found = (await Promise.all(roots.map(owned))).flat()
  return found.filter(({ owner }) => !ProcessIdentity.isAlive(owner)).map(({ directory }) => directory)
}

/** The root in which a new folder would stand. */
export const usableRoot = async (): Promise<string | undefined> => {
  for (const root of socketRoots()) {
    try {
      await fs.access(root, fs.constants.W_OK | fs.constants.X_OK)
      return root
    } catch {
      // not writable, or not there: the next root
    }
  }
  return undefined
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
