/**
 * A tensor on an accelerator, as TypeScript holds it: a handle. It is made in Python and used in Python; here one knows where it is,
 * of which dtype and which shape, and passes it on.
 *
 * Torch, cupy and jax arrays that the CPU cannot read come as these from calls of a session, and go back to calls of the same
 * session as the very array, without any copying. {@link DeviceTensor.share} makes a description that other workers open through
 * CUDA IPC, {@link DeviceTensor.toHost} a copy in main memory. Outside of a session such a result fails with
 * `UnserializableResult`, since nothing would keep it alive.
 */
import { isPyRef, type PyRef, type SnakepitError, type ValueAdapter } from "@snakepit/core"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { parseShape } from "./internal/dtype.ts"
import { Tensor } from "./Tensor.ts"

/** What every handle says of its tensor. */
interface Description {
  /** `cuda:0`, `mps`, `tpu:1`. */
  readonly device: string
  /** The library's name of it: `float32`, `bfloat16`, `int8`. */
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  /** `torch`, `cupy` or `jax`. */
  readonly library: string
}

const TypeId = "~@snakepit/zero-copy/DeviceTensor"

const anyTensor = Schema.declare(Tensor.isTensor, { identifier: "Tensor" })

/** A tensor that lives in a session's worker. It ends with {@link DeviceTensor.close}, its session, or its worker. */
export class DeviceTensor implements Description {
  readonly [TypeId] = TypeId
  readonly device: string
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly library: string
  private readonly ref: PyRef

  constructor(ref: PyRef, { device, dtype, library, shape }: Description) {
    this.ref = ref
    this.device = device
    this.dtype = dtype
    this.shape = shape
    this.library = library
  }

  static readonly isDeviceTensor = (value: unknown): value is DeviceTensor =>
    typeof value === "object" && value !== null && TypeId in value

  /** Matches tensors on a device, by dtype and number of dimensions where they are given; null for any length. */
  static schema(
    options: {
      readonly dtype?: string | undefined
      readonly shape?: ReadonlyArray<number | null> | undefined
    } = {}
  ): Schema.declare<DeviceTensor> {
    const { dtype, shape } = options
    const expected = `DeviceTensor(${dtype ?? "any dtype"}${shape === undefined ? "" : `, ${shape.map((n) => n ?? "?").join("x")}`})`
    return Schema.declare(
      (value): value is DeviceTensor =>
        DeviceTensor.isDeviceTensor(value) &&
        (dtype === undefined || dtype === value.dtype) &&
        (shape === undefined ||
          (shape.length === value.shape.length && shape.every((n, i) => n === null || n === value.shape[i]))),
      { identifier: expected, expected }
    )
  }

  /** A copy in main memory. Inside `ZeroCopy.scoped` it is in shared memory. */
  toHost(): Effect.Effect<Tensor, SnakepitError.SnakepitError> {
    return this.ref.call("to_host", { success: anyTensor })
  }

  /**
   * What other workers open through CUDA IPC: it can be an argument of any call of a pool on the same GPU. The tensor must live as
   * long as they use it. Fails with `TypeError` for a device that is no NVIDIA GPU, or without torch.
   */
  share(): Effect.Effect<SharedDeviceTensor, SnakepitError.SnakepitError> {
    return Effect.map(
      this.ref.call("share", { success: Schema.Array(Schema.Unknown) }),
      (parts) => new SharedDeviceTensor(parts, this)
    )
  }

  /** Lets go of the tensor in Python. Using it later fails with `SessionLost`. */
  get close(): Effect.Effect<void> {
    return this.ref.release
  }

  /** Closes it with the scope. */
  get scoped(): Effect.Effect<DeviceTensor, never, Scope.Scope> {
    return Effect.acquireRelease(Effect.succeed(this), (tensor) => tensor.close)
  }

  /** `DeviceTensor(float32, 2x3, cuda:0)`. */
  toString(): string {
    return `DeviceTensor(${this.dtype}, ${this.shape.length === 0 ? "no dimensions" : this.shape.join("x")}, ${this.device})`
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString()
  }

  /** Carries both kinds of handle; arrays of Python become the first. */
  static readonly adapter: ValueAdapter<DeviceTensor | SharedDeviceTensor> = {
    name: "device",
    is: (value): value is DeviceTensor | SharedDeviceTensor =>
      DeviceTensor.isDeviceTensor(value) || value instanceof SharedDeviceTensor,
    encode: (value) => [value instanceof SharedDeviceTensor ? value.parts : value.ref],
    decode: (payload) => {
      const [ref, device, dtype, shape, library] = Array.isArray(payload) ? payload : []
      if (!isPyRef(ref) || typeof device !== "string" || typeof dtype !== "string" || typeof library !== "string") {
        throw new TypeError("expected [ref, device, dtype, shape, library]")
      }
      return new DeviceTensor(ref, { device, dtype, shape: parseShape(shape), library })
    }
  }
}

/** How another worker opens a tensor on an NVIDIA GPU; what {@link DeviceTensor.share} answers. */
export class SharedDeviceTensor implements Description {
  readonly device: string
  readonly dtype: string
  readonly shape: ReadonlyArray<number>
  readonly library: string
  /** The driver's handles, sizes and strides, for Python. */
  readonly parts: ReadonlyArray<unknown>

  constructor(parts: ReadonlyArray<unknown>, { device, dtype, library, shape }: Description) {
    this.parts = parts
    this.device = device
    this.dtype = dtype
    this.shape = shape
    this.library = library
  }
}
