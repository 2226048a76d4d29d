/**
 * Where TypeScript code made a call. The place is noted when the call is described, since the stack is gone when a reply comes;
 * V8 keeps a few frames and makes text of them, through source maps, only when somebody reads it.
 *
 * Noting costs two to four microseconds, among other work up to fifteen, which nobody wants to pay for calls that succeed by
 * the ten thousand. So it is on a budget: a program that makes fewer calls than `perMilli` on average has all of them noted, a
 * busy loop loses three per cent of its time to it at most, and an error of a call that was not noted says so.
 */

/** A noted place. */
export interface CallSite {
  /** Formatted when it is read. Absent when the budget was used up. */
  readonly stack?: string
}

/** More frames cost more, and those behind the first few are usually Effect's. */
const frames = 4

/** So many notes can be made at once, and so many more with each millisecond. */
const burst = 128
const perMilli = 2

let left = burst
let emptyAt = 0

/** Notes who called `boundary`. */
export const noteCallSite = (boundary: (...args: never) => unknown): CallSite => {
  if (left === 0) {
    const now = performance.now()
    left = Math.min(burst, Math.floor((now - emptyAt) * perMilli))
    if (left === 0) return notNoted
    emptyAt = now
  }
  // the time counts from the last note that was covered
  if (--left === 0) emptyAt = performance.now()
  const site: CallSite = {}
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = Math.min(limit, frames)
  Error.captureStackTrace(site, boundary)
  Error.stackTraceLimit = limit
  return site
}

const notNoted: CallSite = {}

/** The lines `at ...` of the caller's own code: those before Effect's machinery and Node's. */
export const callSiteLines = (site: CallSite | undefined): ReadonlyArray<string> => {
  if (site === notNoted) return [`    at <not noted: more than ${perMilli * 1000} calls per second>`]
  const lines = (site?.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line))
  const end = lines.findIndex((line) => /Generator\.next|~effect|[\\/]node_modules[\\/]effect[\\/]|\(?node:/.test(line))
  return end < 0 ? lines : lines.slice(0, end)
}
