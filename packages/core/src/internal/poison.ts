/**
 * Calls that kill workers: who killed whom, for an hour, and which calls are not to be run again. Costs one size check per call
 * while no worker has crashed; then calls of a target that killed one are compared with those that did, by {@link fingerprint}.
 */
import type { Call } from "../Call.ts"
import type { CrashMark } from "../SnakepitError.ts"
import { fingerprint } from "./fingerprint.ts"

const windowMillis = 3_600_000

/** Most different calls remembered; the oldest are forgotten first. */
const limit = 1_000

export class Poison {
  private readonly after: number
  /** Crashes by fingerprint, oldest call first. */
  private readonly marks = new Map<string, { readonly target: string; readonly crashes: Array<CrashMark> }>()
  /** How many remembered calls a target has. */
  private readonly targets = new Map<string, number>()

  constructor(after: number) {
    this.after = after
  }

  /** Whether no call is remembered. */
  get isEmpty(): boolean {
    return this.marks.size === 0
  }

  /** The fingerprint of a call whose target is remembered. */
  suspect(call: Call): string | undefined {
    return this.targets.has(call.target) ? fingerprint(call) : undefined
  }

  /** A call killed a worker. Answers all such crashes of equal calls; `own` are those of this very call. */
  mark(call: Call, own: ReadonlyArray<CrashMark>): ReadonlyArray<CrashMark> {
    const last = own.at(-1)
    const key = fingerprint(call)
    // what cannot be compared is judged by its own crashes
    if (last === undefined || key === undefined) return own
    const known = this.fresh(key)
    const crashes = [...known, last].slice(-this.after)
    this.forget(key)
    this.marks.set(key, { target: call.target, crashes })
    this.targets.set(call.target, (this.targets.get(call.target) ?? 0) + 1)
    if (this.marks.size > limit) {
      const [oldest] = this.marks.keys()
      if (oldest !== undefined) this.forget(oldest)
    }
    return crashes
  }

  /** The crashes for which the call is refused, when there are enough. */
  verdict(key: string): ReadonlyArray<CrashMark> | undefined {
    const crashes = this.fresh(key)
    if (crashes.length === 0) this.forget(key)
    return crashes.length >= this.after ? crashes : undefined
  }

  /** An equal call came back: whatever killed the workers, it was not this call alone. */
  forget(key: string): void {
    const entry = this.marks.get(key)
    if (entry === undefined) return
    this.marks.delete(key)
    const left = (this.targets.get(entry.target) ?? 1) - 1
    if (left === 0) this.targets.delete(entry.target)
    else this.targets.set(entry.target, left)
  }

  private fresh(key: string): ReadonlyArray<CrashMark> {
    const horizon = Date.now() - windowMillis
    return (this.marks.get(key)?.crashes ?? []).filter((crash) => crash.at > horizon)
  }
}
