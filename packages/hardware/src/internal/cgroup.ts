/**
 * The limits of the control group that this process is in, of version 1 and 2. A group can use no more than those around it, so
 * every level up to the root of the mount counts.
 */

/** A folder whose files hold limits, and by which version they are named. */
export interface Level {
  readonly version: 1 | 2
  readonly folder: string
}

/** The levels of one controller, the process's own first. */
export const levels = (controller: "cpu" | "memory", cgroup: string, mountInfo: string): ReadonlyArray<Level> => {
  const mounts = parseMounts(mountInfo)
  const memberships = parseMemberships(cgroup)
  const first = memberships.find(({ controllers }) => controllers.includes(controller))
  const found: Array<Level> = []
  for (const [version, membership] of [
    [1, first],
    [2, memberships.find(({ controllers }) => controllers.length === 0)]
  ] as const) {
    const mount = mounts.find((mounted) =>
      version === 1 ? mounted.type === "cgroup" && mounted.controllers.includes(controller) : mounted.type === "cgroup2"
    )
    if (membership === undefined || mount === undefined) continue
    for (const path of upwards(within(mount.root, membership.path))) {
      found.push({ version, folder: path === "/" ? mount.point : `${mount.point}${path}` })
    }
  }
  return found
}

interface Membership {
  /** None for version 2. */
  readonly controllers: ReadonlyArray<string>
  readonly path: string
}

/** Reads `/proc/self/cgroup`. */
const parseMemberships = (text: string): ReadonlyArray<Membership> =>
  text.split("\n").flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) return []
    return [{ controllers: controllers === "" ? [] : controllers.split(","), path }]
  })

interface Mount {
  readonly type: string
  /** The group that the mount point shows. */
  readonly root: string
  readonly point: string
  readonly controllers: ReadonlyArray<string>
}

/** Reads the mounts of control groups in `/proc/self/mountinfo`. */
const parseMounts = (text: string): ReadonlyArray<Mount> =>
  text.split("\n").flatMap((line) => {
    // the number of optional fields before the lone hyphen varies, and paths may hold hyphens
    const [before, after] = line.split(" - ", 2)
    const [, , , root, point] = before?.split(" ") ?? []
    const [type, , options] = after?.split(" ") ?? []
    if (root === undefined || point === undefined || (type !== "cgroup" && type !== "cgroup2")) return []
    return [{ type, root: unescape(root), point: unescape(point), controllers: options?.split(",") ?? [] }]
  })

/** Blanks in paths are written as octal numbers. */
const unescape = (path: string): string =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

/**
 * The group's path under the mount. In a container the mount shows the container's own group as its root, while the path may be
 * the host's, or lead out of the namespace.
 */
const within = (root: string, path: string): string => {
  if (path.includes("..")) return "/"
  if (root === "/") return path
  if (path === root) return "/"
  return path.startsWith(`${root}/`) ? path.slice(root.length) : "/"
}

/** Groups do not nest deeper in practice. */
const maxLevels = 32

const upwards = (path: string): ReadonlyArray<string> => {
  const parts = path
    .split("/")
    .filter((part) => part !== "")
    .slice(0, maxLevels)
  return Array.from({ length: parts.length + 1 }, (_, up) => `/${parts.slice(0, parts.length - up).join("/")}`)
}

/** Cores, from `cpu.max`: quota and period. `null` without a limit. */
export const parseCpuMax = (text: string): number | null => {
  const [, quota, period] = /^\s*(\d{1,15})\s+(\d{1,15})\s*$/.exec(text) ?? []
  return quota === undefined || period === undefined ? null : ratio(Number(quota), Number(period))
}

/** Cores, from `cpu.cfs_quota_us` and `cpu.cfs_period_us`. `null` without a limit, which is written as -1. */
export const parseCfs = (quota: string, period: string): number | null =>
  /^\d{1,15}$/.test(quota.trim()) && /^\d{1,15}$/.test(period.trim()) ? ratio(Number(quota), Number(period)) : null

const ratio = (quota: number, period: number): number | null => (quota > 0 && period > 0 ? quota / period : null)

/** Bytes, from `memory.max` or `memory.limit_in_bytes`. `null` without a limit, which is written as `max` or as a huge number. */
export const parseMemoryLimit = (text: string): number | null => {
  const limit = /^\s*(\d{1,20})\s*$/.exec(text)?.[1]
  return limit !== undefined && Number.isSafeInteger(Number(limit)) ? Number(limit) : null
}

/** Bytes of page cache that can be given back at once, from `memory.stat`. */
export const parseReclaimable = (stat: string): number =>
  Number(/^(?:total_)?inactive_file (\d{1,15})$/m.exec(stat)?.[1] ?? 0)
