/** What the tests of shared memory have in common: calls that look at it, what is held of it, and what is told of it. */
import { Snakepit, type SnakepitError } from "@snakepit/core"
import { type Arena, SharedMemory, Tensor, type ZeroCopyError } from "@snakepit/zero-copy"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import { waitUntil } from "./harness.ts"

export const MIB = 1024 * 1024
export const floats = Tensor.schema(Float64Array)

type Called<A> = Effect.Effect<A, SnakepitError.SnakepitError, Snakepit.Snakepit>
type OfMemory<A> = Effect.Effect<A, ZeroCopyError.ZeroCopyUnavailable, SharedMemory.SharedMemory>

export const memoryOf = (name?: string): OfMemory<SharedMemory.PoolMemory> =>
  Effect.flatMap(SharedMemory.SharedMemory, (memory) => memory.pool(name))

export const arenaOf = (name?: string): OfMemory<Arena> =>
  Effect.map(memoryOf(name), ({ arena }) => (typeof arena === "string" ? assert.fail(arena) : arena))

export const look = (array: unknown): Called<unknown> => Snakepit.call("sharing.look", { args: [array] })
export const total = (array: unknown): Called<number> =>
  Snakepit.call("sharing.total", { args: [array], success: Schema.Number })
export const ones = (count: number): Called<Tensor<Float64Array>> =>
  Snakepit.call("sharing.ones", { args: [count], success: floats })
export const ramp = (length: number) => Float64Array.from({ length }, (_, i) => i)

/** Waits until nobody holds more than `bytes`. */
export const waitForHeld = (bytes: number, name?: string) =>
  Effect.flatMap(arenaOf(name), (arena) => waitUntil(`at most ${bytes} bytes are held`, () => arena.heldBytes <= bytes))

/** What is told of shared memory from here on. */
export const events = (name?: string): OfMemory<Array<SharedMemory.ZeroCopyEvent>> =>
  Effect.map(memoryOf(name), (memory) => {
    const heard: Array<SharedMemory.ZeroCopyEvent> = []
    memory.listeners.add((event) => heard.push(event))
    return heard
  })

/** Whether a call ended because its worker was killed. */
export const isCrash = (error: unknown) =>
  Predicate.isTagged(error, "WorkerCrash") || Predicate.isTagged(error, "PoisonCall")
