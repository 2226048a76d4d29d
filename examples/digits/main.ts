/**
 * Reads handwritten digits with scikit-learn, from TypeScript: `npm run demo`.
 *
 * A session trains a classifier in one worker and streams its progress. What it learned goes to three workers as tensors,
 * and they read 450 images at the same time. Then two things go wrong, an exception and a crash, and the program goes on.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { type PyRef, Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { Tensor } from "@snakepit/zero-copy"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Measured from "./Measured.ts"
import * as Terminal from "./Terminal.ts"

const EPOCHS = 40
const PIXELS = 64

// Three Python processes, and what they need. The first start installs it, into `.snakepit` beside package.json.
const SnakepitLive = SnakepitNode.layer({
  pools: {
    default: {
      size: 3,
      requirements: ["numpy>=1.26,<3", "scikit-learn>=1.5,<2"],
      pythonPath: [import.meta.dirname] // where digits.py is
    }
  }
})

// Whatever comes from Python is decoded: TypeScript knows its type, and a surprise is an error at once.
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

/** An image as one row of pixels, and the digit that it shows. */
interface Sample {
  readonly image: Tensor
  readonly digit: number
}

/** Trains in a session: the trainer is a Python object, and lives in one worker until the scope ends. */
const train = Effect.gen(function* () {
  const session = yield* Snakepit.session()
  const trainer = yield* session.construct("digits.Trainer")

  // `fit` is a Python generator.
  const bar = Terminal.progressBar("training", EPOCHS)
  yield* trainer
    .stream("fit", { args: [EPOCHS], success: Epoch })
    .pipe(
      Stream.runForEach(({ accuracy, epoch, loss }) =>
        bar.advance(epoch, `loss ${loss.toFixed(3)}  accuracy ${Measured.percent(accuracy)}`)
      )
    )

  const parameters = yield* trainer.call("parameters", { success: Parameters })
  const [images, digits] = yield* trainer.call("test_set", { success: TestSet })
  return { parameters, samples: samplesOf(images, digits) }
}).pipe(Effect.scoped)

/** Cuts the images into rows: views over the same memory, nothing is copied. */
const samplesOf = (images: Tensor<Float64Array>, digits: Tensor<BigInt64Array>) =>
  Array.from(digits.data, (digit, i): Sample => {
    const pixels = images.data.subarray(i * PIXELS, (i + 1) * PIXELS)
    return { image: Tensor.of(pixels, [1, PIXELS]), digit: Number(digit) }
  })

/** A classifier in a session of its own. Sessions go to the worker that has the fewest. */
const classifier = ([weights, biases]: typeof Parameters.Type) =>
  Effect.gen(function* () {
    const session = yield* Snakepit.session()
    return yield* session.construct("digits.Classifier", { args: [weights, biases] })
  })

/** Asks for the digit of an image. */
const predict = (model: PyRef, image: Tensor) =>
  Effect.map(model.call("predict", { args: [image], success: Digits }), ([digit]) => digit)

/** Reads the samples, one call each. The classifiers take turns; each has four calls at a time. */
const readAll = (models: ReadonlyArray<PyRef>, samples: ReadonlyArray<Sample>) =>
  Effect.forEach(
    models,
    (model, turn) =>
      Effect.forEach(
        samples.filter((_, i) => i % models.length === turn),
        ({ digit, image }) => Measured.call(Effect.map(predict(model, image), (read) => read === digit)),
        { concurrency: 4 }
      ),
    { concurrency: "unbounded" }
  ).pipe(Measured.batch)

const demo = Effect.gen(function* () {
  const python = yield* Snakepit.call("platform.python_version", { success: Schema.String })
  yield* Terminal.title(`Three workers are up, with Python ${python}`)

  yield* Terminal.title("A session trains a classifier on 1,347 scanned digits")
  const { parameters, samples } = yield* train

  yield* Terminal.title("Three workers read 450 other images, one call each")
  const copy = classifier(parameters)
  const models = yield* Effect.all([copy, copy, copy], { concurrency: "unbounded" })
  const before = yield* readAll(models, samples)
  yield* Terminal.line(`${Measured.percent(before.correct)} of them were read correctly`)

  const [victim, ...others] = models

  yield* Terminal.title("An image with 63 pixels")
  yield* predict(victim, Tensor.of(new Float64Array(63), [1, 63])).pipe(
    Effect.andThen(Terminal.line("was read all the same")),
    Effect.catchTag("ShapeMismatch", ({ _tag, suggestion }) => Terminal.line(`caught ${_tag}: ${suggestion}`))
  )

  yield* Terminal.title("A worker is killed in the middle of a call, while the others read the images again")
  const [during] = yield* Effect.all(
    [
      readAll(others, samples),
      victim.call("run_out_of_memory").pipe(
        Effect.andThen(Terminal.line("it survived")),
        Effect.catchTag("WorkerCrash", (error) =>
          Terminal.line(`caught ${error._tag}: ${error.worker} ended with ${error.signal}`)
        )
      )
    ],
    { concurrency: "unbounded" }
  )
  yield* Terminal.line("the others finished")
  const after = yield* readAll([yield* copy, ...others], samples)
  yield* Terminal.line("a new copy of the classifier took its place, and the images were read once more")

  yield* Terminal.title("Measured")
  yield* Terminal.table([
    ["", ...Measured.headings],
    ["before", ...Measured.columns(before)],
    ["during the crash", ...Measured.columns(during)],
    ["after it", ...Measured.columns(after)]
  ])
}).pipe(Effect.scoped)

NodeRuntime.runMain(Effect.provide(demo, Layer.provide(SnakepitLive, Terminal.logs)))
