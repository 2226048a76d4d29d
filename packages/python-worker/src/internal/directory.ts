/** Work on the file system, whose failures name the folder that cannot be used. */
import * as Effect from "effect/Effect"
import { EnvironmentNotWritable } from "../EnvironmentError.ts"

/** @internal */
export const useDirectory = <A>(directory: string, use: () => A): Effect.Effect<A, EnvironmentNotWritable> =>
  Effect.try({
    try: use,
    catch: (cause) =>
      new EnvironmentNotWritable({ path: directory, reason: cause instanceof Error ? cause.message : String(cause) })
  })
