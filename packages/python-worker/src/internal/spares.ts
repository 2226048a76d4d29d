/**
 * Warm spares: interpreters that have imported the worker and wait to be told what to do. A worker made of one is spared
 * Python's own start-up. For pools whose workers are spawned; a fork server makes them needless.
 */
import type { Duplex } from "node:stream"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Interpreter } from "./launch.ts"
import type { Boot, Greet, Launched, OnLine, WorkerProcess } from "./process.ts"
import { bootWorker, spawnPython, workerModule } from "./spawnedProcess.ts"

interface Spare {
  readonly process: WorkerProcess
  readonly boot: Duplex
  readonly scope: Scope.Closeable
  /** Hands over what it has printed, and prints, from now on. */
  readonly attach: (onLine: OnLine) => void
  hasEnded: boolean
}

/** How workers are launched from so many spares, each on a new socket; the spares live as long as the scope. */
export const launch = (interpreter: Interpreter, count: number, newSocket: () => string, scope: Scope.Scope) => {
  const waiting: Array<Spare> = []
  let starting = 0

  const start = Effect.gen(function* () {
    const own = yield* Scope.fork(scope)
    const printed: Array<readonly ["stdout" | "stderr", string]> = []
    let onLine: OnLine = (stream, line) => void printed.push([stream, line])
    const { boot, process } = yield* spawnPython(interpreter, workerModule, (stream, line) =>
      onLine(stream, line)
    ).pipe(
      Scope.provide(own),
      Effect.onExit((exit) => (Exit.isFailure(exit) ? Scope.close(own, exit) : Effect.void))
    )
    const attach = (to: OnLine) => {
      onLine = to
      for (const [stream, line] of printed) to(stream, line)
    }
    const spare: Spare = { process, boot, scope: own, attach, hasEnded: false }
    process.ended.then(() => {
      spare.hasEnded = true
    })
    waiting.push(spare)
  })

  // One that cannot be started is left out: the next worker says why.
  const refill: Effect.Effect<void> = Effect.suspend(() => {
    if (waiting.length + starting >= count) return Effect.void
    starting++
    return start.pipe(
      Effect.ensuring(Effect.sync(() => starting--)),
      Effect.andThen(() => refill),
      Effect.ignore
    )
  })

  const take = Effect.sync(() => {
    let spare = waiting.shift()
    while (spare !== undefined && spare.hasEnded) spare = waiting.shift()
    return spare
  })

  return (boot: Boot, greet: Greet, onLine: OnLine): Effect.Effect<Launched, string, Scope.Scope> =>
    Effect.gen(function* () {
      const spare = yield* Effect.acquireRelease(take, (taken, exit) =>
        taken === undefined ? Effect.void : Scope.close(taken.scope, exit)
      )
      const spawned = spare ?? (yield* spawnPython(interpreter, workerModule, onLine))
      spare?.attach(onLine)
      const socket = newSocket()
      const process = yield* bootWorker(spawned, { ...boot, socket })
      // with nothing of this worker's: the process of a spare would keep it, and so each worker the one before
      yield* Effect.updateContext(Effect.forkIn(refill, scope), (_worker: Context.Context<never>) => Context.empty())
      return { process, channels: greet(socket) }
    })
}
