/**
 * Names a process so that another process can tell later whether it still lives: a pid alone is reused, and means
 * nothing in another container that shares the directory.
 */
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"

/** @internal */
export interface ProcessIdentity {
  /** Host and pid namespace, hashed. */
  readonly host: string
  readonly pid: number
  /** Start time in clock ticks since boot; 0 where the system does not tell. */
  readonly started: number
}

/** @internal */
export const format = (identity: ProcessIdentity): string => `${identity.host}-${identity.pid}-${identity.started}`

/** @internal */
export const parse = (text: string): ProcessIdentity | undefined => {
  const [, host, pid, started] = /^([0-9a-f]{6})-(\d+)-(\d+)/.exec(text) ?? []
  return host === undefined ? undefined : { host, pid: Number(pid), started: Number(started) }
}

/** @internal */
export const isSameHost = (identity: ProcessIdentity): boolean => identity.host === self.host

/**
 * Whether the process lives. Only answers for a process of the same host.
 *
 * @internal
 */
export const isAlive = (identity: ProcessIdentity): boolean => {
  try {
    process.kill(identity.pid, 0)
  } catch (error) {
    // EPERM says that it lives and belongs to someone else.
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false
  }
  const { state, started } = status(identity.pid)
  // A zombie is dead: only its parent has not asked yet.
  return started === identity.started && state !== "Z"
}

/**
 * Names a process of this host while it lives.
 *
 * @internal
 */
export const of = (pid: number): ProcessIdentity => ({ host: self.host, pid, started: status(pid).started })

/** Fields 3 and 22 of `/proc/PID/stat`, proc(5). The second may hold spaces and parentheses: count from its end. */
const status = (pid: number): { readonly state: string; readonly started: number } => {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return { state: fields[0] ?? "", started: Number(fields[19] ?? 0) }
  } catch {
    return { state: "", started: 0 }
  }
}

const hostIdentity = (): string => {
  let namespace = ""
  try {
    namespace = fs.readlinkSync("/proc/self/ns/pid")
  } catch {
    // Only Linux has pid namespaces.
  }
  return createHash("sha256").update(`${os.hostname()} ${namespace}`).digest("hex").slice(0, 6)
}

/**
 * This process.
 *
 * @internal
 */
export const self: ProcessIdentity = { host: hostIdentity(), pid: process.pid, started: status(process.pid).started }
