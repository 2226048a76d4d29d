/**
 * Which core runs what. Two processes that wake each other up take 11 us for a round trip on one core and 21 us on two, and
 * the kernel may treat one pair in a run one way and the next pair the other way, for as long as the run lasts. A ratio of
 * the two would say nothing of the programs, so the benches that compare round trips give this process one core and
 * all Pythons another.
 */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"

/** Gives this process core 0 and those it has started core 1. Answers whether it could. */
export const separate = (): boolean => {
  if (process.platform !== "linux" || os.availableParallelism() < 2) return false
  try {
    pin(process.pid, 0)
    for (const pid of descendants(process.pid)) pin(pid, 1)
    return true
  } catch (error) {
    console.log(
      `cores are left to the kernel: ${error instanceof Error ? error.message.split("\n", 1)[0] : String(error)}`
    )
    return false
  }
}

/** Takes the choice back: the kernel places every process. */
export const share = (): void => {
  if (process.platform !== "linux") return
  const all = `0-${os.cpus().length - 1}`
  try {
    for (const pid of [process.pid, ...descendants(process.pid)]) pin(pid, all)
  } catch {
    // there is no taskset, so nothing was pinned before
  }
}

const pin = (pid: number, core: number | string): void => {
  execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", String(core), String(pid)], { stdio: "ignore" })
}

const descendants = (pid: number): ReadonlyArray<number> => {
  const children = new Map<number, Array<number>>()
  for (const name of fs.readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue
    const parent = parentOf(name)
    if (parent === undefined) continue
    children.set(parent, [...(children.get(parent) ?? []), Number(name)])
  }
  const found: Array<number> = []
  const visit = (parent: number): void => {
    for (const child of children.get(parent) ?? []) {
      found.push(child)
      visit(child)
    }
  }
  visit(pid)
  return found
}

const parentOf = (pid: string): number | undefined => {
  try {
    // the name in parentheses may hold anything, so fields are counted from its end
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])
  } catch {
    return undefined // the process has ended meanwhile
  }
}
