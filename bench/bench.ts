/** One bench as `main.ts` lists and runs it. */
export interface Bench {
  readonly summary: string
  /** The flags it takes besides `--json`. */
  readonly flags: Readonly<Record<string, Flag>>
  /** Loads the bench's file, which exports its `run`. */
  readonly load: () => Promise<{ readonly run: Run }>
}

/** Measures, prints a report for people, and answers the object that `--json` prints as its last line. */
export type Run = (flags: Flags) => Promise<object>

export interface Flag {
  readonly type: "boolean" | "string"
  readonly summary: string
}

/** Parsed flags, as `util.parseArgs` gives them. */
export type Flags = Readonly<Record<string, string | boolean | undefined>>

/** Reads a whole number above 0 from a flag. Throws, with the flag's name, when it is anything else. */
export const wholeNumber = (flags: Flags, name: string, fallback: number): number => {
  const text = flags[name]
  if (text === undefined) return fallback
  const value = Number(text)
  if (typeof text === "string" && Number.isSafeInteger(value) && value > 0) return value
  throw new UsageError(`--${name} expects a whole number above 0, got ${JSON.stringify(text)}`)
}

/** The command line is wrong; `main.ts` prints the message without a stack. */
export class UsageError extends Error {
  override readonly name = "UsageError"
}
