// An image goes through three steps in Python, and is never copied on its way there: `npx node --conditions=snakepit-source
// examples/images/main.ts`, in the root of the repository.
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { SharedMemory, Tensor, ZeroCopy } from "@snakepit/zero-copy"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const HEIGHT = 1080
const WIDTH = 1920

const image = Tensor.schema(Float32Array, { shape: [null, null, 3] })

/** A sunset, drawn straight into memory that Python sees. */
const draw = (pixels: Float32Array) => {
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      const sun = Math.hypot(x - WIDTH / 2, y - HEIGHT / 2) < 200 ? 1 : 0
      pixels.set([Math.max(sun, y / HEIGHT), sun * 0.8, 1 - y / HEIGHT], (y * WIDTH + x) * 3)
    }
  }
}

const timed = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.timed(effect), ([duration, result]) => {
    console.log(`${name.padEnd(10)} ${Duration.toMillis(duration).toFixed(1)} ms`)
    return result
  })

const program = Effect.gen(function* () {
  const drawn = yield* Tensor.make(Float32Array, [HEIGHT, WIDTH, 3])
  draw(drawn.data)

  const counts = { exported: 0, copied: 0 }
  const memory = yield* (yield* SharedMemory.SharedMemory).pool()
  memory.listeners.add((event) => {
    if (event.name !== "zero_copy.export") return
    counts.exported += event.bytes
    if (event.copied) counts.copied += event.bytes
  })

  const blurred = yield* timed(
    "blur",
    ZeroCopy.scoped(Snakepit.call("images.blur", { args: [drawn, 6], success: image }))
  )
  const sharp = yield* timed(
    "sharpen",
    ZeroCopy.scoped(Snakepit.call("images.sharpen", { args: [drawn, blurred, 1.5], success: image }))
  )
  // one colour of the middle of the image: a view with strides, of the same bytes
  const red = sharp.slice([HEIGHT / 4, -HEIGHT / 4], null, 0)
  const bars = yield* timed(
    "histogram",
    Snakepit.call("images.histogram", { args: [red], success: Schema.Array(Schema.Number) })
  )
  const most = Math.max(...bars)
  for (const [i, bar] of bars.entries()) console.log(`${(i / 8).toFixed(3)} ${"#".repeat((bar / most) * 50)}`)
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
  console.log(`${megabytes(counts.exported)} of arguments reached Python, ${megabytes(counts.copied)} were copied`)
}).pipe(Effect.scoped)

const layer = SnakepitNode.layer({
  pools: { default: { size: 2, requirements: ["numpy>=1.24"], pythonPath: [import.meta.dirname] } }
})

await Effect.runPromise(Effect.provide(program, layer))
