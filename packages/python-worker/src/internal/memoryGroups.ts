/**
 * Memory ceilings by control groups (cgroup v2): a group for each worker, beside the host's own or below it, with `memory.max`.
 * The kernel counts pages that are in use, of the worker and of all it has started, and kills them together when they need more.
 *
 * A group is only possible where this user may make one and where the memory controller is delegated to it, as in a systemd
 * user session; elsewhere `find` answers none, and the limit is one on address space (`memory.py`).
 */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as ProcessIdentity from "./processIdentity.ts"

/** A folder of the control group file system in which groups can be made. */
export interface MemoryGroups {
  readonly folder: string
  /** Removes a group that has no processes. */
  readonly remove: (group: string) => void
}

/** Where groups for workers can be made; `undefined` with the reason told to `onRefused` when they cannot. */
export const find = (
  onRefused: (reason: string) => void,
  root = "/sys/fs/cgroup",
  proc = "/proc",
  remove: MemoryGroups["remove"] = fs.rmdirSync
): MemoryGroups | undefined => {
  const own = ownGroup(root, proc)
  if (own === undefined) {
    onRefused("this process is in no group of cgroup v2")
    return undefined
  }
  // a group that has processes hands no controllers down, so it is the one above that has to, as a rule
  for (const folder of own === root ? [own] : [own, path.dirname(own)]) {
    try {
      if (!read(path.join(folder, "cgroup.subtree_control")).split(/\s+/).includes("memory")) continue
      sweep(folder, remove)
      const trial = path.join(folder, groupName("trial"))
      fs.mkdirSync(trial)
      try {
        write(trial, "memory.max", "max")
      } finally {
        remove(trial)
      }
      return { folder, remove }
    } catch (error) {
      onRefused(String(error))
    }
  }
  onRefused("no group that this process may use hands the memory controller down")
  return undefined
}

/** Puts a process into a group of its own that may use so many bytes, beyond what the process has already. */
export const enter = (
  { folder, remove }: MemoryGroups,
  worker: string,
  pid: number,
  limit: number
): Effect.Effect<void, string, Scope.Scope> =>
  Effect.gen(function* () {
    const group = path.join(folder, groupName(worker))
    yield* Effect.acquireRelease(
      Effect.try({
        try: () => {
          fs.mkdirSync(group)
          write(group, "memory.max", String(limit))
          attempt(() => write(group, "memory.swap.max", "0")) // not there without swap
          attempt(() => write(group, "memory.oom.group", "1"))
          // what it has used so far stays on the account of the group that it comes from
          write(group, "cgroup.procs", String(pid))
        },
        catch: (error) => `no memory group could be made for it: ${String(error)}`
      }),
      () => leave(group, remove)
    ).pipe(Effect.tapError(() => leave(group, remove)))
  })

/** A group can be removed once all its processes are gone, which takes the kernel a moment. */
const leave = (group: string, remove: MemoryGroups["remove"]): Effect.Effect<void> =>
  Effect.sync(() => attempt(() => write(group, "cgroup.kill", "1"))).pipe(
    Effect.andThen(
      Effect.try({
        try: () => remove(group),
        catch: (error) => error
      }).pipe(Effect.retry({ times: 100, schedule: Schedule.spaced(10), while: isBusy }))
    ),
    // one that stays is swept by a later start
    Effect.ignore
  )

/** Removes the groups of hosts that are dead. The kernel refuses to remove one that is in use. */
const sweep = (folder: string, remove: MemoryGroups["remove"]): void => {
  for (const name of fs.readdirSync(folder)) {
    if (!name.startsWith(prefix)) continue
    const host = ProcessIdentity.parse(name.slice(prefix.length))
    if (host === undefined || !ProcessIdentity.isSameHost(host) || ProcessIdentity.isAlive(host)) continue
    attempt(() => remove(path.join(folder, name)))
  }
}

/** The folder of the group that this process is in. */
const ownGroup = (root: string, proc: string): string | undefined => {
  try {
    if (!fs.existsSync(path.join(root, "cgroup.controllers"))) return undefined // version 1, or a mixture
    const group = /^0::(\/.*)$/m.exec(read(`${proc}/self/cgroup`))?.[1]
    return group === undefined ? undefined : path.join(root, group)
  } catch {
    return undefined
  }
}

const prefix = "snakepit-"

const groupName = (worker: string): string =>
  `${prefix}${ProcessIdentity.format(ProcessIdentity.self)}-${worker.replace(/[^\w-]/g, "_")}`

const read = (file: string): string => fs.readFileSync(file, "latin1")

const write = (group: string, file: string, value: string): void => fs.writeFileSync(path.join(group, file), value)

const attempt = (act: () => void): void => {
  try {
    act()
  } catch {
    // it may be impossible here, and things go on without it
  }
}

const isBusy = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "EBUSY"
