/**
 * What arrays cost, by size, direction and path, and what of it is not copying: each round has its own tiny calls and its
 * own memcpy of the same bytes.
 *
 * Paths to Python: `inline` (inside the message), `copied` (an ordinary typed array, copied into shared memory once),
 * `leased` (a tensor that is there already). From Python: `inline`; `owned` (an ordinary call: copied into shared memory
 * by Python, and out of it for the caller to keep), `copied` (inside `ZeroCopy.scoped`: copied by Python once), `leased`
 * (the same, of an array that was made in shared memory).
 */
import { crc32 } from "node:zlib"
import { fileURLToPath } from "node:url"
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { type SharedMemory, Tensor, ZeroCopy } from "@snakepit/zero-copy"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { type Run, wholeNumber } from "./bench.ts"
import { separate } from "./cores.ts"
import { interpreter } from "./interpreter.ts"
import { interleave, median, ratios, rounded, Times } from "./rounds.ts"
import { grouped, printTable } from "./table.ts"

const KIB = 1024
const MIB = 1024 * KIB
const SIZES = [KIB, 4 * KIB, 16 * KIB, 32 * KIB, 64 * KIB, 256 * KIB, MIB, 10 * MIB, 100 * MIB, 1024 * MIB]

/** The message would not fit into a frame, and it is slow enough below. */
const LARGEST_INLINE = 256 * MIB

/** Small payloads are repeated within a round until about this many bytes have crossed. */
const BYTES_PER_ROUND = 64 * MIB
const MOST_CALLS_PER_ROUND = 100
const TINY_CALLS = 200
const WARM_CALLS = 10
const MEMCPY_BATCH_BYTES = 256 * KIB

type Path = "inline" | "owned" | "copied" | "leased"
type Direction = "to_python" | "from_python"

interface Row {
  readonly bytes: number
  readonly direction: Direction
  readonly path: Path
  readonly p50_us: number
  readonly mb_per_s: number
  /** Time to that of copying the same bytes once. */
  readonly ratio_to_memcpy: number
  /** Time beyond that of a tiny call, and its ratio to copying the bytes once. */
  readonly over_tiny_us: number
  readonly over_tiny_to_memcpy: number
  /** Time to that of one such copy followed by one tiny call. */
  readonly ratio_to_memcpy_and_tiny: number
}

export const run: Run = async (flags) => {
  const rounds = wholeNumber(flags, "rounds", 7)
  const largest = wholeNumber(flags, "max-mib", 100) * MIB
  const pool = {
    size: 1,
    python: interpreter(),
    pythonPath: [fileURLToPath(new URL(".", import.meta.url))],
    maxFrameBytes: 2 ** 31
  }
  const runtime = ManagedRuntime.make(
    SnakepitNode.layer({
      pools: {
        // from the first byte on, so that the paths can be compared at every size: that is how the threshold is found
        default: { ...pool, zeroCopy: { thresholdBytes: 1, maxSharedMemory: 12 * 1024 * MIB } },
        inline: { ...pool, zeroCopy: { enabled: false } }
      }
    })
  )
  try {
    await runtime.runPromise(
      Effect.all([checksum(new Float64Array(1), "default"), checksum(new Float64Array(1), "inline")])
    )
    separate()
    const tinyAll: Array<number> = []
    const results: Array<Row> = []
    for (const bytes of SIZES.filter((size) => size <= largest)) {
      results.push(...(await measureSize(runtime, bytes, rounds, tinyAll)))
    }
    const tiny = median(tinyAll)
    console.log(`tiny call p50 ${tiny.toFixed(1)} us`)
    printTable(
      ["bytes", "direction", "path", "p50 us", "MB/s", "to memcpy", "over tiny us", "that to memcpy", "to memcpy+tiny"],
      results.map((row) => [
        grouped(row.bytes),
        row.direction,
        row.path,
        row.p50_us.toFixed(1),
        grouped(row.mb_per_s),
        row.ratio_to_memcpy.toFixed(2),
        row.over_tiny_us.toFixed(1),
        row.over_tiny_to_memcpy.toFixed(2),
        row.ratio_to_memcpy_and_tiny.toFixed(2)
      ])
    )
    return { tiny_p50_us: rounded(tiny), results }
  } finally {
    await runtime.dispose()
  }
}

type Runtime = ManagedRuntime.ManagedRuntime<Snakepit.Snakepit | SharedMemory.SharedMemory, unknown>

const checksum = (array: unknown, pool: string) =>
  Snakepit.call("arrays.checksum", { args: [array], pool, success: Schema.Number })
const sizeOf = (array: unknown, pool: string) =>
  Snakepit.call("arrays.size", { args: [array], pool, success: Schema.Number })
const floats = Tensor.schema(Float64Array)

const tinyCall = Snakepit.call("math.sqrt", { args: [4], success: Schema.Number })

const held = (pool: string) => Snakepit.call("arrays.held", { args: ["it"], pool, success: floats })
const madeInPlace = ZeroCopy.scoped(Snakepit.call("arrays.made_in_place", { args: ["it"], success: floats }))

