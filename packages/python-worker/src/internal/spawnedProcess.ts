/** Workers that are spawned: each a new interpreter that imports what it needs. Partner of `snakepit_worker/worker.py`. */
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import type { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Worker } from "@snakepit/core"
import type { Interpreter } from "./launch.ts"
import { type Boot, classify, killGroup, type OnLine, type WorkerProcess } from "./process.ts"
import { readLines, Tail } from "./stdio.ts"

interface Spawned {
  readonly child: ChildProcess
  readonly ended: Promise<Worker.WorkerEnd>
}

/** Starts an interpreter on `main` of a module of the worker package; the scope's end kills it and what it started. */
export const spawnPython = (
  { cwd, env, paths, python }: Interpreter,
  module: string,
  onLine: OnLine
): Effect.Effect<{ readonly process: WorkerProcess; readonly boot: Duplex }, string, Scope.Scope> =>
  Effect.gen(function* () {
    const { child, ended } = yield* Effect.acquireRelease(
      Effect.callback<Spawned, string>((resume) => {
        const failed = (error: unknown) => {
          // the system says of a missing folder what it says of a missing program
          const fault = cwd === undefined ? undefined : faultOfFolder(cwd)
          const where = fault === undefined ? "" : ` in ${cwd}, which ${fault}`
          const reason = error instanceof Error ? error.message : String(error)
          resume(Effect.fail(`${python} could not be started${where}: ${reason}`))
        }
        try {
          const started = spawn(python, ["-u", "-c", bootstrap(module), ...paths], {
            cwd,
            env,
            // the last is the lifeline: nothing is ever sent on it, and its end ends the process (`lifeline.py`)
            stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
            // a process group of its own, so that what the worker starts ends with it
            detached: true
          })
          started.once("error", failed)
          started.once("spawn", () => resume(Effect.succeed({ child: started, ended: watch(started) })))
        } catch (error) {
          failed(error) // Node emits the commonest failures, and throws the others
        }
      }),
      // a process that was sent SIGKILL is not gone yet; a closed scope leaves none behind
      (spawned) =>
        Effect.promise(() => {
          if (spawned.child.exitCode === null && spawned.child.signalCode === null) {
            killGroup(spawned.child.pid, "SIGKILL")
          }
          return spawned.ended
        })
    )
    const stderr = new Tail()
    if (child.stdout !== null) readLines(child.stdout, (line) => onLine("stdout", line))
    if (child.stderr !== null) {
      readLines(child.stderr, (line) => {
        stderr.add(line)
        onLine("stderr", line)
      })
    }
    child.stdio[4]?.on("error", () => {})
    const boot = child.stdio[3] as Duplex // asked for as a pipe above, which Node makes duplex
    boot.on("error", () => {}) // the process is ending; `ended` tells
    const pid = child.pid ?? 0 // set, since the process has spawned
    const kill = (signal: NodeJS.Signals) => {
      // once it has ended, the number may be another group's
      if (child.exitCode === null && child.signalCode === null) killGroup(pid, signal)
    }
    return {
      process: { pid, stderr, kill, ended },
      boot
    }
  })

const faultOfFolder = (folder: string): string | undefined => {
  const found = fs.statSync(folder, { throwIfNoEntry: false })
  return found === undefined ? "does not exist" : found.isDirectory() ? undefined : "is no folder"
}

/** What an interpreter runs that is to be a worker. */
export const workerModule = "snakepit_worker.worker"

/** What an interpreter runs that is to fork workers. */
export const forkServerModule = "snakepit_worker.fork_server"

/** Tells an interpreter which worker it is, and answers it once it listens. */
export const bootWorker = (
  spawned: { readonly process: WorkerProcess; readonly boot: Duplex },
  boot: Boot & { readonly socket: string }
): Effect.Effect<WorkerProcess, string> =>
  Effect.callback((resume) => {
    spawned.boot.once("data", () => resume(Effect.succeed(spawned.process)))
    spawned.process.ended.then((end) => resume(Effect.fail(describeEnd(end))))
    spawned.boot.write(`${JSON.stringify(boot)}\n`)
  })

/** How a process ended, in words. */
export const describeEnd = (end: Worker.WorkerEnd): string =>
  end.signal === null ? `it ended with exit code ${end.exitCode ?? "unknown"}` : `it was ended by ${end.signal}`

/**
 * The program that an interpreter runs to become one of ours, by which its process is known again.
 *
 * `-c` keeps the working directory on the path, where users' modules are. The worker comes last, so that no module of it
 * stands before a user's; the folder with its needs comes first, since it is there only when the environment's are too old.
 * `main` is called when the import is over: no call that runs inside an import can be stopped (`gate.py`).
 */
export const bootstrap = (module: string): string =>
  `import sys; sys.path.append(sys.argv.pop(1)); sys.path[:0] = sys.argv[1:]; del sys.argv[1:]; from ${module} import main; main()`

/** The end of the process, once its pipes have been read to their ends. */
const watch = (child: ChildProcess): Promise<Worker.WorkerEnd> =>
  new Promise((resolve) => {
    child.once("exit", (exitCode, signal) => {
      // what it started must not hold its pipes, or its sockets, open
      killGroup(child.pid, "SIGKILL")
      const end = { crash: classify(exitCode, signal), exitCode, signal }
      // a process that left the group may hold them open: that is not to hold up anything here
      const timer = setTimeout(() => {
        for (const stream of child.stdio) stream?.destroy()
        resolve(end)
      }, pipeGraceMillis)
      child.once("close", () => {
        clearTimeout(timer)
        resolve(end)
      })
    })
  })

const pipeGraceMillis = 200
