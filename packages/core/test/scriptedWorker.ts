/** Workers without Python: a script says what becomes of each call, and tests end workers as they like. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/testing/TestClock"
import { Snakepit } from "@snakepit/core"
import { type CrashClass, type SnakepitError, WorkerCrash } from "../src/SnakepitError.ts"
import type { CallObserver, Worker, WorkerEnd } from "../src/Worker.ts"
import { WorkerSpawner } from "../src/WorkerSpawner.ts"

/** What is done when a call reaches a worker; without an answer the call goes on. */
export type Script = (worker: ScriptedWorker, number: number, observer: CallObserver) => void

export class ScriptedWorker implements Worker {
  readonly id: string
  readonly pid = undefined
  readonly device: string | undefined
  readonly concurrency: number
  isOpen = true
  readonly calls = new Map<number, CallObserver>()
  private readonly script: Script
  private readonly onTools: () => void
  private readonly end = Deferred.makeUnsafe<WorkerEnd>()
  private last = 0

  constructor(id: string, concurrency: number, script: Script, device: string | undefined, onTools: () => void) {
    this.onTools = onTools
    this.device = device
    this.id = id
    this.concurrency = concurrency
    this.script = script
  }

  get ended(): Effect.Effect<WorkerEnd> {
    return Deferred.await(this.end)
  }

  start(observer: CallObserver): number {
    const number = ++this.last
    this.calls.set(number, observer)
    // like a reply from a socket: never before `start` has answered
    queueMicrotask(() => this.calls.has(number) && this.script(this, number, observer))
    return number
  }

  answer(number: number, exit: Exit.Exit<unknown, SnakepitError>): void {
    const observer = this.calls.get(number)
    this.calls.delete(number)
    observer?.onExit(exit, undefined)
  }

  /**
   * Ends the process: as many calls as run at the same time may have begun, the others come back. When that is `meant`, it is no
   * crash.
   */
  crash(crash: CrashClass = "segfault", exitCode: number | null = 139, meant = false): void {
    if (!this.isOpen) return
    this.isOpen = false
    const calls = [...this.calls]
    const inFlight = calls.map(([, observer]) => observer.call.target)
    for (const [index, [number, observer]] of calls.entries()) {
      if (index < this.concurrency) {
        this.answer(
          number,
          Exit.fail(
            new WorkerCrash({
              pool: "default",
              worker: this.id,
              crash,
              exitCode,
              signal: null,
              stderr: [],
              inFlight,
              mayHaveExecuted: true
            })
          )
        )
      } else {
        this.calls.delete(number)
        observer.onDropped()
      }
    }
    Deferred.doneUnsafe(this.end, Exit.succeed({ crash: meant ? undefined : crash, exitCode, signal: null }))
  }

  close(): void {
    this.isOpen = false
    Deferred.doneUnsafe(this.end, Exit.succeed({ crash: undefined, exitCode: 0, signal: null }))
  }

  interrupt(number: number): void {
    const observer = this.calls.get(number)
    this.calls.delete(number)
    // like every word of a worker, it comes later
    queueMicrotask(() => observer?.onDropped())
  }

  recall(numbers: ReadonlyArray<number>): void {
    for (const number of numbers) this.interrupt(number)
  }

  ack(): void {}
  release(): void {}

  registerTools(): void {
    this.onTools()
  }
}

/** What workers come into. */
export interface Surroundings {
  /** What the workers run on: each on the one with the fewest workers, of those that are not to be avoided if there are any. */
  readonly devices?: ReadonlyArray<string>
  /** Runs before each worker is there. */
  readonly onSpawn?: Effect.Effect<unknown>
  /** Is called when tools are registered with a worker. */
  readonly onTools?: () => void
  /** Is called when the scope of a worker closes. */
  readonly onClose?: () => void
}

/** The service over scripted workers, and the workers it has started so far. */
export const scripted = (
  options: NonNullable<Snakepit.Config["pools"]>[string],
  script: Script,
  { devices = [], onClose = () => {}, onSpawn = Effect.void, onTools = () => {} }: Surroundings = {}
): { readonly layer: Layer.Layer<Snakepit.Snakepit, unknown>; readonly workers: Array<ScriptedWorker> } => {
  const workers: Array<ScriptedWorker> = []
  const place = (avoid: ReadonlyArray<string>): string | undefined => {
    const allowed = devices.filter((device) => !avoid.includes(device))
    const load = (device: string) => workers.filter((worker) => worker.isOpen && worker.device === device).length
    return (allowed.length > 0 ? allowed : [...devices]).sort((a, b) => load(a) - load(b))[0]
  }
  const spawner = Layer.succeed(WorkerSpawner, {
    spawn: ({ avoidDevices = [], options: { profile, threads }, worker: id }) =>
      Effect.acquireRelease(
        Effect.map(onSpawn, () => {
          const device = place(avoidDevices)
          const worker = new ScriptedWorker(id, profile === "thread" ? threads : 1, script, device, onTools)
          workers.push(worker)
          return worker
        }),
        (worker) =>
          Effect.sync(() => {
            worker.close()
            onClose()
          })
      )
  })
  return {
    layer: Layer.provide(Snakepit.layer({ pools: { default: options } }), spawner),
    workers
  }
}

/** Lets the test's clock run until the fiber has ended, and answers how. */
export const outcome = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<Exit.Exit<A, E>> =>
  Effect.suspend(() => {
    const exit = fiber.pollUnsafe()
    return exit === undefined ? Effect.andThen(TestClock.adjust(1_000), outcome(fiber)) : Effect.succeed(exit)
  })

/** Runs an effect while the test's clock goes on. */
export const elapse = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(Effect.forkChild(effect, { startImmediately: true }), (fiber) => Effect.flatten(outcome(fiber)))
