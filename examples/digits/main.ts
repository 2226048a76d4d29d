/**
 * Reads handwritten digits with scikit-learn, from TypeScript: `npm run demo`.
 *
 * A session trains a classifier in one worker and streams its progress. What it learned goes to three workers as tensors,
 * and they read 450 images at the same time. Then two things go wrong, an exception and a crash, and the program goes on.
 */
import * as path from "node:path"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { type PyRef, Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { Tensor } from "@snakepit/zero-copy"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Measured from "./Measured.ts"
import * as Terminal from "./Terminal.ts"

const WORKERS = 3
const EPOCHS = 40
const PIXELS = 64

// One pool of workers, and what they need. The first start installs it, into `.snakepit` beside package.json.
const SnakepitLive = SnakepitNode.layer({
  pools: {
    default: {
      size: WORKERS,
      requirements: ["numpy>=1.26,<3", "scikit-learn>=1.5,<2"],
      pythonPath: [import.meta.dirname]
    }
  }
})

// What comes from Python is decoded, so TypeScript knows its types and a surprise is an error at once.
const Epoch = Schema.Struct({ epoch: Schema.Int, loss: Schema.Number, accuracy: Schema.Number })
const Parameters = Schema.Tuple([
  Tensor.schema(Float64Array, { shape: [10, PIXELS] }),
  Tensor.schema(Float64Array, { shape: [10] })
])
const TestSet = Schema.Tuple([
  Tensor.schema(Float64Array, { shape: [null, PIXELS] }),
  Tensor.schema(BigInt64Array, { shape: [null] })
])
const Digits = Schema.Array(Schema.Int)

/** Trains in a session: the trainer is a Python object that lives in one worker until the scope ends. */
const train = Effect.gen(function* () {
  const session = yield* Snakepit.session()
  const trainer = yield* session.construct("digits.Trainer")
  const bar = Terminal.progressBar("training", EPOCHS)
  yield* trainer
    .stream("fit", { args: [EPOCHS], success: Epoch })
    .pipe(
      Stream.runForEach(({ accuracy, epoch, loss }) =>
        bar.advance(epoch, `loss ${loss.toFixed(3)}  accuracy ${percent(accuracy)}`)
      )
    )
  const parameters = yield* trainer.call("parameters", { success: Parameters })
  const [images, digits] = yield* trainer.call("test_set", { success: TestSet })
  return { parameters, images, digits: Array.from(digits.data, Number) }
}).pipe(Effect.scoped)

/** A classifier in a session of its own, and so on a worker of its own while there are any. */
const classifier = ([weights, biases]: typeof Parameters.Type) =>
  Effect.gen(function* () {
    const session = yield* Snakepit.session()
    return yield* session.construct("digits.Classifier", { args: [weights, biases] })
  })

/** Asks for the digits of some images: one row of pixels each. */
const predict = (model: PyRef, images: Tensor) => model.call("predict", { args: [images], success: Digits })

/** Reads images one by one, each on the classifier whose turn it is. */
const predictEach = (models: ReadonlyArray<PyRef>, images: Tensor<Float64Array>) =>
  Effect.forEach(
    rows(images),
    (row, i) => Measured.call(Effect.map(predict(models[i % models.length]!, row), ([digit]) => digit)),
    { concurrency: 4 * models.length }
  ).pipe(Measured.batch)

/** The rows of a table of pixels: views over the same memory, nothing is copied. */
const rows = (images: Tensor<Float64Array>) =>
  Array.from({ length: images.shape[0] ?? 0 }, (_, i) =>
    Tensor.make(images.data.subarray(i * PIXELS, (i + 1) * PIXELS), [1, PIXELS])
  )

const accuracy = (read: ReadonlyArray<number | undefined>, digits: ReadonlyArray<number>) =>
  read.filter((digit, i) => digit === digits[i]).length / read.length

const percent = (ratio: number) => `${(100 * ratio).toFixed(1)} %`

const demo = Effect.gen(function* () {
  const version = yield* Snakepit.call("platform.python_version", { success: Schema.String })
  yield* Terminal.title(`${WORKERS} workers with Python ${version}`)

  yield* Terminal.title("A session trains a classifier on 1,347 scanned digits")
  const { digits, images, parameters } = yield* train

  yield* Terminal.title(`${WORKERS} workers read ${digits.length} other images, one call each`)
  const models = yield* Effect.forEach([1, 2, 3], () => classifier(parameters), { concurrency: WORKERS })
  const calm = yield* predictEach(models, images)
  yield* Terminal.line(`read ${percent(accuracy(calm.results, digits))} of them correctly`)

  yield* Terminal.title("An image with 63 pixels")
  yield* predict(models[0]!, Tensor.make(new Float64Array(63), [1, 63])).pipe(
    Effect.asVoid,
    Effect.catchTag("ValueError", (error) => Terminal.line(`caught ${error._tag}: ${error.message}`))
  )

  yield* Terminal.title("A worker is killed in the middle of a call, while the others read the images again")
  const [victim, ...others] = models
  const [, stormy] = yield* Effect.all(
    [
      victim!.call("run_out_of_memory").pipe(
        Effect.asVoid,
        Effect.catchTag("WorkerCrash", (error) => Terminal.line(`caught ${error._tag}: ${error.message}`))
      ),
      predictEach(others, images)
    ],
    { concurrency: "unbounded" }
  )
  yield* Terminal.line(`meanwhile the others read ${percent(accuracy(stormy.results, digits))} correctly`)
  const successor = yield* classifier(parameters)
  const [digit] = yield* predict(successor, rows(images)[0]!)
  yield* Terminal.line(`a new classifier reads the first image: ${digit}, and it shows ${digits[0]}`)

  yield* Terminal.title("Measured")
  yield* Terminal.table([
    ["", "calls", "median", "95 %", "calls/s", "correct"],
    [`${WORKERS} workers`, ...Measured.columns(calm), percent(accuracy(calm.results, digits))],
    [`${WORKERS - 1} workers, and a crash`, ...Measured.columns(stormy), percent(accuracy(stormy.results, digits))]
  ])
}).pipe(Effect.scoped)

NodeRuntime.runMain(Effect.provide(demo, SnakepitLive))
