/** The last word of a report: whatever ends the work, a display that shows it is told. */
import * as Effect from "effect/Effect"
import { EnvironmentProgress } from "../../EnvironmentProgress.ts"

/** @internal */
export const reportingEnd = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(EnvironmentProgress, (emit) =>
    Effect.onExit(effect, () => Effect.sync(() => emit({ _tag: "End", text: undefined })))
  )
