/** The leases that arrive while an effect runs: they end together, with its scope, or one by one before. */
import * as Context from "effect/Context"
import type { Lease } from "../Lease.ts"

export class Leases {
  private readonly open = new Set<Lease>()
  private isOpen = true

  /** Whether what arrives now still has a scope to belong to. */
  get accepts(): boolean {
    return this.isOpen
  }

  add(lease: Lease): void {
    this.open.add(lease)
  }

  remove(lease: Lease): void {
    this.open.delete(lease)
  }

  close(): void {
    this.isOpen = false
    for (const lease of this.open) lease.end()
    this.open.clear()
  }
}

/** Where the leases of results go. None: results are copied out of shared memory, and belong to whoever has them. */
export const CurrentLeases: Context.Reference<Leases | undefined> = Context.Reference<Leases | undefined>(
  "@snakepit/zero-copy/CurrentLeases",
  { defaultValue: () => undefined }
)
