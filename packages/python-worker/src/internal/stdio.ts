/** What a worker prints: lines to the log, and the last of them kept for the error of a crash. */
import type { Readable } from "node:stream"
import { StackReader } from "./pythonStacks.ts"

/** How many stderr lines a `WorkerCrash` carries. */
const keptLines = 20

/** A line longer than this is cut into several: a worker that prints no newline must not fill the memory. */
const maxLine = 1 << 16

/** The last lines of a stream, oldest first, and the last Python stacks that were printed there. */
export class Tail {
  readonly stacks = new StackReader()
  private readonly lines: Array<string> = []

  add(line: string): void {
    if (this.stacks.take(line)) return
    this.lines.push(line)
    if (this.lines.length > keptLines) this.lines.shift()
  }

  get all(): ReadonlyArray<string> {
    return [...this.lines]
  }
}

/** Calls `onLine` for each line of the stream, without its end; a last line without newline too. */
export const readLines = (stream: Readable, onLine: (line: string) => void): void => {
  let rest = ""
  stream.setEncoding("utf8")
  stream.on("data", (text: string) => {
    const lines = (rest + text).split(/\r?\n/)
    rest = lines.pop() ?? ""
    for (const line of lines) onLine(line)
    while (rest.length > maxLine) {
      onLine(rest.slice(0, maxLine))
      rest = rest.slice(maxLine)
    }
  })
  stream.on("end", () => {
    if (rest !== "") onLine(rest)
    rest = ""
  })
  // a pipe that breaks has said all it will; the process's end is what counts
  stream.on("error", () => {})
}
