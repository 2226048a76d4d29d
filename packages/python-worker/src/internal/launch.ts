/** What workers of one pool are started with: interpreter, paths, environment. Prepared once, before the first worker. */
import type { PoolConfig } from "@snakepit/core"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { PythonOptions } from "../PythonWorkerConfig.ts"

/** A Python, and what to start it with. */
export interface Interpreter {
  readonly python: string
  /** The worker package, then, if there is one, the folder with what it needs. */
  readonly paths: ReadonlyArray<string>
  readonly cwd: string | undefined
  readonly env: NodeJS.ProcessEnv
}

/** Puts together what a pool's interpreters are started with. */
export const interpreter = (
  pool: PoolConfig.PoolOptions,
  options: PythonOptions,
  python: string,
  dependencies: string | undefined
): Interpreter => ({
  python,
  paths: dependencies === undefined ? [workerSource()] : [workerSource(), dependencies],
  cwd: options.cwd,
  env: { ...process.env, ...threadLimits(threadShare(pool.size)), ...options.env }
})

/** How many threads of a numeric library one worker may start without fighting the others for cores. */
export const threadShare = (workers: number): number => Math.max(1, Math.floor(os.availableParallelism() / workers))

/**
 * Numeric libraries start a thread for each core unless told otherwise. Variables that are set already are left alone.
 */
const threadLimits = (share: number): Record<string, string> => {
  const limits: Record<string, string> = {}
  for (const name of ["OMP", "OPENBLAS", "MKL", "NUMEXPR"]) {
    const variable = `${name}_NUM_THREADS`
    if (process.env[variable] === undefined) limits[variable] = String(share)
  }
  if (process.env["VECLIB_MAXIMUM_THREADS"] === undefined) limits["VECLIB_MAXIMUM_THREADS"] = String(share)
  return limits
}

/** The worker package: beside the packages in the repository, inside this package when it is installed. */
const workerSource = (): string => {
  const here = path.dirname(fileURLToPath(import.meta.url))
  const candidates = [path.join(here, "../../../../python/src"), path.join(here, "../../python/src")]
  for (const candidate of candidates) {
    if (fs.existsSync(path.join(candidate, "snakepit_worker", "__main__.py"))) return candidate
  }
  throw new Error(`the Python worker package is not at ${candidates.join(" or ")}`)
}
