/** Reads `/proc/meminfo`. */

/** Bytes, or `null` where the text does not say. */
export interface Memory {
  readonly totalBytes: number | null
  readonly availableBytes: number | null
}

export const parseMemory = (text: string): Memory => {
  const field = (name: string): number | null => {
    const kibibytes = new RegExp(`^${name}:\\s+(\\d{1,12}) kB$`, "m").exec(text)?.[1]
    return kibibytes === undefined ? null : Number(kibibytes) * 1024
  }
  // kernels before 3.14 do not say what is available
  return { totalBytes: field("MemTotal"), availableBytes: field("MemAvailable") ?? field("MemFree") }
}
