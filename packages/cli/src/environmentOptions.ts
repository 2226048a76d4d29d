/** What the flags mean to `Environment` and to pools. Loaded with the commands: help and completions need none of it. */
import { Environment } from "@snakepit/python-worker"
import * as path from "node:path"
import * as Option from "effect/Option"
import type { EnvironmentFlags, WorkerFlags } from "./environmentFlags.ts"

/**
 * The options of `Environment`, and of a pool. So that `call` finds what `setup` made and `env add` added, all commands mean the
 * nearest project unless they are told otherwise.
 */
export const environmentOptions = (flags: EnvironmentFlags): Environment.EnvironmentOptions => {
  const { requirement: requirements = [] } = flags
  const isInline = requirements.length > 0
  return {
    python: Option.getOrUndefined(flags.python),
    pyproject:
      Option.getOrUndefined(flags.pyproject ?? Option.none()) ?? (isInline ? undefined : Environment.nearestProject()),
    requirements: isInline ? requirements : undefined,
    lock: Option.getOrUndefined(flags.lock),
    uv: { offline: flags.offline, torchBackend: Option.getOrUndefined(flags.torchBackend) }
  }
}

/** The pool of the one worker that a command starts. It imports what stands in the working directory. */
export const workerPool = (flags: WorkerFlags) => ({
  ...environmentOptions(flags),
  size: 1,
  // a fork server pays from the second worker on
  start: "spawn" as const,
  pythonPath: [process.cwd(), ...flags.path.map((folder) => path.resolve(folder))]
})
