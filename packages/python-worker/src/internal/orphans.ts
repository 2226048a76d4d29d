/** Worker processes whose program is gone. There should be none, ever: `lifeline.py` sees to that. */
import * as fs from "node:fs"
import { bootstrap, forkServerModule, workerModule } from "./spawnedProcess.ts"

/**
 * Process ids of this user's workers that were handed to the process that adopts orphans, unless that is a living instance
 * itself, as in a container. Programs whose runtime directories are elsewhere keep theirs. Linux only; elsewhere none are found.
 */
export const orphans = (instances: ReadonlySet<number>): ReadonlyArray<number> =>
  processes().filter((pid) => {
    if (!isWorker(pid)) return false
    let parent = parentOf(pid)
    while (isWorker(parent)) parent = parentOf(parent) // its fork server
    return !instances.has(parent) && adopts(parent)
  })

/** The first process of the machine or container does, and systemd for what a user has started. */
const adopts = (pid: number): boolean => pid === 1 || read(`/proc/${pid}/comm`).trim() === "systemd"

const programs = [workerModule, forkServerModule].map((module) => bootstrap(module))

const isWorker = (pid: number): boolean =>
  ownerOf(pid) === process.getuid?.() &&
  read(`/proc/${pid}/cmdline`)
    .split("\0")
    .some((word) => programs.includes(word))

const parentOf = (pid: number): number => Number(/^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0)

const ownerOf = (pid: number): number | undefined => fs.statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid

/** Nothing of a process that has ended meanwhile. */
const read = (file: string): string => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

const processes = (): ReadonlyArray<number> => {
  try {
    return fs.readdirSync("/proc").map(Number).filter(Number.isInteger)
  } catch {
    return []
  }
}
