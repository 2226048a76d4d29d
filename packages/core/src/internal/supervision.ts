/**
 * The supervision of a pool's workers: each slot of the pool is filled, and filled again when its worker ends or is worn.
 *
 * What becomes of calls is not decided here: the dispatcher is told which workers there are.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { PoolOptions } from "../PoolConfig.ts"
import { PoolUnhealthy, WorkerStartError } from "../SnakepitError.ts"
import { WorkerSpawner } from "../WorkerSpawner.ts"
import type { CrashRecord } from "./crashHistory.ts"
import type { Dispatcher, Member } from "./dispatcher.ts"
import type { Restarts } from "./restarts.ts"
import type { Sessions } from "./sessions.ts"

/** The pool, as far as its workers concern it. */
export interface Supervised {
  readonly options: PoolOptions
  readonly dispatcher: Dispatcher
  readonly sessions: Sessions
  readonly restarts: Restarts
  /** Workers came or went. */
  readonly changed: () => void
  /** One ended without having been asked to. */
  readonly crashed: (record: CrashRecord) => Effect.Effect<void>
}

/** Starts the workers; done when all are ready, and failed when one does not come up. They end with the scope. */
export const supervise = ({
  changed,
  crashed,
  dispatcher,
  options,
  restarts,
  sessions
}: Supervised): Effect.Effect<void, WorkerStartError, Scope.Scope | WorkerSpawner> =>
  Effect.gen(function* () {
    const spawner = yield* WorkerSpawner
    const barrier = options.crashBarrier
    const recycling = yield* Semaphore.make(1)
    const workers = yield* Scope.make("parallel")
    yield* Effect.addFinalizer(() => Scope.close(workers, Exit.void))
    let spawned = 0

    // One worker: from its spawn to its end, or to its replacement. Fails when it does not come up, and never after that.
    const life = (onReady: Effect.Effect<void>): Effect.Effect<Outcome, WorkerStartError> =>
      Effect.suspend(() => {
        const name = `${options.name}-${spawned++}`
        const slot: Slot = { isReady: false, isHandedOver: false, restMillis: 0 }
        return Effect.scoped(lifeOf(name, slot, onReady)).pipe(
          // whatever goes wrong, the slot is filled again: a defect must not make the pool smaller for good
          Effect.catchDefect((defect): Effect.Effect<Outcome, WorkerStartError> =>
            slot.isReady
              ? Effect.as(
                  Effect.ignoreCause(Effect.logError(String(defect))),
                  slot.isHandedOver ? "replaced" : "failed"
                )
              : Effect.fail(
                  new WorkerStartError({ pool: options.name, worker: name, reason: String(defect), stderr: [] })
                )
          ),
          // what the worker had, like its device, is free for others meanwhile
          Effect.tap(() => (slot.restMillis > 0 ? Effect.sleep(slot.restMillis) : Effect.void))
        )
      })

    const lifeOf = (
      name: string,
      slot: Slot,
      onReady: Effect.Effect<void>
    ): Effect.Effect<Outcome, WorkerStartError, Scope.Scope> =>
      Effect.gen(function* () {
        const worker = yield* spawner.spawn({
          pool: options.name,
          worker: name,
          options,
          avoidDevices: dispatcher.devices.suspects
        })
        if (options.tools.length > 0) worker.registerTools(options.tools.map((tool) => tool.registration))
        const member = dispatcher.add(worker)
        changed()
        slot.isReady = true
        yield* onReady
        const end = yield* Effect.raceFirst(worker.ended, recycle(member, slot)).pipe(
          Effect.onExit(() => Effect.sync(() => retire(member)))
        )
        if (end === undefined) return "replaced"
        const isAtFault = end.crash !== undefined && member.requests <= 1
        const outcome = slot.isHandedOver ? "replaced" : isAtFault ? "failed" : "worked"
        if (end.crash === undefined) return outcome
        const how = end.signal ?? `exit code ${end.exitCode}`
        // a logger that throws must not end the supervision of this slot
        yield* Effect.ignoreCause(Effect.logWarning(`worker ${worker.id} ended: ${end.crash}, ${how}`))
        restarts.crashed()
        const at = yield* Clock.currentTimeMillis
        if (end.crash === "gpu" && worker.device !== undefined && barrier.enabled && barrier.taintDeviceOnGpuFatal) {
          dispatcher.devices.taint(worker.device, at + barrier.taintDuration)
        }
        yield* crashed({
          pool: options.name,
          worker: worker.id,
          device: worker.device,
          crash: end.crash,
          exitCode: end.exitCode,
          signal: end.signal,
          inFlight: member.crash?.inFlight ?? [],
          stderr: member.crash?.stderr ?? [],
          at
        })
        if (slot.isHandedOver || !barrier.enabled || !barrier.taintOnExitCodes.includes(end.exitCode ?? NaN))
          return outcome
        yield* Effect.ignoreCause(
          Effect.logWarning(`its place stays empty for ${barrier.taintDuration} ms, as exit code ${end.exitCode} asks`)
        )
        slot.restMillis = barrier.taintDuration
        return outcome
      })

    // Replaces a worker that works, when it asks for it: the replacement is ready before this one takes no more calls. One
    // worker of the pool at a time, so that workers of one age do not all leave at once.
    const recycle = (member: Member, slot: Slot): Effect.Effect<undefined> =>
      Effect.gen(function* () {
        const reason = yield* Effect.raceFirst(member.worker.worn ?? Effect.never, tainted(member))
        yield* Effect.gen(function* () {
          const ready = yield* Latch.make(false)
          // both or neither: the slot has one fiber that fills it, whenever this one is interrupted
          yield* Effect.uninterruptible(
            Effect.tap(Effect.forkIn(Effect.interruptible(keepFilled(0, ready.open)), workers), () =>
              Effect.sync(() => (slot.isHandedOver = true))
            )
          )
          yield* ready.await
        }).pipe(recycling.withPermit)
        yield* Effect.ignoreCause(Effect.logInfo(`worker ${member.worker.id} is replaced: ${reason}`))
        member.retiring = true
        // Its sessions have as long to finish as when the pool closes; its running calls have as long as they take.
        yield* until(() => member.sessions === 0 && member.inFlight.size === 0).pipe(
          Effect.timeoutOption(options.drainTimeout)
        )
        sessions.lose(member, `its worker was replaced: ${reason}`)
        dispatcher.dismiss(member, `its worker was replaced: ${reason}`)
        yield* until(() => member.inFlight.size === 0)
        return undefined
      })

    const retire = (member: Member) => {
      sessions.lose(member)
      dispatcher.remove(member)
      changed()
    }

    // Without a worker, calls fail with the reason from here on, and do not wait.
    const refuse = (reason: WorkerStartError | PoolUnhealthy) => {
      dispatcher.outage = reason
      if (dispatcher.members.length === 0) dispatcher.failWaiting(() => reason)
    }

    // Keeps one slot of the pool filled. A worker that did its work before it ended is replaced at once; one that did not is
    // replaced after a delay that grows, and so is any when workers end too often.
    const keepFilled = (failures: number, onReady: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.gen(function* () {
        const delay = restarts.delay(failures)
        if (restarts.tooMany) refuse(new PoolUnhealthy({ pool: options.name, ...restarts.summary }))
        if (delay > 0) yield* Effect.sleep(delay)
        return yield* Effect.catchTag(life(onReady), "WorkerStartError", (error) => {
          // one start may fail for reasons of the moment; callers that wait are not to pay for it
          if (failures > 0) refuse(error)
          return Effect.as(Effect.ignoreCause(Effect.logError(error.message)), "failed" as const)
        })
      }).pipe(Effect.flatMap((outcome) => goOn(outcome, failures, onReady)))

    const goOn = (outcome: Outcome, failures: number, onReady: Effect.Effect<void>): Effect.Effect<void> =>
      outcome === "replaced" ? Effect.void : keepFilled(outcome === "worked" ? 0 : failures + 1, onReady)

    const first = Effect.gen(function* () {
      const ready = yield* Latch.make(false)
      const fiber = yield* Effect.forkIn(
        Effect.flatMap(life(ready.open), (outcome) => goOn(outcome, 0, Effect.void)),
        workers
      )
      yield* Effect.raceFirst(ready.await, joinFailure(fiber))
    })
    yield* Effect.all(
      Array.from({ length: options.size }, () => first),
      { concurrency: startConcurrency, discard: true }
    )
  })

/** The reason, once an exception has tainted the member. */
const tainted = (member: Member): Effect.Effect<string> =>
  Effect.callback((resume) => {
    if (member.taint !== undefined) return resume(Effect.succeed(member.taint))
    member.onTaint = (reason) => resume(Effect.succeed(reason))
  })

/** What became of a worker: another has its slot already, or the slot is to be filled after success or failure. */
type Outcome = "replaced" | "worked" | "failed"

/** What is known of a worker's slot. */
interface Slot {
  /** The worker has come up. */
  isReady: boolean
  /** Another fiber fills it by now. */
  isHandedOver: boolean
  /** How long it stays empty once the worker is gone. */
  restMillis: number
}

/** Waits for a condition of a worker that leaves. It is looked at now and then, so that no call pays for it. */
const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.andThen(Effect.sleep(10), until(condition))))

/** How many workers start at the same time: each is a process that imports Python modules. */
const startConcurrency = 4

const joinFailure = <E>(fiber: Fiber.Fiber<unknown, E>): Effect.Effect<never, E> =>
  Effect.callback((resume) => {
    const stop = fiber.addObserver((exit) => {
      // before the worker is ready, the fiber ends by failure or interruption only
      resume(Exit.isFailure(exit) ? Exit.failCause(exit.cause) : Exit.die(new Error("the slot's fiber ended")))
    })
    return Effect.sync(stop)
  })
