/**
 * Whether the kernel killed a process for memory. A SIGKILL does not say who sent it, but the control group that the process
 * was in counts those it had to kill: `memory.events` (cgroup v2), `memory.oom_control` (v1).
 */
import * as fs from "node:fs"
import * as path from "node:path"

/** Answers whether a process of the group has been killed for memory since this was called. */
export const watchOomKills = (pid: number, root = "/sys/fs/cgroup", proc = "/proc"): (() => boolean) => {
  const files = counterFiles(pid, root, proc)
  const before = files.map(countOf)
  return () => files.some((file, index) => countOf(file) > (before[index] ?? 0))
}

const counterFiles = (pid: number, root: string, proc: string): ReadonlyArray<string> => {
  let groups: string
  try {
    groups = fs.readFileSync(`${proc}/${pid}/cgroup`, "utf8")
  } catch {
    return [] // it has ended, or this is not Linux
  }
  const files = groups.split("\n").flatMap((line) => {
    const [, controllers, group] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (group === undefined || controllers === undefined) return []
    // inside a container the path may be the host's, while the container's own group is mounted as the root
    if (controllers === "") return [`${root}${group}/memory.events`, `${root}/memory.events`]
    if (controllers.split(",").includes("memory")) {
      return [`${root}/memory${group}/memory.oom_control`, `${root}/memory/memory.oom_control`]
    }
    return []
  })
  // those that are there, once each: they are read when a worker starts and when it has ended, and its successor waits for both
  return [...new Set(files.map((file) => path.normalize(file)))].filter((file) => fs.existsSync(file))
}

const countOf = (file: string): number => {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(fs.readFileSync(file, "latin1"))?.[1] ?? 0)
  } catch {
    return 0 // not there, or not ours to read
  }
}
