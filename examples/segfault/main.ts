/**
 * Python that dies of a segmentation fault, and a program that does not: `node examples/segfault/main.ts` in the root of the
 * repository. Needs nothing but Python.
 */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as References from "effect/References"
import * as Schema from "effect/Schema"

/** Where `native.py` notes which seeds it has died of. */
const marks = fs.mkdtempSync(path.join(os.tmpdir(), "segfault-"))

const estimate = (points: number, seed: number) =>
  Snakepit.call("native.estimate_pi", { args: [points, seed, marks], idempotent: true, success: Schema.Number })

const program = Effect.gen(function* () {
  // idempotent calls are tried again on a fresh worker: nobody notices that two of these died
  const estimates = yield* Effect.forEach([1, 2, 3, 4, 5, 6], (seed) => estimate(100_000, seed), { concurrency: 3 })
  console.log(`${estimates.length} estimates, all near 3.14: ${estimates.every((pi) => Math.abs(pi - 3.14) < 0.05)}`)

  // a call that may not run twice tells what happened to it
  const crash = yield* Effect.flip(Snakepit.call("native.always_dies"))
  if (crash._tag !== "WorkerCrash") return yield* Effect.fail(crash)
  console.log(`${crash.crash}, may have run: ${crash.mayHaveExecuted}`)
  console.log(`it died in ${crash.pythonStack[0]?.frames.map((frame) => frame.function).join(" > ") ?? "?"}`)

  const crashes = yield* Snakepit.crashes({ crash: "segfault" })
  const unnoticed = crashes.filter(({ inFlight }) => inFlight.includes("native.estimate_pi"))
  console.log(`${unnoticed.length} crashes that no caller noticed; the next estimate is ${yield* estimate(1000, 1)}`)
})

await Effect.runPromise(
  program.pipe(
    Effect.provide(
      SnakepitNode.layer({ pools: { default: { size: 2, pythonPath: [path.join(import.meta.dirname)] } } })
    ),
    // without this, the log shows each crash with its Python stack
    Effect.provideService(References.MinimumLogLevel, "Error")
  )
)
fs.rmSync(marks, { recursive: true })
