/**
 * What kind of accelerator packages have to be chosen for, from a few small files: every start asks, so no program is run.
 * Which devices there are, and what they can do, is the subject of `@snakepit/hardware`.
 */
import * as fs from "node:fs"
import * as path from "node:path"

/**
 * Like `cuda driver 580.65.06`, `rocm 6.4.1`, `mps` or `cpu`.
 *
 * @internal
 */
export const accelerator = (root = "/", platform: string = process.platform, processor: string = process.arch) => {
  const nvidia = nvidiaDriver(read(root, "proc/driver/nvidia/version")) ?? read(root, "sys/module/nvidia/version")
  if (nvidia !== undefined) return `cuda driver ${nvidia}`
  if (fs.existsSync(path.join(root, "dev/kfd"))) return `rocm ${read(root, "opt/rocm/.info/version") ?? "unknown"}`
  return platform === "darwin" && processor === "arm64" ? "mps" : "cpu"
}

/** The closed module says `Kernel Module  535.104.05`, the open one `Open Kernel Module for x86_64  570.86.15`. */
const nvidiaDriver = (text: string | undefined): string | undefined =>
  /Kernel Module(?: for \S+)?\s+(\d[\d.]*)/.exec(text ?? "")?.[1]

const read = (root: string, file: string): string | undefined => {
  try {
    return fs.readFileSync(path.join(root, file), "utf8").trim()
  } catch {
    return undefined
  }
}
