/**
 * Where the bytes of adapted values are: inside the message, or in shared memory.
 *
 * An adapter does not decide that. In its payload it puts an {@link Unwritten} (the codec gives room, the adapter writes), or
 * a {@link Part} of a lease (it is in shared memory, and is named there); a `Uint8Array` is inside the message, as everywhere. When it
 * decodes, it finds a `Uint8Array` of its own or a `Lease` in that place, and reads either with {@link bytesOf}.
 */
import { Lease } from "./Lease.ts"
import { LeaseClosed } from "./ZeroCopyError.ts"

/** What an adapter finds in place of bytes when it decodes. */
export type Bytes = Uint8Array | Lease

/** Bytes that are not there yet: `write` is called once, at once, with exactly as much room as it asks for. */
export class Unwritten {
  readonly byteLength: number
  readonly write: (room: Uint8Array) => void

  constructor(byteLength: number, write: (room: Uint8Array) => void) {
    this.byteLength = byteLength
    this.write = write
  }

  /** Bytes that are somewhere else, and are copied. */
  static from(bytes: Uint8Array): Unwritten {
    return new Unwritten(bytes.byteLength, (room) => room.set(bytes))
  }
}

/** Bytes of a lease: `byteLength` of them, `offset` bytes into it. Making one throws `LeaseClosed` when the lease has ended. */
export class Part {
  readonly lease: Lease
  readonly offset: number
  readonly byteLength: number

  constructor(lease: Lease, offset = 0, byteLength: number = lease.byteLength) {
    if (!lease.isOpen) throw new LeaseClosed({ bytes: lease.byteLength, operation: "send" })
    this.lease = lease
    this.offset = offset
    this.byteLength = byteLength
  }
}

/** Whether a part of a payload is bytes, wherever they are. */
export const isBytes = (value: unknown): value is Bytes => value instanceof Uint8Array || value instanceof Lease

/** The bytes, wherever they are. Throws `LeaseClosed` when they were in shared memory that has been given back. */
export const bytesOf = (bytes: Bytes): Uint8Array => (bytes instanceof Lease ? bytes.bytes : bytes)

/** A place in shared memory, as the host names it: [segment, offset, length, region, writable]. */
export type Place = readonly [segment: number, offset: number, length: number, region: number, writable: boolean]

/** What the encoder asks where bytes go. */
export interface Outgoing {
  /** From this many bytes on they go to shared memory. */
  readonly thresholdBytes: number
  /** Room in shared memory for one message, filled by `write`; undefined when the bytes belong inside the message. */
  readonly store: (byteLength: number, write: (room: Uint8Array) => void) => Place | undefined
  /** The place of bytes of a lease; undefined when Python cannot see them there, and they are copied. */
  readonly place: (part: Part) => Place | undefined
}
