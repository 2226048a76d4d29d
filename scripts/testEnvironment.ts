/** Runs before vitest's tests: makes the development environment the active one, so that it is what Snakepit finds. */
import * as Effect from "effect/Effect"
import { environment } from "./development.ts"

/** Called by vitest. */
export const setup = async (): Promise<void> => {
  const { directory } = await Effect.runPromise(environment)
  process.env["VIRTUAL_ENV"] = directory
}
