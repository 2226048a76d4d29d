/** Arrow IPC streams: tables written to where they are to be, and read where they are. */
import type * as Arrow from "apache-arrow"
import { type Bytes, bytesOf, Unwritten } from "../Storage.ts"
import { Lease } from "../Lease.ts"
import { loadArrow } from "./arrow.ts"

/** The stream of a table. Its parts are those of the table: nothing is copied before it is written. */
export const streamOf = (table: Arrow.Table): Unwritten => {
  const arrow = loadArrow()
  const chunks: Array<Uint8Array> = []
  let byteLength = 0
  class Chunks extends arrow.AsyncByteQueue {
    override write(chunk: Parameters<Arrow.AsyncByteQueue["write"]>[0]): void {
      const bytes: Uint8Array = arrow.util.toUint8Array(chunk)
      chunks.push(bytes)
      byteLength += bytes.byteLength
    }
  }
  for (const batch of table.batches) completeDictionaries(batch, table.schema)
  new arrow.RecordBatchStreamWriter().reset(new Chunks()).writeAll(table)
  return new Unwritten(byteLength, (room) => {
    let position = 0
    for (const chunk of chunks) {
      room.set(chunk, position)
      position += chunk.byteLength
    }
  })
}

/** Gives a column of categories that has no value, and so no dictionary, an empty one: a stream without it is not whole. */
const completeDictionaries = (batch: Arrow.RecordBatch, schema: Arrow.Schema): void => {
  const { makeData, Vector } = loadArrow()
  for (const [id, type] of schema.dictionaries) {
    const dictionary = batch.dictionaries.get(id)
    if (dictionary === undefined || dictionary.data.length === 0) {
      batch.dictionaries.set(id, new Vector([makeData({ type, length: 0, nullCount: 0 })]))
    }
  }
}

/** The tables that lie in shared memory, and their leases. */
const leases = new WeakMap<Arrow.Table, Lease>()

/** The lease of the memory that a table arrived in; undefined for a table in memory of this process. */
export const leaseOf = (table: Arrow.Table): Lease | undefined => leases.get(table)

/**
 * The table of a stream: its columns are views of the very bytes, if those begin at a multiple of 8 in their buffer, and of
 * one copy of each batch otherwise. When the bytes are leased and the lease ends, whoever looks into the table is told.
 *
 * Throws for bytes that are no stream.
 */
export const tableOf = (bytes: Bytes): Arrow.Table => {
  const arrow = loadArrow()
  const reader = arrow.RecordBatchReader.from(bytesOf(bytes))
  // it opens no file and waits for nothing: what it is made of are bytes
  if (!reader.isSync()) throw new TypeError("expected the bytes of an Arrow IPC stream")
  reader.open()
  if (!reader.schema)
    throw new TypeError(`expected an Arrow IPC stream, got ${bytes.byteLength} bytes without a schema`)
  const table = new arrow.Table(reader.readAll())
  if (bytes instanceof Lease) {
    leases.set(table, bytes)
    const slices = new Slices()
    for (const batch of table.batches) slices.watch(batch.data)
    bytes.whenEnded(() => {
      for (const batch of table.batches) shut(batch.data, bytes)
      for (const slice of slices) shut(slice, bytes)
    })
  }
  return table
}

/** What is made of a table's data, such as slices: data of its own over the same memory, wherever it is by now. */
class Slices {
  private made: Array<WeakRef<Arrow.Data>> = []
  private most = 64

  /** Notes what is made of `data`, its children and its dictionary from here on, and of that. */
  watch(data: Arrow.Data): void {
    this.watchOne(data)
    for (const child of data.children) this.watch(child)
    for (const part of data.dictionary?.data ?? []) this.watchOne(part)
  }

  *[Symbol.iterator](): Iterator<Arrow.Data> {
    for (const one of this.made) {
      const data = one.deref()
      if (data !== undefined) yield data
    }
  }

  // children of what is made are the same ones, or made in the same way
  private watchOne(data: Arrow.Data): void {
    const clone: Arrow.Data["clone"] = data.clone.bind(data)
    const noted = (...args: Parameters<typeof clone>): Arrow.Data => {
      const made = clone(...args)
      this.watchOne(made)
      this.add(made)
      return made
    }
    Object.defineProperty(data, "clone", { configurable: true, value: noted })
  }

  private add(data: Arrow.Data): void {
    if (this.made.length >= this.most) {
      this.made = this.made.filter((one) => one.deref() !== undefined)
      this.most = Math.max(64, 2 * this.made.length)
    }
    this.made.push(new WeakRef(data))
  }
}

/** What apache-arrow reads of a column. A detached array would answer `undefined`, or null where nulls are looked up. */
const buffers = ["values", "valueOffsets", "nullBitmap", "typeIds", "variadicBuffers"] as const

/** Makes data whose memory is gone say so. */
const shut = (data: Arrow.Data, lease: Lease): void => {
  for (const name of buffers) {
    Object.defineProperty(data, name, { configurable: true, get: () => lease.bytes })
  }
  for (const child of data.children) shut(child, lease)
  for (const part of data.dictionary?.data ?? []) shut(part, lease)
}
