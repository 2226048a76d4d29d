import { readFile } from "node:fs/promises"

/** Memory of one process, in mebibytes, as the kernel counts it. */
export interface ProcessMemory {
  /** Resident pages, shared ones included. */
  readonly rss: number
  /** Resident pages that no other process maps: what one more such process costs. */
  readonly private: number
}

/** Reads `/proc/PID/smaps_rollup`, so it works on Linux only. */
export const processMemory = async (pid: number): Promise<ProcessMemory> => {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8")
  const field = (name: string): number => {
    const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]
    if (kibibytes === undefined) throw new Error(`/proc/${pid}/smaps_rollup has no field ${name}`)
    return Number(kibibytes) / 1024
  }
  return { rss: field("Rss"), private: field("Private_Clean") + field("Private_Dirty") }
}
