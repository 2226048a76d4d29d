/** The crashes of one pool's workers: an hour of them, and never more than a thousand. */
import type { CrashClass } from "../SnakepitError.ts"

/** One worker that ended without having been asked to. */
export interface CrashRecord {
  readonly pool: string
  readonly worker: string
  /** The device it ran on, when it had one. */
  readonly device: string | undefined
  readonly crash: CrashClass
  readonly exitCode: number | null
  readonly signal: string | null
  /** Targets of the calls it had. */
  readonly inFlight: ReadonlyArray<string>
  /** Its last lines on stderr, oldest first; empty when it had no call. */
  readonly stderr: ReadonlyArray<string>
  /** Unix time in milliseconds. */
  readonly at: number
}

/** Which crashes to answer: those that match everything given. */
export interface CrashFilter {
  readonly pool?: string | undefined
  readonly crash?: CrashClass | undefined
  readonly device?: string | undefined
  /** Unix time in milliseconds: crashes at or after it. */
  readonly since?: number | undefined
}

const keptMillis = 3_600_000

const limit = 1_000

export class CrashHistory {
  /** Oldest first. */
  private readonly records: Array<CrashRecord> = []

  add(record: CrashRecord): void {
    this.records.push(record)
    if (this.records.length > limit) this.records.shift()
  }

  /** The crashes that match, oldest first. */
  find(filter: CrashFilter, now: number): ReadonlyArray<CrashRecord> {
    while (this.records[0] !== undefined && this.records[0].at <= now - keptMillis) this.records.shift()
    return this.records.filter(
      (record) =>
        (filter.pool === undefined || record.pool === filter.pool) &&
        (filter.crash === undefined || record.crash === filter.crash) &&
        (filter.device === undefined || record.device === filter.device) &&
        (filter.since === undefined || record.at >= filter.since)
    )
  }
}
