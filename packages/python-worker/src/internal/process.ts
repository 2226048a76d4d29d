/** A worker's process as its client sees it, however it came to be. */
import type { Worker } from "@snakepit/core"
import type { SnakepitError } from "@snakepit/core"
import type { Channels } from "./channel.ts"
import type { Tail } from "./stdio.ts"

/** What a worker is told when it starts; one JSON line, or a part of one, with the `socket` that it listens on. */
export interface Boot {
  readonly token: string
  readonly worker: string
  readonly profile: "process" | "thread"
  readonly threads: number
  readonly max_frame_bytes: number
  readonly allow_private: boolean
  readonly memory_limit_bytes: number | null
  /** Variables of this worker alone: which devices it sees. */
  readonly environment: Readonly<Record<string, string>>
  readonly python_path: ReadonlyArray<string>
  readonly start_timeout_seconds: number
  readonly errors: {
    readonly max_frames: number
    readonly max_message: number
    readonly redact_paths: boolean
    readonly generate_repro: string | null
  }
  /** The classes of libraries whose attributes are read. */
  readonly library_errors: ReadonlyArray<{
    readonly types: ReadonlyArray<string>
    readonly library: string | null
    readonly attributes: ReadonlyArray<string>
  }>
  /** Shared memory: what the names of segments begin with, where it is used from how many bytes on. */
  readonly shared: {
    readonly prefixes: ReadonlyArray<string>
    readonly threshold_bytes: number
    readonly strict: boolean
  } | null
}

/** A live process. */
export interface WorkerProcess {
  readonly pid: number
  /** The last lines it wrote to stderr. */
  readonly stderr: Tail
  /** Signals its whole process group; does nothing once it has ended. */
  readonly kill: (signal: NodeJS.Signals) => void
  /** Its end, once what it had printed has been read. */
  readonly ended: Promise<Worker.WorkerEnd>
}

/** A live process, and the connections to it. */
export interface Launched {
  readonly process: WorkerProcess
  readonly channels: Channels
}

/** Connects to a worker that listens on a socket, and says hello. */
export type Greet = (socket: string) => Channels

/** Takes what a worker prints. */
export type OnLine = (stream: "stdout" | "stderr", line: string) => void

/** Signals a process group; a group that is gone is none of our business. */
export const killGroup = (pid: number | undefined, signal: NodeJS.Signals): void => {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch {
    // no process of the group is left
  }
}

/** The class of an end, from what the kernel says of it. */
export const classify = (exitCode: number | null, signal: string | null): SnakepitError.CrashClass | undefined => {
  if (exitCode === 0) return undefined
  if (signal === "SIGSEGV" || signal === "SIGBUS" || exitCode === 139) return "segfault"
  if (signal === "SIGABRT" || exitCode === 134) return "abort"
  if (signal === "SIGFPE" || exitCode === 136) return "floating_point"
  if (signal === "SIGKILL" || exitCode === 137) return "killed"
  return "exit"
}
