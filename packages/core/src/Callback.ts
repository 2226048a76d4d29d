/**
 * TypeScript code that Python calls: functions among the arguments of a call, and tools. Workers run it with {@link run}, so that a
 * call that is made in it knows which call waits for it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Call } from "./Call.ts"

/** A callback that runs. */
export interface Callback {
  /** The call that waits for its answer. */
  readonly call: Call
  isOver: boolean
}

/** The callback that a fiber belongs to. The context of its call has the one around it. */
export const Current = Context.Reference<Callback | undefined>("@snakepit/core/Callback/Current", {
  defaultValue: () => undefined
})

/** Runs a callback of a call, or of none: what it answers is a value, a promise or anything else with a `then`, or an Effect. */
export const run = (call: Call | undefined, apply: () => unknown): Effect.Effect<unknown, unknown> => {
  const answer = Effect.suspend(() => {
    const answered = apply()
    if (Effect.isEffect(answered)) return answered as Effect.Effect<unknown, unknown> // needs at most what the caller provides
    return isThenable(answered) ? Effect.promise(async () => answered) : Effect.succeed(answered)
  })
  if (call === undefined) return answer
  return Effect.suspend(() => {
    const callback: Callback = { call, isOver: false }
    return Effect.ensuring(
      Effect.provideService(answer, Current, callback),
      Effect.sync(() => (callback.isOver = true))
    )
  })
}

const isThenable = (value: unknown): boolean =>
  typeof value === "object" && value !== null && typeof Reflect.get(value, "then") === "function"
