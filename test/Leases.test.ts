/** Leases: who holds what of shared memory for how long, whoever dies meanwhile. */
import { Snakepit, type SnakepitError, ValueAdapter } from "@snakepit/core"
import { Tensor, ZeroCopy, ZeroCopyError } from "@snakepit/zero-copy"
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { descriptors, kill, pidsOf, pool, waitForWorkers, waitUntil, withPool, workerPid } from "./harness.ts"
import { MIB, arenaOf, total, ones, ramp, waitForHeld } from "./sharing.ts"

describe("Leases", () => {
  it.live("an array that Python keeps is not overwritten before Python lets go of it", () =>
    withPool()(
      Effect.gen(function* () {
        const arena = yield* arenaOf()
        yield* Snakepit.call("sharing.keep", { args: [new Float64Array(20_000).fill(2)] })
        for (let i = 0; i < 5; i++) yield* total(new Float64Array(20_000).fill(9))
        assert.deepStrictEqual(yield* Snakepit.call("sharing.kept_total"), [40_000])
        assert.isAtLeast(arena.heldBytes, 160_000)
        yield* Snakepit.call("sharing.drop")
        yield* waitForHeld(0)
      })
    )
  )

  it.live("a tensor that is closed while a call looks at it stays until the call has ended", () =>
    withPool()(
      Effect.gen(function* () {
        const arena = yield* arenaOf()
        const running = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const scope = yield* Scope.make()
        const tensor = yield* Scope.provide(Tensor.from(ramp(20_000)), scope)
        const wait = () => Effect.andThen(Deferred.succeed(running, undefined), Deferred.await(goOn))
        const fiber = yield* Effect.forkChild(Snakepit.call("sharing.wait_for", { args: [wait, tensor] }))
        yield* Deferred.await(running)
        yield* Scope.close(scope, Exit.void)
        assert.throws(() => tensor.data, ZeroCopyError.LeaseClosed)
        assert.isAtLeast(arena.heldBytes, 160_000)
        yield* Deferred.succeed(goOn, undefined)
        assert.strictEqual(yield* Fiber.join(fiber), (19_999 * 20_000) / 2)
        yield* waitForHeld(0)
      })
    )
  )

  it.live("a result that is closed while another call looks at it is not overwritten", () =>
    withPool({ profile: "thread", threads: 2 })(
      Effect.gen(function* () {
        const running = yield* Deferred.make<void>()
        const goOn = yield* Deferred.make<void>()
        const tensor = yield* ZeroCopy.scoped(ones(20_000))
        const wait = () => Effect.andThen(Deferred.succeed(running, undefined), Deferred.await(goOn))
        const fiber = yield* Effect.forkChild(Snakepit.call("sharing.wait_for", { args: [wait, tensor] }))
        yield* Deferred.await(running)
        tensor.close()
        for (let i = 0; i < 50; i++) yield* Snakepit.call("sharing.in_place", { args: [20_000, 9] })
        yield* Deferred.succeed(goOn, undefined)
        assert.strictEqual(yield* Fiber.join(fiber), 20_000)
      }).pipe(Effect.scoped)
    )
  )

  it.live("what a crashed worker held is used again, and what it answered stays readable", () =>
    withPool()(
      Effect.gen(function* () {
        const arena = yield* arenaOf()
        const scope = yield* Scope.make()
        yield* Snakepit.call("sharing.keep", { args: [ramp(20_000)] })
        const tensor = yield* Scope.provide(ZeroCopy.scoped(ones(20_000)), scope)
        yield* kill(yield* workerPid, "SIGKILL")
        yield* waitForWorkers(1)
        yield* waitUntil(
          "the pool answers again",
          Effect.map(Effect.option(total(ramp(4))), (sum) => sum._tag === "Some")
        )
        assert.strictEqual(tensor.data[19_999], 1)
        yield* Scope.close(scope, Exit.void)
        yield* waitUntil("nothing is held", () => arena.heldBytes === 0)
      })
    )
  )

  it.live("nothing is left of a call that was interrupted", () =>
    withPool()(
      Effect.gen(function* () {
        // numpy is there from here on: an import that is interrupted leaves half a module
        yield* ones(10)
        yield* Effect.scoped(
          ZeroCopy.scoped(Effect.timeoutOption(Effect.all(Array.from({ length: 20 }, () => ones(500_000))), 15))
        )
        yield* ones(10)
        const arena = yield* arenaOf()
        yield* waitUntil("only what the worker was granted is held", () => arena.heldBytes <= 64 * MIB)
        yield* Effect.promise(() => arena.relieve())
        yield* waitForHeld(0)
      })
    )
  )

  it.live.each(["result", "item of a stream", "argument of a callback", "adapted value"])(
    "nothing is left of a message that does not decode: %s",
    (where) => {
      const ask: Effect.Effect<unknown, SnakepitError.SnakepitError, Snakepit.Snakepit> =
        {
          result: Snakepit.call("sharing.undecodable", { args: [50_000] }),
          "item of a stream": Stream.runDrain(Snakepit.stream("sharing.undecodable_items", { args: [50_000] })),
          "argument of a callback": Snakepit.call("sharing.call_with_undecodable", { args: [() => 1, 50_000] }),
          "adapted value": Snakepit.call("sharing.adapted", { args: [50_000] })
        }[where] ?? assert.fail(where)
      const refusing: ValueAdapter = {
        name: "sharing/adapted",
        is: (value): value is symbol => typeof value === "symbol",
        encode: () => assert.fail("nothing of the kind is sent"),
        decode: () => {
          throw new Error("it is refused")
        }
      }
      return withPool()(
        Effect.gen(function* () {
          const arena = yield* arenaOf()
          for (const inside of [ask, Effect.scoped(ZeroCopy.scoped(ask))]) {
            const error = yield* Effect.flip(inside)
            assert.include(error.message, "does not decode")
            yield* waitUntil(
              "nothing is held",
              Effect.map(
                Effect.promise(() => arena.relieve()),
                () => arena.heldBytes === 0
              )
            )
          }
        })
      ).pipe(Effect.provide(ValueAdapter.layer(refusing)))
    }
  )

  it.live(
    "of hundreds of leases, while workers are killed, no segment, descriptor or mapping is left",
    () =>
      withPool({ size: 2, maxRestarts: 1_000, zeroCopy: { thresholdBytes: 64 } })(
        Effect.gen(function* () {
          const arena = yield* arenaOf()
          const mappings = () =>
            fs
              .readFileSync("/proc/self/maps", "latin1")
              .split("\n")
              .filter((line) => arena.folders.some((folder) => line.includes(folder)))
          yield* total(ramp(4))
          const before = descriptors().length
          const one = (i: number) => {
            const count = 8 + ((i * 7919) % 100_000)
            if (i % 3 === 0) return ZeroCopy.scoped(ones(count))
            if (i % 3 === 1) return Effect.flatMap(Tensor.from(new Float64Array(count)), total)
            return Snakepit.call("sharing.keep", { args: [new Float64Array(count)] })
          }
          let most = 0
          yield* Effect.forEach(
            Array.from({ length: 400 }, (_, i) => i),
            (i) =>
              Effect.gen(function* () {
                // one may have ended by itself just now
                if (i % 100 === 50) for (const pid of yield* pidsOf()) yield* Effect.exit(kill(pid, "SIGKILL"))
                yield* Effect.scoped(Effect.exit(one(i)))
                most = Math.max(most, mappings().length)
              }),
            { concurrency: 8, discard: true }
          )
          assert.isAbove(most, 0)
          yield* waitForWorkers(2)
          // with it goes what it keeps
          for (const pid of yield* pidsOf()) yield* kill(pid, "SIGKILL")
          yield* waitForHeld(0)
          yield* waitUntil("no segment is left", () => arena.sharedBytes === 0, 20_000)
          assert.deepStrictEqual(mappings(), [])
          yield* waitForWorkers(2)
          yield* waitUntil("the descriptors are as before", () => descriptors().length <= before)
        })
      ),
    60_000
  )

  it.live("no file is left when the scope closes, and results in other scopes end with it", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const services = yield* Layer.buildWithScope(pool(), scope)
      const arena = yield* Effect.provide(arenaOf(), services)
      yield* Effect.provide(total(ramp(20_000)), services)
      const files = () => arena.folders.flatMap((folder) => (fs.existsSync(folder) ? fs.readdirSync(folder) : []))
      assert.isTrue(files().some((file) => file.startsWith("segment-")))
      assert.isTrue(arena.folders.some((folder) => path.dirname(folder) === "/dev/shm"))
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(files(), [])
      assert.isFalse(arena.folders.some((folder) => fs.existsSync(folder)))
    })
  )
})
