/** What goes wrong with shared memory. */
import * as Schema from "effect/Schema"

/** The tensor or table was used after its scope had ended, or after it was closed. */
export class LeaseClosed extends Schema.TaggedError<LeaseClosed>("@snakepit/zero-copy/LeaseClosed")("LeaseClosed", {
  bytes: Schema.Int,
  operation: Schema.Literals(["read", "close", "send"])
}) {
  override get message() {
    return this.operation === "close"
      ? `the shared memory of ${this.bytes} bytes is closed already: close it once, or leave it to its scope`
      : `cannot ${this.operation} shared memory of ${this.bytes} bytes: its lease has ended. ` +
          "Use it inside the scope that it belongs to, or copy it with `toOwned` first"
  }
}

/** The shared memory of a pool is used up, or the system gives no more. */
export class SharedMemoryExhausted extends Schema.TaggedError<SharedMemoryExhausted>(
  "@snakepit/zero-copy/SharedMemoryExhausted"
)("SharedMemoryExhausted", {
  pool: Schema.String,
  wantedBytes: Schema.Int,
  heldBytes: Schema.Int,
  maxBytes: Schema.Int,
  reason: Schema.String
}) {
  override get message() {
    return (
      `pool "${this.pool}" has no shared memory for ${this.wantedBytes} bytes: ${this.reason}. ` +
      'Close tensors earlier, raise `maxSharedMemory`, or let callers wait with `whenFull: "wait"`'
    )
  }
}

/** Sharing memory is impossible here, and `strict` forbids to copy instead. */
export class ZeroCopyUnavailable extends Schema.TaggedError<ZeroCopyUnavailable>(
  "@snakepit/zero-copy/ZeroCopyUnavailable"
)("ZeroCopyUnavailable", {
  pool: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `zero_copy_unavailable: pool "${this.pool}" cannot share memory: ${this.reason}`
  }
}

export type ZeroCopyError = LeaseClosed | SharedMemoryExhausted | ZeroCopyUnavailable
