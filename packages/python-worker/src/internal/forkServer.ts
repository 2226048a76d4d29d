/**
 * The fork server of a pool: one Python process that has imported the worker, and whatever `preload` names, and forks
 * workers from itself in about a millisecond, one of them ahead. Partner of `snakepit_worker/fork_server.py`.
 *
 * It takes commands on its boot channel, a line each of what it has to know and, behind a tab, the boot configuration, which only the
 * worker reads; it reports there in JSON: `{ ahead }`, the socket on which the next worker listens already, so that connecting does
 * not wait for the fork; `{ forked, pid, socket }`, `{ exited, code, signal }`. A worker's stdout and stderr are connections that are
 * opened on its socket, since a fork has the server's.
 *
 * When the server dies its workers live on, but nobody learns their exit codes any more; the next start makes a new server. One
 * that is asked for a fork and does not answer is killed, and so counts as dead.
 */
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Worker } from "@snakepit/core"
import { hello } from "./channel.ts"
import { field } from "./failures.ts"
import { type Interpreter, withoutThreads } from "./launch.ts"
import { type Boot, classify, type Greet, killGroup, type Launched, type OnLine } from "./process.ts"
import * as ProcessIdentity from "./processIdentity.ts"
import { describeEnd, forkServerModule, spawnPython } from "./spawnedProcess.ts"
import { readLines, Tail } from "./stdio.ts"

/** The fork server was killed before it had done what was asked of it: another may do it. */
export class ForkServerDied extends Data.TaggedError("ForkServerDied")<{ readonly reason: string }> {}

/** A running fork server. */
export interface ForkServer {
  readonly pid: number
  /** False once it has died. */
  readonly isAlive: () => boolean
  /** Forks one worker. */
  readonly fork: (
    boot: Boot,
    greet: Greet,
    onLine: OnLine
  ) => Effect.Effect<Launched, string | ForkServerDied, Scope.Scope>
}

/** A worker as the server reports it. */
interface Forked {
  readonly pid: number
  readonly socket: string
}

type Answer = (exit: Exit.Exit<Forked, string | ForkServerDied>) => void

/** What the fork server does in the child, beside what the boot says. */
export interface ForkOptions {
  /** Where workers' sockets stand. */
  readonly directory: string
  readonly preload: ReadonlyArray<string>
  readonly pythonPath: ReadonlyArray<string>
  /** Variables of a worker that the server itself has otherwise. */
  readonly environment: Readonly<Record<string, string>>
}

