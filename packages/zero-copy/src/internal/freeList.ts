/**
 * Which parts of a segment are free: offsets and sizes, sorted, neighbours joined.
 *
 * First fit, from the start: memory that was used just now is used again, and its pages are there and in the caches.
 */

/** Regions begin at multiples of this: what Arrow asks of its buffers, and a cache line. */
export const alignment = 64

/** The next multiple of {@link alignment}; at least one, so that an empty tensor has a place too. */
export const aligned = (bytes: number): number => Math.max(alignment, Math.ceil(bytes / alignment) * alignment)

export class FreeList {
  readonly size: number
  /** Bytes that are taken. */
  used = 0
  private readonly offsets: Array<number> = [0]
  private readonly sizes: Array<number>

  constructor(size: number) {
    this.size = size
    this.sizes = [size]
  }

  /** Takes `bytes`, a multiple of the alignment, and answers where; undefined when no free part is large enough. */
  take(bytes: number): number | undefined {
    for (let i = 0; i < this.sizes.length; i++) {
      const size = this.sizes[i] ?? 0
      if (size < bytes) continue
      const offset = this.offsets[i] ?? 0
      if (size === bytes) {
        this.offsets.splice(i, 1)
        this.sizes.splice(i, 1)
      } else {
        this.offsets[i] = offset + bytes
        this.sizes[i] = size - bytes
      }
      this.used += bytes
      return offset
    }
    return undefined
  }

  /** Gives back what {@link take} answered. */
  give(offset: number, bytes: number): void {
    let i = 0
    while (i < this.offsets.length && (this.offsets[i] ?? 0) < offset) i++
    this.offsets.splice(i, 0, offset)
    this.sizes.splice(i, 0, bytes)
    this.used -= bytes
    this.join(i)
    if (i > 0) this.join(i - 1)
  }

  /** Joins a free part with the next, where they touch. */
  private join(i: number): void {
    const next = this.offsets[i + 1]
    const size = this.sizes[i]
    if (next === undefined || size === undefined || (this.offsets[i] ?? 0) + size !== next) return
    this.sizes[i] = size + (this.sizes[i + 1] ?? 0)
    this.offsets.splice(i + 1, 1)
    this.sizes.splice(i + 1, 1)
  }
}
