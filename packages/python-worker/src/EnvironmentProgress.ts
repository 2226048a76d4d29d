/**
 * What the making of an environment is busy with, as events for whoever wants to show them.
 *
 * The Effects of `Environment.ts` print nothing: they send their events to the {@link EnvironmentProgress} of their context,
 * which ignores them unless another is provided. {@link terminal} shows them to a person: one live line with a bar on a
 * terminal, plain lines elsewhere, as in CI.
 */
import * as Context from "effect/Context"

/** What happens, in order: steps with packages in them, then one end. */
export type ProgressEvent =
  /** A new step, like `Install Python packages with uv`. */
  | { readonly _tag: "Step"; readonly text: string }
  /** A package is being worked on. `done` of `total` packages are finished, as far as that is known. */
  | {
      readonly _tag: "Package"
      readonly name: string
      readonly activity: "downloading" | "building" | "installing"
      /** As the installer puts it, like `16.1MiB`. */
      readonly size?: string | undefined
      readonly done?: number | undefined
      readonly total?: number | undefined
    }
  /** Another process is making the same; this one waits for it. */
  | { readonly _tag: "Waiting"; readonly pid: number }
  /** Something that a person should know, like a fallback. */
  | { readonly _tag: "Note"; readonly text: string }
  /** The work has ended. `text` says with what when it has succeeded. */
  | { readonly _tag: "End"; readonly text: string | undefined }

/** Takes the events, one at a time, and does not throw. */
export type Emit = (event: ProgressEvent) => void

/** Where events go. Nobody listens by default. */
export const EnvironmentProgress: Context.Reference<Emit> = Context.Reference<Emit>(
  "@snakepit/python-worker/EnvironmentProgress",
  { defaultValue: () => () => {} }
)

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

/**
 * Shows the events on a terminal, or as plain lines with a sign of life every ten seconds where there is none, or one that nobody
 * sits at: in CI, and where `TERM` is `dumb`.
 */
export const terminal = (output: Terminal = process.stderr): Emit => {
  const show = output.isTTY === true && !isLog() ? live(output) : plain(output)
  // two pools of one program that want the same environment: the one that makes it tells of it
  return (event) => (event._tag === "Waiting" && event.pid === process.pid ? undefined : show(event))
}

/** Whether what is written is kept as it comes, whatever it is written to. */
const isLog = (): boolean => process.env["TERM"] === "dumb" || !["", "0", "false"].includes(process.env["CI"] ?? "")

/** What an event says of the moment: shown behind the step until the next one. */
const detailOf = (event: ProgressEvent): string => {
  if (event._tag === "Waiting") return `waiting for process ${event.pid}, which is making the same`
  if (event._tag !== "Package") return ""
  const { activity, name, size } = event
  return `${activity} ${name}${size === undefined ? "" : ` (${size})`}`
}

const live = (output: Terminal): Emit => {
  let started = 0
  let step = ""
  let detail = ""
  let bar = ""
  let frame = 0
  let timer: NodeJS.Timeout | undefined
  const draw = () => {
    frame = (frame + 1) % FRAMES.length
    // a package with its size and the bar leave no room for the step on an ordinary terminal
    const parts = detail === "" ? [step] : [bar, detail]
    const line = [FRAMES[frame], ...parts, elapsed(started)].filter((part) => part !== "").join("  ")
    output.write(`${CLEAR_LINE}${line.slice(0, width(output))}`)
  }
  return (event) => {
    if (event._tag === "Note") {
      output.write(`${CLEAR_LINE}${event.text}\n`)
      return
    }
    if (event._tag === "End") {
      clearInterval(timer)
      if (timer !== undefined) output.write(CLEAR_LINE)
      if (event.text !== undefined) output.write(`${event.text} (${elapsed(started)})\n`)
      timer = undefined
      step = ""
      return
    }
    if (timer === undefined) {
      started = Date.now()
      // a program that is over does not stay for a line that moves
      timer = setInterval(draw, LIVE_MILLIS).unref()
    }
    if (event._tag === "Step") {
      step = event.text
      bar = ""
    }
    if (event._tag === "Package" && event.total !== undefined) bar = drawBar(event.done ?? 0, event.total)
    detail = detailOf(event)
    draw()
  }
}

const plain = (output: Terminal): Emit => {
  let started = 0
  let step = ""
  let detail = ""
  let timer: NodeJS.Timeout | undefined
  const sign = () => {
    const rest = detail === "" ? "" : `, ${detail}`
    output.write(`  still at it: ${step}${rest} (${elapsed(started)})\n`)
  }
  return (event) => {
    if (event._tag === "Note") {
      output.write(`${event.text}\n`)
      return
    }
    if (event._tag === "End") {
      clearInterval(timer)
      timer = undefined
      if (event.text !== undefined) output.write(`${event.text} (${elapsed(started)})\n`)
      return
    }
    if (timer === undefined) {
      started = Date.now()
      timer = setInterval(sign, PLAIN_MILLIS).unref()
    }
    if (event._tag === "Step") {
      step = event.text
      output.write(`${step} ...\n`)
    }
    detail = detailOf(event)
    if (event._tag === "Waiting") {
      step = "Wait"
      output.write(`W${detail.slice(1)}\n`)
    }
    if (event._tag === "Package") {
      if (event.total !== undefined) detail += ` ${event.done ?? 0}/${event.total}`
      // downloads are what takes long: each is worth its line in a log
      if (event.size !== undefined) output.write(`  ${detail}\n`)
    }
  }
}

/** A full line would wrap and could not be cleared. Some terminals say that they have no columns. */
const width = ({ columns }: Terminal): number => (columns === undefined || columns < 2 ? 80 : columns) - 1

const drawBar = (done: number, total: number): string => {
  const filled = total === 0 ? 0 : Math.round((BAR_WIDTH * Math.min(done, total)) / total)
  return `${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)} ${done}/${total}`
}

const elapsed = (started: number): string => `${Math.round((Date.now() - started) / 1_000)} s`
