/** A program that sends and receives an array of 160,000 bytes, and prints what became of it, as JSON. */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { SharedMemory, Tensor, ZeroCopy } from "@snakepit/zero-copy"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"

const warnings: Array<string> = []
const logger = Logger.make(({ logLevel, message }) => {
  if (logLevel === "Warn") warnings.push(String(message))
})

const floats = Tensor.schema(Float64Array)
const ones = Snakepit.call("sharing.ones", { args: [20_000], success: floats })
const tagOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.match(effect, { onFailure: ({ _tag }) => _tag, onSuccess: () => "success" })

const program = Effect.gen(function* () {
  const memory = yield* (yield* SharedMemory.SharedMemory).pool()
  const fallbacks: Array<SharedMemory.ZeroCopyEvent> = []
  memory.listeners.add((event) => {
    if (event.name === "zero_copy.fallback") fallbacks.push(event)
  })
  const made = yield* Tensor.from(new Float64Array(20_000).fill(2))
  const total = (args: ReadonlyArray<unknown>) => Snakepit.call("sharing.total", { args, success: Schema.Number })
  const sums = [yield* total([made]), yield* total([new Float64Array(20_000).fill(3)])]
  const results = [yield* ZeroCopy.scoped(ones), yield* ZeroCopy.scoped(ones)]
  const strict = (name: string) => ({
    make: tagOf(Tensor.make(Uint8Array, [1], { pool: name })),
    argument: tagOf(Snakepit.call("sharing.total", { args: [new Float64Array(20_000)], pool: name })),
    result: tagOf(Snakepit.call("sharing.ones", { args: [20_000], pool: name }))
  })
  return {
    folders: typeof memory.arena === "string" ? memory.arena : memory.arena.folders,
    sums,
    copied: [made, ...results].map(({ copied }) => copied),
    correct: results.every(({ data }) => data.every((x) => x === 1)),
    fallbacks,
    warnings,
    strict: yield* Effect.all(strict("strict"))
  }
}).pipe(Effect.scoped)

const pool = { size: 1, pythonPath: [import.meta.dirname], progress: "silent" } as const
const layer = SnakepitNode.layer({ pools: { default: pool, strict: { ...pool, zeroCopy: { strict: true } } } })
console.log(
  JSON.stringify(await Effect.runPromise(Effect.provide(program, Layer.provide(layer, Logger.layer([logger])))))
)
