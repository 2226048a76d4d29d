/**
 * Shows an installation on stderr: one live line on a terminal, otherwise a plain line for each step and a sign of life
 * every ten seconds.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** @internal */
export interface InstallProgress {
  /** A new step, like `Install Python packages with pip`. */
  readonly step: (text: string) => void
  /** What the installer is busy with, like `scipy`, and how many of how many packages it has come to. */
  readonly busyWith: (what: string, count?: { readonly done: number; readonly total: number }) => void
  /** The last line, which stays. */
  readonly finish: (text: string) => void
}

/** What is written to, and how; `process.stderr` is one. */
export interface Terminal {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly write: (text: string) => unknown
}

const FRAMES = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"]
const BAR_WIDTH = 20
const LIVE_MILLIS = 100
const PLAIN_MILLIS = 10_000
const CLEAR_LINE = "\r\u001b[2K"

/** @internal */
export const silent: InstallProgress = { step: () => {}, busyWith: () => {}, finish: () => {} }

/** @internal */
export const make = (terminal: Terminal = process.stderr): Effect.Effect<InstallProgress, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => (terminal.isTTY === true ? live(terminal) : plain(terminal))),
      ({ stop }) => Effect.sync(stop)
    ),
    ({ progress }) => progress
  )

interface Running {
  readonly progress: InstallProgress
  readonly stop: () => void
}

const live = (terminal: Terminal): Running => {
  const started = Date.now()
  let step = ""
  let detail = ""
  let bar = ""
  let frame = 0
  const draw = () => {
    frame = (frame + 1) % FRAMES.length
    const line = [FRAMES[frame], step, bar, detail, elapsed(started)].filter((part) => part !== "").join("  ")
    terminal.write(`${CLEAR_LINE}${line.slice(0, width(terminal))}`)
  }
  const timer = setInterval(draw, LIVE_MILLIS)
  return {
    progress: {
      step: (text) => {
        step = text
        detail = ""
        bar = ""
        draw()
      },
      busyWith: (what, count) => {
        detail = what
        if (count !== undefined) bar = `${drawBar(count)} ${count.done}/${count.total}`
      },
      finish: (text) => terminal.write(`${CLEAR_LINE}${text} (${elapsed(started)})\n`)
    },
    stop: () => {
      clearInterval(timer)
      terminal.write(CLEAR_LINE)
    }
  }
}

const plain = (terminal: Terminal): Running => {
  const started = Date.now()
  let step = ""
  let detail = ""
  const timer = setInterval(() => {
    const what = detail === "" ? "" : `, ${detail}`
    terminal.write(`  still at it: ${step}${what} (${elapsed(started)})\n`)
  }, PLAIN_MILLIS)
  return {
    progress: {
      step: (text) => {
        step = text
        detail = ""
        terminal.write(`${text} ...\n`)
      },
      busyWith: (what, count) => {
        detail = count === undefined ? what : `${what} ${count.done}/${count.total}`
      },
      finish: (text) => terminal.write(`${text} (${elapsed(started)})\n`)
    },
    stop: () => clearInterval(timer)
  }
}

/** A full line would wrap and could not be cleared. Some terminals say that they have no columns. */
const width = ({ columns }: Terminal): number => (columns === undefined || columns < 2 ? 80 : columns) - 1

const drawBar = ({ done, total }: { readonly done: number; readonly total: number }): string => {
  const filled = total === 0 ? 0 : Math.round((BAR_WIDTH * Math.min(done, total)) / total)
  return "█".repeat(filled) + "░".repeat(BAR_WIDTH - filled)
}

const elapsed = (started: number): string => `${Math.round((Date.now() - started) / 1_000)} s`
