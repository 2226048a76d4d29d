/// <reference lib="es2024.arraybuffer" preserve="true" />
/**
 * The right to look at a part of shared memory. It ends with its scope, or earlier with {@link Lease.close}: then the
 * `ArrayBuffer` is detached, so that typed arrays over it are empty and whoever asks for the bytes is told, and the memory
 * is used again once Python has let go of it as well.
 */
import { LeaseClosed } from "./ZeroCopyError.ts"
import type { Region } from "./internal/arena.ts"

export class Lease {
  /** The memory it is in; for the codec. */
  readonly region: Region
  readonly byteLength: number
  /** Whether Python may write to it. */
  readonly isWritable: boolean
  private readonly offset: number
  private readonly onClose: (() => void) | undefined
  private view: Uint8Array<ArrayBuffer> | undefined
  private open = true
  private readonly watchers: Array<() => void> = []

  /** Takes over one hold of the region. `offset` is counted from the beginning of the segment. */
  constructor(region: Region, offset: number, byteLength: number, isWritable: boolean, onClose?: () => void) {
    this.region = region
    this.offset = offset
    this.byteLength = byteLength
    this.isWritable = isWritable
    this.onClose = onClose
  }

  get isOpen(): boolean {
    return this.open
  }

  /** The shared bytes. Throws {@link LeaseClosed} after the lease was closed. */
  get bytes(): Uint8Array<ArrayBuffer> {
    if (!this.open) throw new LeaseClosed({ bytes: this.byteLength, operation: "read" })
    this.view ??= new Uint8Array(this.region.segment.view(this.offset, this.byteLength))
    return this.view
  }

  /** For logs: without the memory that it is a part of. */
  toJSON(): { readonly _id: string; readonly byteLength: number; readonly isOpen: boolean } {
    return { _id: "Lease", byteLength: this.byteLength, isOpen: this.open }
  }

  /** Where it begins in its segment. */
  get position(): number {
    return this.offset
  }

  /** Has `run` called when the lease has ended and its bytes are out of reach: by who has made something of them. */
  whenEnded(run: () => void): void {
    this.watchers.push(run)
  }

  /** Ends the lease. Throws {@link LeaseClosed} when it has ended before. */
  close(): void {
    if (!this.open) throw new LeaseClosed({ bytes: this.byteLength, operation: "close" })
    this.end()
  }

  /** Ends the lease, unless it has ended: what a scope does. */
  end(): void {
    if (!this.open) return
    this.open = false
    const buffer = this.view?.buffer
    this.view = undefined
    for (const run of this.watchers.splice(0)) run()
    // Somebody has transferred the buffer, to a worker thread perhaps, and may look at the memory for ever: it is lost
    if (buffer?.detached === true && this.byteLength > 0) return
    buffer?.transfer(0)
    this.onClose?.()
    this.region.release()
  }
}