const measureSize = async (
  runtime: Runtime,
  bytes: number,
  rounds: number,
  tinyAll: Array<number>
): Promise<ReadonlyArray<Row>> => {
  const payload = Float64Array.from({ length: bytes / 8 }, (_, i) => i * 1.5)
  const isInline = bytes <= LARGEST_INLINE
  await runtime.runPromise(checkContent(payload, isInline))

  const calls = Math.min(MOST_CALLS_PER_ROUND, Math.max(1, Math.floor(BYTES_PER_ROUND / bytes)))
  const times = new Map<string, Times>()
  const turn = (name: string, count: number, once: Effect.Effect<number, unknown, Services>, expected: number) => {
    const own = new Times()
    times.set(name, own)
    return () =>
      own.round(count, (micros) =>
        runtime.runPromise(
          Effect.gen(function* () {
            // the turn before has left its own data in the caches
            for (let i = 0; i < Math.min(count, WARM_CALLS); i++) yield* once
            for (let i = 0; i < count; i++) {
              const start = performance.now()
              const answer = yield* once
              micros[i] = (performance.now() - start) * 1000
              if (answer !== expected) throw new Error(`${name}: expected ${expected}, got ${answer}`)
            }
          })
        )
      )
  }
  const length = <R>(result: Effect.Effect<Tensor, unknown, R>) => Effect.map(result, (tensor) => tensor.size)
  const target = new Float64Array(payload.length)
  const memcpy = new Times()
  const copyOnce = Effect.sync(() => target.set(payload))
  await runtime.runPromise(
    Effect.scoped(
      Effect.gen(function* () {
        const leased = yield* Tensor.from(payload)
        yield* Effect.promise(() =>
          interleave(rounds, [
            () => memcpy.round(calls, async (micros) => timeMemcpy(micros, payload, target)),
            turn("tiny", TINY_CALLS, tinyCall, 2),
            ...(isInline ? [turn("to_python inline", calls, sizeOf(payload, "inline"), bytes)] : []),
            turn("to_python copied", calls, sizeOf(payload, "default"), bytes),
            turn("to_python leased", MOST_CALLS_PER_ROUND, sizeOf(leased, "default"), bytes),
            // what the hardware makes of a copy followed by a call: the worker's core has gone to sleep by then
            turn("memcpy and tiny", calls, Effect.andThen(copyOnce, tinyCall), 2),
            ...(isInline ? [turn("from_python inline", calls, length(held("inline")), payload.length)] : []),
            turn("from_python owned", calls, length(held("default")), payload.length),
            turn("from_python copied", calls, Effect.scoped(length(ZeroCopy.scoped(held("default")))), payload.length),
            turn("from_python leased", MOST_CALLS_PER_ROUND, Effect.scoped(length(madeInPlace)), payload.length)
          ])
        )
      })
    )
  )
  const tiny = times.get("tiny")?.medians() ?? []
  tinyAll.push(...tiny)
  const copies = memcpy.medians()
  const floor = times.get("memcpy and tiny")?.medians() ?? []
  return [...times].flatMap(([name, own]): Array<Row> => {
    if (name === "tiny" || name === "memcpy and tiny") return []
    // the names are those above
    const [direction, path] = name.split(" ") as [Direction, Path]
    const p50 = own.percentile(0.5)
    const beyond = own.medians().map((micros, round) => micros - (tiny[round] ?? Number.NaN))
    return [
      {
        bytes,
        direction,
        path,
        p50_us: rounded(p50),
        mb_per_s: rounded(bytes / p50, 0),
        ratio_to_memcpy: rounded(median(ratios(own.medians(), copies)), 2),
        over_tiny_us: rounded(median(beyond)),
        over_tiny_to_memcpy: rounded(median(ratios(beyond, copies)), 2),
        ratio_to_memcpy_and_tiny: rounded(median(ratios(own.medians(), floor)), 2)
      }
    ]
  })
}

type Services = Snakepit.Snakepit | SharedMemory.SharedMemory

/** Once per size, outside the clock: every byte arrives as it was, on every path. The timed calls check lengths only. */
const checkContent = (payload: Float64Array, isInline: boolean) =>
  Effect.gen(function* () {
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    const expected = crc32(bytes)
    const check = (path: string, actual: number) => {
      if (actual !== expected) throw new Error(`${payload.byteLength} bytes did not arrive as they were: ${path}`)
    }
    const leased = yield* Tensor.from(payload)
    check("to_python copied", yield* checksum(payload, "default"))
    check("to_python leased", yield* checksum(leased, "default"))
    yield* Snakepit.call("arrays.hold", { args: [leased] })
    check("from_python owned", crc32((yield* held("default")).bytes))
    check("from_python copied", crc32((yield* ZeroCopy.scoped(held("default"))).bytes))
    const filled = ZeroCopy.scoped(Snakepit.call("arrays.filled_in_place", { args: ["it"], success: floats }))
    check("from_python leased", crc32((yield* filled).bytes))
    if (!isInline) return
    check("to_python inline", yield* checksum(payload, "inline"))
    yield* Snakepit.call("arrays.hold", { args: [payload], pool: "inline" })
    check("from_python inline", crc32((yield* held("inline")).bytes))
  }).pipe(Effect.scoped)

/** Small copies are timed in a batch: one of them is shorter than reading the clock. */
const timeMemcpy = (micros: Float64Array, source: Float64Array, target: Float64Array): void => {
  const batch = Math.max(1, Math.floor(MEMCPY_BATCH_BYTES / source.byteLength))
  for (let i = 0; i < micros.length; i++) {
    const start = performance.now()
    for (let copy = 0; copy < batch; copy++) target.set(source)
    micros[i] = ((performance.now() - start) * 1000) / batch
  }
}
