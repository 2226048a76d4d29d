/** Tensors on accelerators: handles, their lifetimes and their errors. What needs a GPU runs where `SNAKEPIT_GPU_TESTS` is `true`. */
import { Snakepit, type SnakepitError } from "@snakepit/core"
import { DeviceTensor, SharedDeviceTensor, ZeroCopy } from "@snakepit/zero-copy"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { withPool, withPools } from "./harness.ts"

const vector = DeviceTensor.schema({ dtype: "float32", shape: [null] })

/** A call whose result is a handle, in a session. */
const made = (session: Effect.Success<ReturnType<typeof Snakepit.session>>, count = 3) =>
  session.call("accelerator.on_device", { args: [count], success: vector })

describe("DeviceTensor", () => {
  it.live("says where the tensor is, of which dtype and which shape", () =>
    withPool()(
      Effect.gen(function* () {
        const tensor = yield* made(yield* Snakepit.session())
        assert.strictEqual(String(tensor), "DeviceTensor(float32, 3, cuda:0)")
        assert.strictEqual(tensor.library, "cupy")
      })
    )
  )

  it.live("goes back to calls of its session as the very array", () =>
    withPool({ size: 2 })(
      Effect.gen(function* () {
        const session = yield* Snakepit.session()
        const tensor = yield* made(session)
        assert.isTrue(yield* session.call("accelerator.is_same", { args: [tensor, tensor], success: Schema.Boolean }))
        const twice = yield* session.call("accelerator.doubled", { args: [tensor], success: vector })
        assert.strictEqual(yield* session.call("accelerator.total", { args: [twice] }), 6)
      })
    )
  )

  it.live("is copied to main memory when asked, and there to shared memory inside of a scope", () =>
    withPool()(
      Effect.gen(function* () {
        const session = yield* Snakepit.session()
        const tensor = yield* made(session, 30_000)
        const owned = yield* tensor.toHost()
        assert.deepStrictEqual(owned.data.slice(0, 3), new Float32Array([0, 1, 2]))
        const shared = yield* ZeroCopy.scoped(tensor.toHost())
        assert.isFalse(shared.copied)
        assert.strictEqual(shared.data[29_999], 29_999)
      })
    )
  )

  it.live("is gone once it was closed, and with its session", () =>
    withPool()(
      Effect.gen(function* () {
        const lost = yield* Effect.scoped(
          Effect.gen(function* () {
            const session = yield* Snakepit.session()
            const tensor = yield* made(session)
            yield* tensor.close
            const error = yield* Effect.flip(session.call("accelerator.total", { args: [tensor] }))
            assert.strictEqual(error._tag, "SessionLost")
            assert.include(error.message, "was released")
            const scoped = yield* made(session)
            yield* Effect.scoped(scoped.scoped)
            assert.strictEqual((yield* Effect.flip(scoped.toHost()))._tag, "SessionLost")
            return yield* made(session)
          })
        )
        assert.strictEqual((yield* Effect.flip(lost.toHost()))._tag, "SessionLost")
      })
    )
  )

  it.live("cannot be used in another session, or in another pool", () =>
    withPools({ default: {}, other: {} })(
      Effect.gen(function* () {
        const tensor = yield* made(yield* Snakepit.session())
        const refused = (effect: Effect.Effect<unknown, SnakepitError.SnakepitError, Snakepit.Snakepit>) =>
          Effect.map(Effect.flip(effect), ({ _tag }) => assert.strictEqual(_tag, "SessionLost"))
        const elsewhere = yield* Snakepit.session()
        yield* refused(elsewhere.call("accelerator.total", { args: [tensor] }))
        yield* refused(Snakepit.call("accelerator.total", { args: [tensor], pool: "other" }))
      })
    )
  )

  it.live("needs a session to live in", () =>
    withPool()(
      Effect.gen(function* () {
        const error = yield* Effect.flip(Snakepit.call("accelerator.on_device", { args: [3] }))
        assert.strictEqual(error._tag, "UnserializableResult")
        assert.include(error.message, "session")
      })
    )
  )

  it.live("is shared with other workers where there is CUDA, and says so where there is not", () =>
    withPool()(
      Effect.gen(function* () {
        const tensor = yield* made(yield* Snakepit.session())
        const error = yield* Effect.flip(tensor.share())
        assert.strictEqual(error._tag, "TypeError")
        assert.include(error.message, "CUDA IPC shares tensors on NVIDIA GPUs")
      })
    )
  )

  it.live("opens no description of one where it cannot, and says why", () =>
    withPool()(
      Effect.gen(function* () {
        const facts = { device: "cuda:0", dtype: "float32", shape: [3], library: "torch" }
        const open = (parts: ReadonlyArray<unknown>) =>
          Effect.flip(Snakepit.call("accelerator.total", { args: [new SharedDeviceTensor(parts, facts)] }))
        const handle = new Uint8Array(64)
        const parts = [[3], [1], 0, "float32", 0, handle, 512, 0, false, handle, 0, handle, true]
        // the environment of the tests has no torch
        const error = yield* open(parts)
        assert.strictEqual(error._tag, "DecodeError")
        assert.include(error.message, "torch is not installed in the worker's environment")
        assert.include((yield* open(parts.slice(1))).message, "instead of a tensor on a device")
      })
    )
  )

  describe.runIf(process.env["SNAKEPIT_GPU_TESTS"] === "true")("on a GPU, with torch", () => {
    const arange = (session: Effect.Success<ReturnType<typeof Snakepit.session>>) =>
      session.call("torch.arange", { args: [1000], kwargs: { device: "cuda" }, success: DeviceTensor.schema() })

    it.live("a tensor stays on the device from call to call", () =>
      withPool()(
        Effect.gen(function* () {
          const session = yield* Snakepit.session()
          const tensor = yield* arange(session)
          assert.strictEqual(String(tensor), "DeviceTensor(int64, 1000, cuda:0)")
          const sum = yield* session.call("torch.sum", { args: [tensor], success: DeviceTensor.schema() })
          assert.deepStrictEqual((yield* sum.toHost()).toNested(), 499_500)
        })
      )
    )

    it.live("another worker opens the same memory through CUDA IPC", () =>
      withPools({ default: { size: 1 }, other: { size: 1 } })(
        Effect.gen(function* () {
          const session = yield* Snakepit.session()
          const tensor = yield* arange(session)
          const shared = yield* tensor.share()
          const other = yield* Snakepit.session({ pool: "other" })
          yield* other.call("torch.Tensor.fill_", { args: [shared, 7], success: DeviceTensor.schema() })
          const seen = yield* tensor.toHost()
          assert.isTrue(seen.data.every((x) => Number(x) === 7))
        })
      )
    )
  })
})
