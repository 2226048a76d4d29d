/** What the demo shows: titles, lines, a progress bar and a table. Without a terminal no control codes are written. */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"

const CLEAR_LINE = "\r\u001b[2K"
const BAR_WIDTH = 20

const write = (text: string): Effect.Effect<void> => Effect.sync(() => void process.stdout.write(text))

/** A headline. */
export const title = (text: string): Effect.Effect<void> => write(`\n${text}\n`)

/** A line below a headline. */
export const line = (text: string): Effect.Effect<void> => write(`  ${text}\n`)

/** Shows what Snakepit logs, the end of a worker for example, as lines of its own. */
export const logs: Layer.Layer<never> = Logger.layer([
  Logger.make(({ message }) => process.stdout.write(`  logged: ${String(message)}\n`))
])

/** A bar of `total` steps: one live line on a terminal, elsewhere a line at each quarter of the way. */
export const progressBar = (name: string, total: number) => ({
  advance: (done: number, detail: string): Effect.Effect<void> => {
    const filled = Math.round((BAR_WIDTH * done) / total)
    const bar = `  ${name}  ${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)}  ${done}/${total}  ${detail}`
    if (process.stdout.isTTY) return write(`${CLEAR_LINE}${bar}${done === total ? "\n" : ""}`)
    return done === 1 || done % Math.ceil(total / 4) === 0 || done === total ? write(`${bar}\n`) : Effect.void
  }
})

/** Rows of cells, the first row being their headings. The first column is text, the others are figures. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): Effect.Effect<void> => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const format = (row: ReadonlyArray<string>) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ")
  return Effect.forEach(rows, (row) => line(format(row)), { discard: true })
}
