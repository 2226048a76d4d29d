/** A value as errors tell it. */
export const show = (value: unknown): string => {
  try {
    // JSON has no form for these numbers, and says null
    const isPlain = typeof value !== "number" || Number.isFinite(value)
    return `${(isPlain ? JSON.stringify(value) : undefined) ?? String(value)} (${typeof value})`
  } catch {
    return `a ${typeof value}`
  }
}
