/**
 * The TypeScript half of sending your own types to Python and getting them back.
 *
 * An adapter gives a type a name and a payload made of values that can cross already. The Python half registers the
 * same name: `snakepit_worker.adapters.register`. An adapter is asked about instances of classes only, before the
 * built-in rows of the value table are; numbers, strings, plain arrays and plain objects are never offered to it.
 *
 * @example
 * const pointAdapter: ValueAdapter<Point> = {
 *   name: "my-app/point",
 *   is: (value): value is Point => value instanceof Point,
 *   encode: (point) => [point.x, point.y],
 *   decode: (payload) => new Point(...Schema.decodeUnknownSync(Schema.Tuple([Schema.Number, Schema.Number]))(payload))
 * }
 * program.pipe(Effect.provide(ValueAdapter.layer(pointAdapter)))
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * How values of one type cross.
 *
 * `encode` and `decode` are synchronous and may throw: the call then fails with an `EncodeError` or `DecodeError` that
 * has the adapter's name and the message. The payload may hold anything that can cross, adapted values included.
 */
export interface ValueAdapter<A = unknown> {
  /** The same on both sides; prefix it with your package's name. */
  readonly name: string
  readonly is: (value: unknown) => value is A
  // A method, so that adapters of different types fit one list: `encode` is only ever given what `is` accepted.
  encode(value: A): unknown
  readonly decode: (payload: unknown) => A
}

/** The adapters in force, first match first. None by default; the Python worker adds those for tensors and tables. */
export const ValueAdapters: Context.Reference<ReadonlyArray<ValueAdapter>> = Context.Reference<
  ReadonlyArray<ValueAdapter>
>("@snakepit/core/ValueAdapters", { defaultValue: () => [] })

export const ValueAdapter = {
  /**
   * Puts adapters in front of those that are in force already.
   *
   * Provide it where the workers' layer is built. Give all adapters to one `layer`, or provide one layer to another:
   * of two layers that are merged side by side, only one counts.
   */
  layer: (...adapters: ReadonlyArray<ValueAdapter>): Layer.Layer<never> =>
    Layer.effect(
      ValueAdapters,
      Effect.map(ValueAdapters, (outer) => [...adapters, ...outer])
    )
} as const
