/**
 * Where TypeScript code made a call. The place is noted when the call is described, since the stack is gone when a reply comes;
 * V8 keeps a few frames and makes text of them, through source maps, only when somebody reads it.
 */

/** A noted place. Holders of other kinds of errors read `stack`, which formats it. */
export interface CallSite {
  readonly stack?: string
}

/** More frames cost more, and those behind the first few are usually Effect's. */
const frames = 4

/** Notes who called `boundary`. About a microsecond. */
export const noteCallSite = (boundary: (...args: never) => unknown): CallSite => {
  const site: CallSite = {}
  const limit = Error.stackTraceLimit
  if (limit === 0) return site
  Error.stackTraceLimit = frames
  Error.captureStackTrace(site, boundary)
  Error.stackTraceLimit = limit
  return site
}

/** The lines `at ...` of the caller's own code: those before Effect's machinery and Node's. */
export const callSiteLines = (site: CallSite | undefined): ReadonlyArray<string> => {
  const lines = (site?.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line))
  const end = lines.findIndex((line) => /Generator\.next|~effect|[\\/]node_modules[\\/]effect[\\/]|\(?node:/.test(line))
  return end < 0 ? lines : lines.slice(0, end)
}
