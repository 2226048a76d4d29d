/** The Python environment that this repository is developed and tested with: the locked `requirements-dev.txt`. */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Environment from "../packages/python-worker/src/Environment.ts"
import { EnvironmentProgress, terminal } from "../packages/python-worker/src/EnvironmentProgress.ts"
import { read, root } from "./repository.ts"

/** Makes the environment, or finds it. */
export const environment: ReturnType<typeof Environment.sync> = Environment.sync({
  requirements: read("python/requirements-dev.txt")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#")),
  directory: path.join(root, ".snakepit")
}).pipe(Effect.provideService(EnvironmentProgress, terminal()))
