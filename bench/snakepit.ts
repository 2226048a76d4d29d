/**
 * Snakepit as a subject of the benches, through its public API only. The loops run inside one fiber per caller, as
 * they do in a program written with Effect; a promise is crossed once per round, never once per call.
 */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import * as Effect from "effect/Effect"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { interpreter } from "./interpreter.ts"
import { argument, check, type Subject } from "./subject.ts"

export interface SnakepitSubject extends Subject {
  /** Like `oneByOne`, with a call that raises `ValueError` in Python and is caught by its tag here. */
  readonly failOneByOne: (micros: Float64Array) => Promise<void>
  /** Times sending `payload` as one argument; the reply is its length. */
  readonly sendOneByOne: (micros: Float64Array, payload: Uint8Array) => Promise<void>
  /** Times receiving `unit` repeated `count` times as one result. */
  readonly receiveOneByOne: (micros: Float64Array, unit: Uint8Array, count: number) => Promise<void>
  /** The checksum that Python computes over `payload` as it arrived there. */
  readonly crc32: (payload: Uint8Array) => Promise<number>
  /** `unit` repeated `count` times, made in Python. */
  readonly repeat: (unit: Uint8Array, count: number) => Promise<Uint8Array>
  /** Process id of the worker. Use with one worker, where there is no other to answer. */
  readonly pid: () => Promise<number>
  /** Makes the worker import numpy; answers false where it is not installed. */
  readonly importNumpy: () => Promise<boolean>
}

const sqrt = (x: number) => Snakepit.call("math.sqrt", { args: [x], success: Schema.Number })

const length = (payload: Uint8Array) => Snakepit.call("builtins.len", { args: [payload], success: Schema.Number })

const repeat = (unit: Uint8Array, count: number) =>
  Snakepit.call("operator.mul", { args: [unit, count], success: Schema.Uint8Array })

/** Starts a pool of `workers` workers, in the default way unless told otherwise, and waits until it has answered. */
export const openSnakepit = async (workers: number, how?: "fork" | "spawn"): Promise<SnakepitSubject> => {
  const runtime = ManagedRuntime.make(
    SnakepitNode.layer({ pools: { default: { size: workers, start: how, python: interpreter() } } })
  )
  try {
    await runtime.runPromise(sqrt(4))
  } catch (error) {
    await runtime.dispose()
    throw error
  }
  return {
    name: "snakepit",
    oneByOne: (micros) =>
      runtime.runPromise(
        Effect.gen(function* () {
          for (let i = 0; i < micros.length; i++) {
            const x = argument(i)
            const start = performance.now()
            const answer = yield* sqrt(x)
            micros[i] = (performance.now() - start) * 1000
            check(x, answer)
          }
        })
      ),
    inFlight: (calls, concurrency) =>
      runtime.runPromise(
        Effect.gen(function* () {
          let next = 0
          const caller = Effect.gen(function* () {
            while (next < calls) {
              const x = argument(next++)
              check(x, yield* sqrt(x))
            }
          })
          const start = performance.now()
          yield* Effect.all(
            Array.from({ length: concurrency }, () => caller),
            {
              concurrency: "unbounded",
              discard: true
            }
          )
          return (calls / (performance.now() - start)) * 1000
        })
      ),
    failOneByOne: (micros) =>
      runtime.runPromise(
        Effect.gen(function* () {
          for (let i = 0; i < micros.length; i++) {
            const start = performance.now()
            const caught = yield* sqrt(-1).pipe(Effect.catchTag("ValueError", (error) => Effect.succeed(error)))
            micros[i] = (performance.now() - start) * 1000
            if (typeof caught === "number") throw new Error(`math.sqrt(-1): expected ValueError, got ${caught}`)
          }
        })
      ),
    sendOneByOne: (micros, payload) =>
      runtime.runPromise(
        Effect.gen(function* () {
          for (let i = 0; i < micros.length; i++) {
            const start = performance.now()
            const arrived = yield* length(payload)
            micros[i] = (performance.now() - start) * 1000
            checkLength(payload.length, arrived)
          }
        })
      ),
    receiveOneByOne: (micros, unit, count) =>
      runtime.runPromise(
        Effect.gen(function* () {
          for (let i = 0; i < micros.length; i++) {
            const start = performance.now()
            const bytes = yield* repeat(unit, count)
            micros[i] = (performance.now() - start) * 1000
            checkLength(unit.length * count, bytes.length)
          }
        })
      ),
    crc32: (payload) => runtime.runPromise(Snakepit.call("zlib.crc32", { args: [payload], success: Schema.Number })),
    repeat: (unit, count) => runtime.runPromise(repeat(unit, count)),
    pid: () => runtime.runPromise(Snakepit.call("os.getpid", { success: Schema.Number })),
    importNumpy: () =>
      runtime.runPromise(
        Snakepit.call("numpy.abs", { args: [-1] }).pipe(
          Effect.as(true),
          Effect.catchTag(["ImportError", "ModuleNotFoundError"], () => Effect.succeed(false))
        )
      ),
    [Symbol.asyncDispose]: () => runtime.dispose()
  }
}

const checkLength = (expected: number, got: number): void => {
  if (got !== expected) throw new Error(`expected ${expected} bytes, got ${got}`)
}
