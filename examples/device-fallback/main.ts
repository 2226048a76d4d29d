/**
 * Errors that a program acts on: it reads what did not fit out of a `ShapeMismatch`, and after `OutOfMemory` on one device it
 * goes on with another.
 */
import { type PythonError, Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Two pools stand for two devices. The small one is a process that may allocate 256 MB: its `OutOfMemory` is a real one. */
const shared = { size: 1, pythonPath: [import.meta.dirname], preload: ["numpy"], requirements: ["numpy"] }
const python = SnakepitNode.layer({
  pools: {
    small: { ...shared, memoryLimit: 256 * 1024 * 1024 },
    large: shared
  }
})

const megabytes = (bytes: number | null) => (bytes === null ? "an unknown amount" : `${Math.round(bytes / 2 ** 20)} MB`)

const similarities = (pool: "small" | "large", count: number) =>
  Snakepit.call("vectors.similarities", { args: [count, 64], success: Schema.Number, pool })

/** On the small device when it has room, on the large one otherwise. */
const withFallback = (count: number) =>
  similarities("small", count).pipe(
    Effect.tap(() => Console.log(`${count} vectors: the small device had room`)),
    Effect.catchTag("OutOfMemory", ({ device, requestedBytes }) =>
      Effect.andThen(
        Console.log(
          `${count} vectors: no ${megabytes(requestedBytes)} left on the small device (${device}); on to the large one`
        ),
        similarities("large", count)
      )
    )
  )

const explain = ({ dimension, operands, operation, suggestion }: PythonError.ShapeMismatch) =>
  [
    `${operation ?? "the operation"} on ${operands.map(({ shape }) => `(${shape.join(", ")})`).join(" and ")}`,
    dimension === null
      ? ""
      : `axis ${dimension.axes[0]} has ${dimension.sizes[0]}, axis ${dimension.axes[1]} has ${dimension.sizes[1]}`,
    suggestion
  ]
    .filter((part) => part !== "")
    .join("; ")

const program = Effect.gen(function* () {
  for (const count of [1_000, 8_000]) {
    const mean = yield* withFallback(count)
    yield* Console.log(`  mean similarity ${mean.toFixed(4)}`)
  }
  yield* Snakepit.call("vectors.project", { args: [32, 64, [10, 64]], pool: "large" }).pipe(
    Effect.catchTag("ShapeMismatch", (error) => Console.log(explain(error)))
  )
})

NodeRuntime.runMain(Effect.provide(program, python))