/** Starts a fork server; it is ready when it has imported everything. */
export const make = (
  interpreter: Interpreter,
  options: ForkOptions,
  onLine: OnLine
): Effect.Effect<ForkServer, string | ForkServerDied, Scope.Scope> =>
  Effect.gen(function* () {
    const { boot, process } = yield* spawnPython(
      // threads that a library starts while it is imported do not survive a fork, so it is imported with one
      withoutThreads(interpreter),
      forkServerModule,
      onLine
    )
    const ready = Deferred.makeUnsafe<void, string | ForkServerDied>()
    const asked = new Map<number, Answer>()
    const exits = new Map<number, (end: Worker.WorkerEnd) => void>()
    let last = 0
    let alive = true
    /** Where the next worker listens, when that is known. */
    let ahead: string | undefined

    const report = (message: unknown): void => {
      const forked = field(message, "forked")
      const pid = field(message, "pid")
      if (typeof forked === "number") {
        const answer = asked.get(forked)
        asked.delete(forked)
        const socket = field(message, "socket")
        const isForked = typeof pid === "number" && typeof socket === "string"
        answer?.(isForked ? Exit.succeed({ pid, socket }) : Exit.fail(String(field(message, "failed"))))
        return
      }
      const next = field(message, "ahead")
      if (typeof next === "string") {
        // else it goes to the first of those who have asked already, and who wait to be told
        if (asked.size === 0) ahead = next
        return
      }
      const exited = field(message, "exited")
      if (typeof exited === "number") {
        const code = field(message, "code")
        const number = field(message, "signal")
        const exitCode = typeof code === "number" ? code : null
        const signal = typeof number === "number" ? signalName(number) : null
        exits.get(exited)?.({ crash: classify(exitCode, signal), exitCode, signal })
        return
      }
      const refused = field(message, "refused")
      if (typeof refused === "string") Deferred.doneUnsafe(ready, Exit.fail(refused))
      else if (field(message, "ready") === true) Deferred.doneUnsafe(ready, Exit.void)
    }
    readLines(boot, (line) => {
      let message: unknown
      try {
        message = JSON.parse(line)
      } catch {
        // preloaded code writes where it should not, and nothing that comes from here can be relied on
        Deferred.doneUnsafe(ready, Exit.fail(`the fork server reported what is no JSON: ${line.slice(0, 100)}`))
        return process.kill("SIGKILL")
      }
      report(message)
    })
    process.ended.then((end) => {
      alive = false
      const reason = `the fork server died: ${describeEnd(end)}`
      const died = new ForkServerDied({ reason })
      // one that ends by itself before it is ready will do so again
      Deferred.doneUnsafe(ready, Exit.fail(end.signal === null ? reason : died))
      for (const answer of asked.values()) answer(Exit.fail(died))
      asked.clear()
      if (ahead !== undefined) fs.rmSync(ahead, { force: true })
      ahead = undefined
      // its workers go on; their ends are known from their connections from now on, without exit codes
      for (const [pid, onEnd] of exits) watchOrphan(ProcessIdentity.of(pid), 0, onEnd)
    })
    boot.write(
      `${JSON.stringify({
        directory: options.directory,
        preload: options.preload,
        python_path: options.pythonPath,
        environment: options.environment
      })}\n`
    )
    yield* Deferred.await(ready)

    const fork: ForkServer["fork"] = (workerBoot, greet, onWorkerLine) =>
      Effect.gen(function* () {
        let gone = false
        const stderr = new Tail()
        const connect = (socket: string) => {
          const channels = greet(socket)
          const printed = [
            readPrinted(socket, workerBoot, "stdout", (line) => onWorkerLine("stdout", line)),
            readPrinted(socket, workerBoot, "stderr", (line) => {
              stderr.add(line)
              onWorkerLine("stderr", line)
            })
          ]
          const lifeline = openPlain(socket, workerBoot, "lifeline")
          const drop = () => {
            for (const { stream } of printed) stream.destroy()
            for (const each of [channels.data, channels.control, lifeline]) each.destroy()
          }
          return { socket, channels, printed, lifeline, drop }
        }
        let early: ReturnType<typeof connect> | undefined
        const { pid, socket } = yield* Effect.acquireRelease(
          Effect.callback<Forked, string | ForkServerDied>((resume) => {
            if (!alive) return resume(Effect.fail(new ForkServerDied({ reason: "the fork server died" })))
            const number = ++last
            const timer = setTimeout(() => process.kill("SIGKILL"), forkMillis)
            asked.set(number, (exit) => {
              clearTimeout(timer)
              resume(exit)
            })
            boot.write(`${JSON.stringify({ fork: number })}\t${JSON.stringify(workerBoot)}\n`)
            if (ahead !== undefined) early = connect(ahead)
            ahead = undefined
          }),
          (forked) => Effect.sync(() => gone || killGroup(forked.pid, "SIGKILL"))
          // a server that has died may have handed the order on: a worker that nobody knows lives as long as its connections
        ).pipe(Effect.tapError(() => Effect.sync(() => early?.drop())))
        // the one that was forked ahead may have died, and another have taken its place
        if (early !== undefined && early.socket !== socket) {
          early.drop()
          early = undefined
        }
        const { channels, lifeline, printed } = early ?? connect(socket)
        const identity = ProcessIdentity.of(pid)
        const onEnd = (end: Worker.WorkerEnd) => {
          if (exits.get(pid) !== onEnd) return
          exits.delete(pid)
          gone = true
          stopWatch()
          // what it started must not hold its sockets open
          killGroup(pid, "SIGKILL")
          lifeline.destroy()
          // one that died before it let the host in has left it
          fs.rmSync(socket, { force: true })
          // a process that left the group may hold them open: that is not to hold up anything here
          const timer = setTimeout(() => {
            for (const { stream } of printed) stream.destroy()
          }, pipeGraceMillis)
          Promise.all(printed.map(({ closed }) => closed)).then(() => {
            clearTimeout(timer)
            resolve(end)
          })
        }
        let stopWatch = () => {}
        let resolve: (end: Worker.WorkerEnd) => void = () => {}
        const ended = new Promise<Worker.WorkerEnd>((settle) => {
          resolve = settle
        })
        exits.set(pid, onEnd)
        if (!alive) watchOrphan(identity, 0, onEnd)
        const kill = (signal: NodeJS.Signals) => {
          if (gone) return // the number may be another group's by now
          killGroup(pid, signal)
          // a server that hangs does not tell of the end
          if (signal !== "SIGKILL" || exits.get(pid) !== onEnd) return
          stopWatch()
          stopWatch = watchOrphan(identity, reportMillis, onEnd)
        }
        // a process that was sent SIGKILL is not gone yet; a closed scope leaves none behind
        yield* Effect.addFinalizer(() =>
          Effect.promise(() => {
            if (!gone) kill("SIGKILL")
            return ended
          })
        )
        // the connections that are open by now say hello first: what follows a fork takes a millisecond
        yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
        return { process: { pid, stderr, kill, ended }, channels }
      })

    return { pid: process.pid, isAlive: () => alive, fork }
  })

const pipeGraceMillis = 200

/** A fork takes about a millisecond; a server that takes this long does nothing at all. */
const forkMillis = 5_000

/** How long the end of a killed worker may take to be reported by the server. */
const reportMillis = 500

/** Opens a channel on which the worker gets no messages: what it prints, and its lifeline. */
const openPlain = (path: string, { token }: Boot, channel: "stdout" | "stderr" | "lifeline"): net.Socket => {
  const stream = net.connect({ path })
  stream.on("error", () => {}) // the worker's end is known from the fork server
  stream.write(hello(token, channel))
  return stream
}

/** Reads what a forked worker prints; `closed` resolves when it has printed its last. */
const readPrinted = (
  path: string,
  boot: Boot,
  channel: "stdout" | "stderr",
  onLine: (line: string) => void
): { readonly stream: net.Socket; readonly closed: Promise<void> } => {
  const stream = openPlain(path, boot, channel)
  readLines(stream, onLine)
  return { stream, closed: new Promise((resolve) => stream.on("close", () => resolve())) }
}

/**
 * Watches a process whose parent is gone or silent, by asking whether it lives; tells so many milliseconds after its end. Answers
 * how to stop it.
 */
const watchOrphan = (
  identity: ProcessIdentity.ProcessIdentity,
  millis: number,
  onEnd: (end: Worker.WorkerEnd) => void
): (() => void) => {
  const look = () => {
    if (ProcessIdentity.isAlive(identity)) timer = setTimeout(look, 20)
    else timer = setTimeout(() => onEnd({ crash: "exit", exitCode: null, signal: null }), millis)
    // closing the pool waits for the end where it has to; the timer alone keeps no program running
    timer.unref()
  }
  let timer: ReturnType<typeof setTimeout> | undefined
  look()
  return () => clearTimeout(timer)
}

const signalName = (number: number): string => {
  for (const [name, value] of Object.entries(os.constants.signals)) if (value === number) return name
  return `signal ${number}`
}
