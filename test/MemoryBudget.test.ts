/** `maxSharedMemory`: who fails, who waits, and who copies instead. */
import { Snakepit } from "@snakepit/core"
import { Tensor, ZeroCopy } from "@snakepit/zero-copy"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { Random } from "./chaos/random.ts"
import { kill, pidsOf, waitUntil, withPool } from "./harness.ts"
import { MIB, memoryOf, arenaOf, look, total, ones, ramp, events, isCrash } from "./sharing.ts"

describe("MemoryBudget", () => {
  const small = { zeroCopy: { maxSharedMemory: 32 * MIB } } as const

  it.live("fails with its figures what does not fit into it", () =>
    withPool(small)(
      Effect.gen(function* () {
        yield* Tensor.make(Uint8Array, [20 * MIB])
        const error = yield* Effect.flip(Tensor.make(Uint8Array, [20 * MIB]))
        assert.strictEqual(error._tag, "SharedMemoryExhausted")
        assert.include(error.message, "20 MiB of shared memory are wanted, 20 MiB are in use")
        assert.include(error.message, "maxSharedMemory is 32 MiB")
      })
    )
  )

  it.live("lets callers wait, when told so, until enough is given back", () =>
    withPool({ zeroCopy: { maxSharedMemory: 32 * MIB, whenFull: "wait" } })(
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        yield* Scope.provide(Tensor.make(Uint8Array, [20 * MIB]), scope)
        const fiber = yield* Effect.forkChild(Effect.scoped(Tensor.make(Uint8Array, [20 * MIB])), {
          startImmediately: true
        })
        const arena = yield* arenaOf()
        yield* Effect.promise(() => arena.relieve())
        assert.isUndefined(fiber.pollUnsafe())
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* Fiber.join(fiber)).size, 20 * MIB)
      })
    )
  )

  const waiting = { zeroCopy: { maxSharedMemory: 16 * MIB, whenFull: "wait" } } as const

  it.live("gives callers that wait what workers were granted, once its results are closed", () =>
    withPool(waiting)(
      Effect.gen(function* () {
        const result = yield* ZeroCopy.scoped(ones(MIB))
        assert.isFalse(result.copied)
        const fiber = yield* Effect.forkChild(Tensor.make(Uint8Array, [12 * MIB]), { startImmediately: true })
        const arena = yield* arenaOf()
        yield* Effect.promise(() => arena.relieve())
        assert.isUndefined(fiber.pollUnsafe())
        result.close()
        assert.strictEqual((yield* Fiber.join(fiber).pipe(Effect.timeout(5_000))).size, 12 * MIB)
      })
    )
  )

  it.live("gives callers what a small result leaves of the room that it is in", () =>
    withPool(waiting)(
      Effect.gen(function* () {
        const result = yield* ZeroCopy.scoped(ones(5_000))
        assert.isFalse(result.copied)
        const tensor = yield* Tensor.make(Uint8Array, [12 * MIB]).pipe(Effect.timeout(5_000))
        assert.isFalse(tensor.copied)
        assert.isTrue(result.data.every((x) => x === 1))
      })
    )
  )

  it.live("finds the room of a result that was closed just before, also where callers do not wait", () =>
    withPool({ zeroCopy: { maxSharedMemory: 16 * MIB } })(
      Effect.gen(function* () {
        for (let i = 0; i < 50; i++) {
          const result = yield* ZeroCopy.scoped(ones(20_000))
          assert.isFalse(result.copied)
          result.close()
          yield* Effect.scoped(Tensor.make(Uint8Array, [16 * MIB]))
        }
      })
    )
  )

  it.live("lets calls copy while somebody waits, and share again afterwards", () =>
    withPool(waiting)(
      Effect.gen(function* () {
        const held = yield* Tensor.make(Uint8Array, [8 * MIB])
        const fiber = yield* Effect.forkChild(Tensor.make(Uint8Array, [12 * MIB]), { startImmediately: true })
        assert.isUndefined(fiber.pollUnsafe())
        assert.deepInclude(yield* look(ramp(10_000)), { shared: false })
        assert.isTrue((yield* ZeroCopy.scoped(ones(10_000))).copied)
        held.close()
        yield* Fiber.join(fiber).pipe(Effect.timeout(5_000))
        assert.deepInclude(yield* look(ramp(10_000)), { shared: true })
      })
    )
  )

  it.live("leaves nobody waiting and nothing held, whatever is interrupted, closed and killed", () =>
    withPool({ ...waiting, size: 2 })(
      Effect.gen(function* () {
        const arena = yield* arenaOf()
        const random = new Random(7)
        const size = () => Math.ceil(random.next() ** 3 * 16 * MIB)
        let made = 0
        const work = Effect.gen(function* () {
          const tensor = yield* Tensor.make(Uint8Array, [size()])
          made++
          yield* Snakepit.call("sharing.total", { args: [tensor] })
          if (random.next() < 0.5) tensor.close()
        })
        const result = Effect.gen(function* () {
          const tensor = yield* ZeroCopy.scoped(ones(Math.ceil(size() / 8)))
          yield* Effect.yieldNow
          assert.strictEqual(tensor.data[0], 1)
          if (random.next() < 0.5) tensor.close()
        })
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        for (let i = 0; i < 150; i++) {
          fibers.push(yield* Effect.forkChild(Effect.scoped(random.next() < 0.6 ? work : result)))
          if (i % 50 === 49) for (const pid of yield* pidsOf()) yield* Effect.exit(kill(pid, "SIGKILL"))
          if (random.next() < 0.3) fibers[Math.floor(random.between(0, fibers.length))]?.interruptUnsafe()
          if (random.next() < 0.3) yield* Effect.promise(() => arena.relieve())
        }
        const ends = yield* Fiber.awaitAll(fibers).pipe(Effect.timeout(40_000))
        for (const end of ends) {
          const error = Exit.isFailure(end) ? Cause.squash(end.cause) : undefined
          assert.isTrue(
            Exit.isSuccess(end) || Cause.hasInterruptsOnly(end.cause) || isCrash(error),
            `it ended with ${String(error)}`
          )
        }
        assert.isAtLeast(made, 30)
        yield* Effect.scoped(Tensor.make(Uint8Array, [16 * MIB])).pipe(Effect.timeout(5_000))
        assert.strictEqual(arena.heldBytes, 0)
      })
    )
  )

  it.live("gets back what workers were granted and do not use", () =>
    withPool({ zeroCopy: { maxSharedMemory: 48 * MIB } })(
      Effect.gen(function* () {
        yield* ones(3_000_000)
        const tensor = yield* Tensor.make(Uint8Array, [30 * MIB])
        assert.isFalse(tensor.copied)
      })
    )
  )

  it.live("gives arguments what workers no longer use, from the next call on", () =>
    withPool({ zeroCopy: { maxSharedMemory: 48 * MIB } })(
      Effect.gen(function* () {
        yield* ones(3_000_000)
        const array = new Float64Array(3_500_000)
        const memory = yield* memoryOf()
        let fallbacks = 0
        memory.listeners.add(({ name }) => void (name === "zero_copy.fallback" && fallbacks++))
        yield* total(array)
        assert.strictEqual(fallbacks, 1)
        yield* waitUntil(
          "an argument finds room",
          Effect.map(total(array), () => fallbacks === 0 || (fallbacks = 0) > 0)
        )
      })
    )
  )

  it.live("says nothing of a fallback when a worker is granted less than it would like", () =>
    withPool(small)(
      Effect.gen(function* () {
        yield* Tensor.make(Uint8Array, [15 * MIB])
        yield* Tensor.make(Uint8Array, [10 * MIB])
        const heard = yield* events()
        const result = yield* ZeroCopy.scoped(ones(MIB / 4))
        assert.isFalse(result.copied)
        assert.isFalse(heard.some(({ name }) => name === "zero_copy.fallback"))
      })
    )
  )

  it.live("copies arguments and results past it inside the message, says so once, and tells each time", () => {
    const warnings: Array<unknown> = []
    const logger = Logger.layer([
      Logger.make(({ logLevel, message }) => {
        if (logLevel === "Warn") warnings.push(message)
      })
    ])
    return withPool(
      small,
      logger
    )(
      Effect.gen(function* () {
        const heard = yield* events()
        yield* Tensor.make(Uint8Array, [31 * MIB])
        assert.strictEqual(yield* total(new Float64Array(MIB).fill(1)), MIB)
        assert.strictEqual(yield* total(new Float64Array(MIB).fill(2)), 2 * MIB)
        const result = yield* ones(MIB)
        assert.isTrue(result.copied)
        assert.isTrue(result.data.every((x) => x === 1))
        const fallbacks = heard.filter(({ name }) => name === "zero_copy.fallback")
        assert.isAtLeast(fallbacks.length, 3)
        const said = warnings.filter((warning) => String(warning).includes("zero_copy_unavailable"))
        assert.lengthOf(said, 1)
      })
    )
  })

  it.live("fails arguments and results past it when strict", () =>
    withPool({ zeroCopy: { maxSharedMemory: 32 * MIB, strict: true } })(
      Effect.gen(function* () {
        const heard = yield* events()
        yield* Tensor.make(Uint8Array, [31 * MIB])
        const argument = yield* Effect.flip(total(new Float64Array(MIB)))
        assert.strictEqual(argument._tag, "EncodeError")
        assert.include(argument.message, "zero_copy_unavailable")
        const result = yield* Effect.flip(ones(MIB))
        assert.strictEqual(result._tag, "UnserializableResult")
        assert.include(result.message, "zero_copy_unavailable")
        assert.isFalse(heard.some(({ name }) => name === "zero_copy.fallback"))
      })
    )
  )
})
