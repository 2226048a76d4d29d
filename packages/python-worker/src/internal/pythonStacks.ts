/**
 * Python stacks out of what `faulthandler` prints to stderr: when a fatal signal ends the process, and when it is asked by
 * SIGUSR2, which works while native code holds the interpreter lock.
 *
 * ```
 * Current thread 0x00007f3c2a7fe740 (most recent call first):
 *   File "/app/model.py", line 12 in predict
 *   File "/app/main.py", line 3 in <module>
 * ```
 */
import type { SnakepitError } from "@snakepit/core"

type Frame = SnakepitError.PythonThread["frames"][number]

interface Thread {
  readonly id: string
  readonly current: boolean
  /** Innermost first, as they are printed. */
  readonly frames: Array<Frame>
}

// Python 3.14 puts the thread's name behind its number
const header = /^(Current thread|Thread) (0x[0-9a-f]+)(?: \[.*\])? \(most recent call first\):$/
const frameLine = /^ {2}File "(.*)", line (\d+|\?\?\?) in (.*)$/
/** `  ...` where frames were cut off, `  <no Python frame>`, `  Garbage-collecting`. */
const remark = /^ {2}(?:\.\.\.|<.*>|Garbage-collecting)$/

/** Reads stderr line by line, and keeps the last dump in it. */
export class StackReader {
  private dump: Array<Thread> = []
  private thread: Thread | undefined

  /** Takes a line; answers whether it was part of a dump. */
  take(line: string): boolean {
    const [, kind, id] = header.exec(line) ?? []
    if (id !== undefined) {
      // a thread occurs once in a dump
      if (this.dump.some((thread) => thread.id === id)) this.dump = []
      this.thread = { id, current: kind === "Current thread", frames: [] }
      this.dump.push(this.thread)
      return true
    }
    if (this.thread === undefined) return false
    const [, file, number, name] = frameLine.exec(line) ?? []
    if (file !== undefined && name !== undefined) {
      this.thread.frames.push({ file, line: Number(number) || 0, function: name })
      return true
    }
    if (line === "" || remark.test(line)) return true
    this.thread = undefined
    return false
  }

  /** The threads of the last dump that ran other code than the worker's own, the current one first, frames outermost first. */
  get threads(): ReadonlyArray<SnakepitError.PythonThread> {
    return this.dump
      .map(({ current, frames }) => ({ current, frames: beyondWorker(frames.toReversed()) }))
      .filter(({ frames }) => frames.length > 0)
      .sort((a, b) => Number(b.current) - Number(a.current))
  }
}

/** What the worker's frames, and those that lead to them, called. */
const beyondWorker = (frames: ReadonlyArray<Frame>): Array<Frame> => {
  let at = frames.findIndex(isWorker)
  if (at < 0) return [...frames]
  while (isWorker(frames[at])) at++
  return frames.slice(at)
}

const isWorker = (frame: Frame | undefined): boolean => frame?.file.includes("/snakepit_worker/") === true
