/** What workers of one pool are started with: interpreter, paths, environment. Prepared once, before the first worker. */
import type { PoolConfig } from "@snakepit/core"
import * as fs from "node:fs"
import { createRequire } from "node:module"
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
export const prepare = (
  pool: PoolConfig.PoolOptions,
  options: PythonOptions,
  python: string,
  dependencies: string | undefined
): Interpreter => ({
  python,
  paths: dependencies === undefined ? [workerSource()] : [workerSource(), dependencies],
  cwd: options.cwd,
  env: { ...inherited(options.inheritPython), ...threadShare(pool.size), ...options.env }
})

/**
 * What workers get of this process's variables. Those that change Python are left out unless asked for, and so is the user's own
 * `site-packages`: what a worker imports is in its environment, on every machine.
 */
const inherited = (python: boolean): NodeJS.ProcessEnv => {
  if (python) return process.env
  const others = Object.entries(process.env).filter(([name]) => !name.startsWith("PYTHON"))
  return { ...Object.fromEntries(others), PYTHONNOUSERSITE: "1" }
}

/** What tells numeric libraries how many threads to start. */
const threadVariables: ReadonlyArray<string> = [
  "OMP_NUM_THREADS",
  "OPENBLAS_NUM_THREADS",
  "MKL_NUM_THREADS",
  "NUMEXPR_NUM_THREADS",
  "VECLIB_MAXIMUM_THREADS"
]

/**
 * Numeric libraries start a thread for each core unless told otherwise; the workers of a pool share the cores. Variables
 * that are set already are left alone.
 */
const threadShare = (workers: number): Record<string, string> => {
  const share = String(Math.max(1, Math.floor(os.availableParallelism() / workers)))
  const limits: Record<string, string> = {}
  for (const variable of threadVariables) if (process.env[variable] === undefined) limits[variable] = share
  return limits
}

/** What an interpreter is told of threads. */
export const threadLimits = ({ env }: Interpreter): Record<string, string> => {
  const limits: Record<string, string> = {}
  for (const variable of threadVariables) if (env[variable] !== undefined) limits[variable] = env[variable]
  return limits
}

/** The same interpreter with numeric libraries that start no threads. */
export const withoutThreads = (interpreter: Interpreter): Interpreter => ({
  ...interpreter,
  env: { ...interpreter.env, ...Object.fromEntries(threadVariables.map((variable) => [variable, "1"])) }
})

/** Names the folder of the Python sources where neither this file nor `node_modules` leads to them. */
const sourceVariable = "SNAKEPIT_WORKER_SOURCE"

/**
 * The folder with the package `snakepit_worker`: beside the packages in the repository, inside this package when it is
 * installed. Code that a bundler has put into another file finds it as Node finds packages, from that file or from the
 * working directory.
 */
const workerSource = (): string => {
  const given = process.env[sourceVariable]
  const here = path.dirname(fileURLToPath(import.meta.url))
  const candidates =
    given !== undefined
      ? [given]
      : [
          path.join(here, "../../../../python/src"),
          path.join(here, "../../python/src"),
          ...[import.meta.url, path.join(process.cwd(), "package.json")].flatMap(installedSource)
        ]
  for (const candidate of candidates) {
    if (fs.existsSync(path.join(candidate, "snakepit_worker", "worker.py"))) return candidate
  }
  throw new Error(
    `the Python package snakepit_worker is not at ${[...new Set(candidates)].join(" or ")}; set ${sourceVariable} to the ` +
      "folder `python/src` of @snakepit/python-worker"
  )
}

const installedSource = (from: string): ReadonlyArray<string> => {
  try {
    const manifest = createRequire(from).resolve("@snakepit/python-worker/package.json")
    return [path.join(path.dirname(manifest), "python/src")]
  } catch {
    return [] // it is not installed there
  }
}
