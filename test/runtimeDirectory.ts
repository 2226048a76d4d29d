/** Has pools that start in a scope put their sockets into a folder. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

const variable = "XDG_RUNTIME_DIR"

export const useRuntimeDirectory = (folder: string): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = process.env[variable]
        process.env[variable] = folder
        return before
      }),
      (before) =>
        Effect.sync(() => {
          if (before === undefined) delete process.env[variable]
          else process.env[variable] = before
        })
    )
  )
