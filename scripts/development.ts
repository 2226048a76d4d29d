/** The Python environment that this repository is developed and tested with: the locked `requirements-dev.txt`. */
import * as path from "node:path"
import * as Environment from "../packages/python-worker/src/Environment.ts"
import { read, root } from "./repository.ts"

/** Makes the environment, or finds it. */
export const environment: ReturnType<typeof Environment.make> = Environment.make({
  requirements: read("python/requirements-dev.txt").split("\n"),
  directory: path.join(root, ".snakepit")
})
