/** Runs an effect for each value of an iteration, one at a time, and closes the iterator whatever happens. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { isAsyncIterable, type Iteration } from "./testObjects.ts"

export const forEachValue = (
  iteration: Iteration,
  each: (item: unknown) => Effect.Effect<unknown, unknown>
): Effect.Effect<void, unknown> => {
  if (Stream.isStream(iteration)) return Stream.runForEach(iteration, each)
  return Effect.acquireUseRelease(
    Effect.sync(
      () => new Cursor(isAsyncIterable(iteration) ? iteration[Symbol.asyncIterator]() : iteration[Symbol.iterator]())
    ),
    (cursor) =>
      Effect.gen(function* () {
        for (let next = yield* cursor.next; next.done !== true; next = yield* cursor.next) yield* each(next.value)
      }),
    (cursor) => cursor.close
  )
}

/** An iterator, and whether it has anything left to close. */
class Cursor {
  private readonly iterator: Iterator<unknown> | AsyncIterator<unknown>
  private state: "open" | "pending" | "over" = "open"

  constructor(iterator: Iterator<unknown> | AsyncIterator<unknown>) {
    this.iterator = iterator
  }

  readonly next: Effect.Effect<IteratorResult<unknown>, unknown> = Effect.suspend(() => {
    this.state = "pending"
    const step = this.guard(() => this.iterator.next())
    if (!(step instanceof Promise)) return Effect.succeed(this.took(step))
    return Effect.tryPromise({
      try: () => step.then((result) => this.took(result)),
      catch: (error) => this.failed(error)
    })
  })

  /** Runs the generator's `finally` blocks. A step that has not come back cannot be waited for: it may never. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    const { state } = this
    this.state = "over"
    if (state === "over") return Effect.void
    const closing = this.iterator.return?.()
    if (!(closing instanceof Promise)) return Effect.void
    if (state === "open") return Effect.promise(() => closing)
    closing.catch(() => {}) // nobody is left to hear of it
    return Effect.void
  })

  private guard<A>(step: () => A): A {
    try {
      return step()
    } catch (error) {
      throw this.failed(error)
    }
  }

  private took(result: IteratorResult<unknown>): IteratorResult<unknown> {
    this.state = result.done === true ? "over" : "open"
    return result
  }

  private failed(error: unknown): unknown {
    this.state = "over"
    return error
  }
}
