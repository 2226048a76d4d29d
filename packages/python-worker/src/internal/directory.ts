/** Work on the file system, whose failures name the directory that cannot be used. */
import * as Effect from "effect/Effect"
import { DirectoryUnusable, EnvironmentError } from "../EnvironmentError.ts"

/** @internal */
export const useDirectory = <A>(directory: string, use: () => A): Effect.Effect<A, EnvironmentError> =>
  Effect.try({
    try: use,
    catch: (cause) => {
      const reason = cause instanceof Error ? cause.message : String(cause)
      return new EnvironmentError({ reason: new DirectoryUnusable({ path: directory, reason }) })
    }
  })
