/**
 * The machine that detectors look at: its commands, its files, its environment. Tests give them a machine made of captured
 * texts, with {@link layerTest}.
 */
import { execFile } from "node:child_process"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** How a command ended. */
export type CommandOutcome =
  | { readonly _tag: "Ended"; readonly exitCode: number; readonly stdout: string; readonly stderr: string }
  | { readonly _tag: "NotFound" }
  | { readonly _tag: "TimedOut" }

/** One machine. */
export class Machine extends Context.Service<
  Machine,
  {
    /** As in `process.platform`. */
    readonly platform: string
    /** As in `process.arch`. */
    readonly architecture: string
    /** Hardware threads, as far as the runtime knows. */
    readonly logicalCores: number
    /** Bytes of memory, as far as the runtime knows. */
    readonly memoryBytes: number
    readonly environment: Readonly<Record<string, string | undefined>>
    /** Runs a program in the C locale, and ends it when it takes too long. */
    readonly run: (command: string, args: ReadonlyArray<string>) => Effect.Effect<CommandOutcome>
    /** A file's text; `undefined` when it cannot be read, for whatever reason. */
    readonly read: (path: string) => Effect.Effect<string | undefined>
  }
>()("@snakepit/hardware/Machine") {}

/** More than `nvidia-smi` prints for 16 GPUs with hundreds of processes. */
const maxOutputBytes = 16 * 1024 * 1024

/** How a machine's commands are run. */
export interface Options {
  /**
   * How long a command may take. Where no process keeps the driver loaded, `nvidia-smi` takes seconds for each GPU. Defaults to 20
   * seconds.
   */
  readonly timeout?: Duration.Input | undefined
}

/** This machine. */
export const layerWith = (options: Options): Layer.Layer<Machine> =>
  Layer.sync(Machine, () => ({
    platform: process.platform,
    architecture: process.arch,
    logicalCores: os.cpus().length || os.availableParallelism(),
    memoryBytes: os.totalmem(),
    environment: process.env,
    run: (command, args) =>
      Effect.callback<CommandOutcome>((resume) => {
        const child = execFile(
          command,
          args,
          {
            timeout: Duration.toMillis(Duration.fromInputUnsafe(options.timeout ?? "20 seconds")),
            killSignal: "SIGKILL",
            maxBuffer: maxOutputBytes,
            // numbers and messages are read, so they must not be translated
            env: { ...process.env, LC_ALL: "C", LANGUAGE: "" }
          },
          (error, stdout, stderr) => {
            if (error === null) return resume(Effect.succeed({ _tag: "Ended", exitCode: 0, stdout, stderr }))
            if (typeof error.code === "number") {
              return resume(Effect.succeed({ _tag: "Ended", exitCode: error.code, stdout, stderr }))
            }
            resume(Effect.succeed({ _tag: error.killed === true ? "TimedOut" : "NotFound" }))
          }
        )
        return Effect.sync(() => child.kill("SIGKILL"))
      }),
    read: (path) =>
      Effect.promise(() =>
        fs.readFile(path, "utf8").then(
          (text) => text,
          () => undefined
        )
      )
  }))

/** This machine, with default options. */
export const layer: Layer.Layer<Machine> = layerWith({})

/** What a machine for tests is made of. */
export interface TestMachine {
  /** Defaults to `linux`. */
  readonly platform?: string | undefined
  /** Defaults to `x64`. */
  readonly architecture?: string | undefined
  /** Defaults to 8. */
  readonly logicalCores?: number | undefined
  /** Defaults to 16 GiB. */
  readonly memoryBytes?: number | undefined
  readonly environment?: Readonly<Record<string, string>> | undefined
  /** Output by command line, like `nvidia-smi -q -x`; a text is an output with exit code 0. What is not here is not found. */
  readonly commands?: Readonly<Record<string, string | CommandOutcome>> | undefined
  /** Texts by path. */
  readonly files?: Readonly<Record<string, string>> | undefined
}

/** A machine made of captured texts. */
export const layerTest = (machine: TestMachine): Layer.Layer<Machine> =>
  Layer.succeed(Machine, {
    platform: machine.platform ?? "linux",
    architecture: machine.architecture ?? "x64",
    logicalCores: machine.logicalCores ?? 8,
    memoryBytes: machine.memoryBytes ?? 17_179_869_184,
    environment: machine.environment ?? {},
    run: (command, args) =>
      Effect.sync(() => {
        const output = machine.commands?.[[command, ...args].join(" ")]
        if (output === undefined) return { _tag: "NotFound" }
        return typeof output === "string" ? { _tag: "Ended", exitCode: 0, stdout: output, stderr: "" } : output
      }),
    read: (path) => Effect.sync(() => machine.files?.[path])
  })
