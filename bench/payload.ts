/** Bytes in one argument, and bytes in one result, by size. Values inside the message only (`inline`) so far. */
import { crc32 } from "node:zlib"
import { type Run, wholeNumber } from "./bench.ts"
import { interleave, median, ratios, rounded, Times } from "./rounds.ts"
import { openSnakepit, type SnakepitSubject } from "./snakepit.ts"
import { grouped, printTable } from "./table.ts"

const KIB = 1024
const MIB = 1024 * KIB
const SIZES = [KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 10 * MIB, 100 * MIB]

/** Small payloads are repeated within a round until about this many bytes have crossed. */
const BYTES_PER_ROUND = 4 * MIB
const MOST_CALLS_PER_ROUND = 200
const TINY_CALLS = 2000
const MEMCPY_BATCH_BYTES = 256 * KIB

/** Payloads repeat the 256 byte values; Python builds its results from one such unit. */
const UNIT = 256

interface Row {
  readonly bytes: number
  readonly direction: "to_python" | "from_python"
  readonly path: "inline"
  readonly p50_us: number
  readonly mb_per_s: number
  readonly ratio_to_memcpy: number
}

export const run: Run = async (flags) => {
  const rounds = wholeNumber(flags, "rounds", 5)
  const largest = wholeNumber(flags, "max-mib", 100) * MIB
  await using snakepit = await openSnakepit(1)
  await snakepit.oneByOne(new Float64Array(TINY_CALLS))
  const tiny = new Float64Array(TINY_CALLS)
  await snakepit.oneByOne(tiny)
  const results: Array<Row> = []
  for (const bytes of SIZES.filter((size) => size <= largest)) {
    results.push(...(await measureSize(snakepit, bytes, rounds)))
  }
  console.log(`tiny call p50 ${median(tiny).toFixed(1)} us`)
  printTable(
    ["bytes", "direction", "path", "p50 us", "MB/s", "to memcpy"],
    results.map((row) => [
      grouped(row.bytes),
      row.direction,
      row.path,
      row.p50_us.toFixed(1),
      grouped(row.mb_per_s),
      row.ratio_to_memcpy.toFixed(1)
    ])
  )
  return { tiny_p50_us: rounded(median(tiny)), results }
}

const measureSize = async (snakepit: SnakepitSubject, bytes: number, rounds: number): Promise<ReadonlyArray<Row>> => {
  const unit = Uint8Array.from({ length: UNIT }, (_, i) => i)
  const count = bytes / UNIT
  const payload = Buffer.alloc(bytes, unit)
  await checkContent(snakepit, payload, unit, count)

  const calls = Math.min(MOST_CALLS_PER_ROUND, Math.max(1, Math.floor(BYTES_PER_ROUND / bytes)))
  const target = Buffer.alloc(bytes)
  const memcpy = new Times()
  const toPython = new Times()
  const fromPython = new Times()
  await interleave(rounds, [
    () => memcpy.round(calls, async (micros) => timeMemcpy(micros, payload, target)),
    () => toPython.round(calls, (micros) => snakepit.sendOneByOne(micros, payload)),
    () => fromPython.round(calls, (micros) => snakepit.receiveOneByOne(micros, unit, count))
  ])
  const row = (direction: Row["direction"], times: Times): Row => {
    const p50 = times.percentile(0.5)
    return {
      bytes,
      direction,
      path: "inline",
      p50_us: rounded(p50),
      mb_per_s: rounded(bytes / p50, 0),
      ratio_to_memcpy: rounded(median(ratios(times.medians(), memcpy.medians())), 1)
    }
  }
  return [row("to_python", toPython), row("from_python", fromPython)]
}

/** Once per size, outside the clock: every byte arrives as it was. The timed calls check lengths only. */
const checkContent = async (
  snakepit: SnakepitSubject,
  payload: Buffer,
  unit: Uint8Array,
  count: number
): Promise<void> => {
  const sent = await snakepit.crc32(payload)
  if (sent !== crc32(payload)) throw new Error(`${payload.length} bytes did not reach Python as they were`)
  const received = await snakepit.repeat(unit, count)
  if (!payload.equals(received)) throw new Error(`${payload.length} bytes did not come back from Python as they were`)
}

/** Small copies are timed in a batch: one of them is shorter than reading the clock. */
const timeMemcpy = (micros: Float64Array, source: Buffer, target: Buffer): void => {
  const batch = Math.max(1, Math.floor(MEMCPY_BATCH_BYTES / source.length))
  for (let i = 0; i < micros.length; i++) {
    const start = performance.now()
    for (let copy = 0; copy < batch; copy++) source.copy(target)
    micros[i] = ((performance.now() - start) * 1000) / batch
  }
}
