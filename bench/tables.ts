/**
 * What a pyarrow table costs, by rows and path, beside a memcpy of its bytes. From Python: `inline` (inside the message),
 * `owned` (an ordinary call: Python writes it into shared memory, and it is copied out for the caller to keep), `opened`
 * (inside `ZeroCopy.scoped`: read in place). To Python: `inline`; `written` (into shared memory, once), `leased` (it is there
 * already). Each time is of one call and of what the call is for: the sum of a column, on the other side.
 */
import { fileURLToPath } from "node:url"
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { Table, ZeroCopy } from "@snakepit/zero-copy"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type Run, wholeNumber } from "./bench.ts"
import { interpreter } from "./interpreter.ts"
import { interleave, median, ratios, rounded, Times } from "./rounds.ts"
import { grouped, printTable } from "./table.ts"

const Held = Table.schema({ whole: "int64", half: "float64" })
type Held = typeof Held.Type

/** The largest that fits into a frame as the bench sets it. */
const LARGEST_INLINE = 10_000_000

interface Row {
  readonly rows: number
  readonly bytes: number
  readonly direction: "to_python" | "from_python"
  readonly path: "inline" | "owned" | "opened" | "written" | "leased"
  readonly p50_ms: number
  /** Without the sum, where that is in TypeScript. */
  readonly open_p50_ms: number | null
  readonly ratio_to_memcpy: number
}

export const run: Run = async (flags) => {
  const rounds = wholeNumber(flags, "rounds", 7)
  const largest = wholeNumber(flags, "max-rows", 10_000_000)
  const pool = { size: 1, python: interpreter(), pythonPath: [fileURLToPath(new URL(".", import.meta.url))] }
  const maxFrameBytes = 2 ** 31
  const runtime = ManagedRuntime.make(
    SnakepitNode.layer({
      pools: { default: pool, inline: { ...pool, maxFrameBytes, zeroCopy: { enabled: false } } }
    })
  )
  try {
    const results: Array<Row> = []
    for (const rows of [10_000, 1_000_000, 10_000_000].filter((count) => count <= largest)) {
      results.push(...(await runtime.runPromise(Effect.scoped(measure(rows, rounds)))))
    }
    printTable(
      ["rows", "bytes", "direction", "path", "p50 ms", "without sum", "to memcpy"],
      results.map((row) => [
        grouped(row.rows),
        grouped(row.bytes),
        row.direction,
        row.path,
        row.p50_ms.toFixed(2),
        row.open_p50_ms?.toFixed(2) ?? "",
        row.ratio_to_memcpy.toFixed(2)
      ])
    )
    return { results }
  } finally {
    await runtime.dispose()
  }
}

const hold = (rows: number, pool: string) =>
  Snakepit.call("frames.hold", { args: [rows], pool, success: Schema.Number })
const held = (rows: number, pool: string) => Snakepit.call("frames.held", { args: [rows], pool, success: Held })
const total = (table: Held, pool: string) =>
  Snakepit.call("frames.total", { args: [table], pool, success: Schema.Number })

const sum = (table: Held): number => {
  let found = 0
  for (const { values } of table.getChild("half")?.data ?? []) {
    // by index: an iterator takes several times as long
    for (let i = 0; i < values.length; i++) found += values[i] ?? 0
  }
  return found
}

const measure = (rows: number, rounds: number) =>
  Effect.gen(function* () {
    const bytes = yield* hold(rows, "default")
    yield* hold(rows, "inline")
    const expected = sum(yield* held(rows, "default"))
    const owned = yield* held(rows, "default")
    const leased = yield* ZeroCopy.scoped(held(rows, "default"))
    const source = Buffer.alloc(bytes, 1)
    const target = Buffer.alloc(bytes)
    const memcpy = new Times()
    const copy = (micros: Float64Array) => {
      const start = performance.now()
      source.copy(target)
      micros[0] = (performance.now() - start) * 1000
    }
    const context = yield* Effect.context<Snakepit.Snakepit>()
    const from = (path: Row["path"], table: Effect.Effect<Held, unknown, Services>) =>
      new Subject("from_python", path, (opened) =>
        Effect.map(table, (found) => {
          opened()
          return sum(found)
        })
      )
    const to = (path: Row["path"], table: Held, pool: string) =>
      new Subject("to_python", path, () => total(table, pool))
    const subjects = [
      from("owned", held(rows, "default")),
      from("opened", ZeroCopy.scoped(held(rows, "default"))),
      to("written", owned, "default"),
      to("leased", leased, "default"),
      ...(rows <= LARGEST_INLINE ? [from("inline", held(rows, "inline")), to("inline", owned, "inline")] : [])
    ]
    const turn = (subject: Subject) => () => Effect.runPromiseWith(context)(subject.round(expected))
    yield* Effect.promise(() =>
      interleave(rounds, [() => memcpy.round(1, async (micros) => copy(micros)), ...subjects.map(turn)])
    )
    return subjects.map(({ direction, open, path, whole }): Row => ({
      rows,
      bytes,
      direction,
      path,
      p50_ms: rounded(whole.percentile(0.5) / 1000, 2),
      open_p50_ms: direction === "to_python" ? null : rounded(open.percentile(0.5) / 1000, 2),
      ratio_to_memcpy: rounded(median(ratios(whole.medians(), memcpy.medians())), 2)
    }))
  })

type Services = Snakepit.Snakepit | Scope.Scope

/** One path in one direction, and its times. */
class Subject {
  readonly direction: Row["direction"]
  readonly path: Row["path"]
  readonly whole = new Times()
  /** Until the table is there. */
  readonly open = new Times()
  private readonly once: (opened: () => void) => Effect.Effect<number, unknown, Services>

  constructor(
    direction: Row["direction"],
    path: Row["path"],
    once: (opened: () => void) => Effect.Effect<number, unknown, Services>
  ) {
    this.direction = direction
    this.path = path
    this.once = once
  }

  /** Times one call. Dies when the sum is wrong. */
  round(expected: number): Effect.Effect<void, unknown, Snakepit.Snakepit> {
    return Effect.gen({ self: this }, function* () {
      const start = performance.now()
      let opened = start
      const found = yield* Effect.scoped(this.once(() => (opened = performance.now())))
      const end = performance.now()
      if (found !== expected) throw new Error(`${this.path}: expected the sum ${expected}, got ${found}`)
      this.whole.rounds.push(Float64Array.of((end - start) * 1000))
      this.open.rounds.push(Float64Array.of((opened - start) * 1000))
    })
  }
}
