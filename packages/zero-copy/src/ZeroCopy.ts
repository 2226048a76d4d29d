/**
 * Sharing memory by hand: results that stay in shared memory, and the explicit form of what tensors and tables do by
 * themselves.
 *
 * Arguments need nothing of it: a tensor that is in shared memory is named there, and a large typed array is copied there
 * once. Results are copied out of shared memory, since nobody says how long they are needed; inside {@link scoped} they
 * stay there, until the scope ends.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { leaseOf, streamOf, tableOf } from "./internal/arrowStream.ts"
import { CurrentLeases, Leases } from "./internal/leases.ts"
import type { Lease } from "./Lease.ts"
import { SharedMemory } from "./SharedMemory.ts"
import { Table } from "./Table.ts"
import { type SharedOptions, Tensor, type TensorData } from "./Tensor.ts"
import { LeaseClosed, type ZeroCopyError, ZeroCopyUnavailable } from "./ZeroCopyError.ts"

const leases = Effect.acquireRelease(
  Effect.sync(() => new Leases()),
  (made) => Effect.sync(() => made.close())
)

/**
 * Leaves the tensors and tables that Python answers in shared memory, until the scope ends; whoever touches them later is
 * told. That holds for results of calls inside the effect, for arguments of its callbacks, and for items of its streams.
 *
 * **Example** (A result that is not copied)
 *
 * ```ts
 * const sum = Effect.scoped(Effect.gen(function* () {
 *   const image = yield* ZeroCopy.scoped(Snakepit.call("app.render", { success: Tensor.schema(Uint8Array) }))
 *   return image.data.reduce((a, b) => a + b)
 * }))
 * ```
 */
export const scoped = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.flatMap(leases, (made) => Effect.provideService(effect, CurrentLeases, made))

/** {@link scoped} for a stream: its items stay in shared memory until the stream has ended. Close each before the next. */
export const scopedStream = <A, E, R>(stream: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
  Stream.unwrap(Effect.map(leases, (made) => Stream.provideService(stream, CurrentLeases, made)))

/**
 * Puts a tensor or a table into shared memory, for as long as the scope lives: what a call does with a large argument by itself, once
 * instead of with each call. One that is there already is answered as it is, unless that is in another pool than the one named, or not
 * writable as asked. Where memory cannot be shared, the value is copied with each call; with `strict` it fails with `ZeroCopyUnavailable`,
 * and so does a tensor of Python objects (`|O`), which has no bytes. Fails with `LeaseClosed` for what has been closed.
 */
function exportValue<Data extends TensorData>(
  tensor: Tensor<Data>,
  options?: SharedOptions
): Effect.Effect<Tensor<Data>, ZeroCopyError, SharedMemory | Scope.Scope>
function exportValue(
  table: Table,
  options?: Pick<SharedOptions, "pool">
): Effect.Effect<Table, ZeroCopyError, SharedMemory | Scope.Scope>
function exportValue(
  value: Tensor | Table,
  options: SharedOptions = {}
): Effect.Effect<Tensor | Table, ZeroCopyError, SharedMemory | Scope.Scope> {
  return Effect.gen(function* () {
    const lease = Tensor.isTensor(value) ? value.lease : leaseOf(value)
    if (lease !== undefined && (yield* isAsAsked(lease, options))) return value
    return yield* Tensor.isTensor(value) ? exportTensor(value, options) : exportTable(value, options)
  })
}

/** Whether what is in shared memory can be answered as it is. */
const isAsAsked = (lease: Lease, { pool, writable = lease.isWritable }: SharedOptions) =>
  Effect.gen(function* () {
    if (!lease.isOpen) {
      return yield* Effect.fail(new LeaseClosed({ bytes: lease.byteLength, operation: "read" }))
    }
    if (lease.isWritable !== writable) return false
    return pool === undefined || lease.region.arena === (yield* (yield* SharedMemory).pool(pool)).arena
  })

const exportTensor = (tensor: Tensor, options: SharedOptions) => {
  if (tensor.dtype !== "|O") return Tensor.share(tensor, options)
  const reason = "Python objects (|O) have no bytes that it could hold"
  return Effect.fail(new ZeroCopyUnavailable({ pool: options.pool ?? "default", reason }))
}

const exportTable = (table: Table, { pool }: SharedOptions) =>
  Effect.gen(function* () {
    const memory = yield* (yield* SharedMemory).pool(pool)
    const stream = streamOf(table)
    const lease = yield* memory.leaseIfPossible(stream.byteLength, false)
    if (lease === undefined) return table
    stream.write(lease.bytes)
    return tableOf(lease)
  })

/**
 * Takes a tensor or a table out of shared memory: a copy that no scope ends. Fails with `LeaseClosed` when its lease has ended.
 */
function importValue<Data extends TensorData>(tensor: Tensor<Data>): Effect.Effect<Tensor<Data>, LeaseClosed>
function importValue(table: Table): Effect.Effect<Table, LeaseClosed>
function importValue(value: Tensor | Table): Effect.Effect<Tensor | Table, LeaseClosed> {
  return unlessClosed(() => (Tensor.isTensor(value) ? value.toOwned() : Table.toOwned(value)))
}

/** Ends the lease of a tensor or a table, or a lease, before its scope does. Fails with `LeaseClosed` when it has ended already. */
export const close = (shared: Tensor | Table | Lease): Effect.Effect<void, LeaseClosed> =>
  unlessClosed(() => (Table.isTable(shared) ? Table.close(shared) : shared.close()))

const unlessClosed = <A>(use: () => A): Effect.Effect<A, LeaseClosed> =>
  Effect.try({
    try: use,
    catch: (error) => {
      // anything else is a mistake of ours
      if (error instanceof LeaseClosed) return error
      throw error
    }
  })

export { exportValue as export, importValue as import }
