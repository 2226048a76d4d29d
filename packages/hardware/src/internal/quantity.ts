/** Numbers as tools print them: `24564 MiB`, `[N/A]`, `ERR!`, `35.0`. What is no number is `null`. */

const units: Readonly<Record<string, number>> = {
  B: 1,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
  TIB: 1024 ** 4,
  KB: 1024,
  MB: 1024 ** 2,
  GB: 1024 ** 3,
  TB: 1024 ** 4
}

/** A finite number at the start of the text, whatever unit comes after it. */
export const number = (text: unknown): number | null => {
  if (typeof text === "number") return Number.isFinite(text) ? text : null
  if (typeof text !== "string") return null
  const value = /^\s*(-?\d+(?:\.\d+)?)(?![\d.,])/.exec(text)?.[1]
  return value === undefined || !Number.isFinite(Number(value)) ? null : Number(value)
}

/** A whole number that is not negative. */
export const count = (text: unknown): number | null => {
  const value = number(text)
  return value !== null && Number.isSafeInteger(value) && value >= 0 ? value : null
}

/** Bytes. Tools mean powers of 1024 whichever way they write the unit; without a unit `fallback` holds, in bytes. */
export const bytes = (text: unknown, fallback = 1): number | null => {
  const value = number(text)
  if (value === null || value < 0) return null
  const unit = typeof text === "string" ? /^\s*[\d.]+\s*([A-Za-z]+)/.exec(text)?.[1]?.toUpperCase() : undefined
  const factor = unit === undefined ? fallback : units[unit]
  const size = factor === undefined ? Number.NaN : Math.round(value * factor)
  return Number.isSafeInteger(size) ? size : null
}

/** The text, unless it is one of the ways in which tools say that they do not know. */
export const word = (text: unknown): string | null => {
  if (typeof text !== "string") return null
  const trimmed = text.trim()
  return trimmed === "" ||
    /^\[?(?:n\/a|not supported|unknown error|unknown|none|err!|gpu is lost|insufficient permissions|requested functionality has been deprecated)\]?$/i.test(
      trimmed
    )
    ? null
    : trimmed
}
