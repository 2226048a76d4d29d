/** The flags that say which Python, with which packages: the same on every command that needs one. */
import type { Environment } from "@snakepit/python-worker"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Option from "effect/Option"
import * as Flag from "effect/cli/Flag"

const optional = <A>(flag: Flag.Flag<A>, description: string) =>
  flag.pipe(Flag.withDescription(description), Flag.optional)

/** Those of commands that are about a project. Paths are flags of their own kind, so that shells complete them. */
export const projectFlags = {
  python: optional(
    Flag.String("python"),
    "The interpreter: a version like 3.13, which uv finds or installs, or a path or command"
  ),
  pyproject: optional(
    Flag.Path("pyproject"),
    "A Python project, as its pyproject.toml or its folder; the nearest unless it is given"
  ),
  lock: optional(Flag.File("lock"), "The lock file"),
  offline: Flag.Boolean("offline").pipe(Flag.withDescription("Do with what is in the cache"), Flag.withDefault(false)),
  torchBackend: optional(Flag.String("torch-backend"), "Builds of torch to install: auto, cpu, cu128, rocm6.4")
}

/** Those of commands that need packages, of a project or not. */
export const environmentFlags = {
  requirement: Flag.String("requirement").pipe(
    Flag.withAlias("r"),
    Flag.withDescription('A package to have in place of a project, like "numpy>=2"; may be repeated'),
    Flag.atLeast(0)
  ),
  ...projectFlags
}

/** Those of commands that start a worker. */
export const workerFlags = {
  ...environmentFlags,
  path: Flag.Directory("path").pipe(
    Flag.withDescription("Folder to import modules from, beside the working directory; may be repeated"),
    Flag.atLeast(0)
  )
}

/** What the flags say. */
export interface EnvironmentFlags {
  readonly requirement?: ReadonlyArray<string>
  readonly python: Option.Option<string>
  readonly pyproject?: Option.Option<string>
  readonly lock: Option.Option<string>
  readonly offline: boolean
  readonly torchBackend: Option.Option<string>
}

/** What the flags of a worker say. */
export interface WorkerFlags extends EnvironmentFlags {
  readonly path: ReadonlyArray<string>
}

/**
 * The options of `Environment`, and of a pool. So that `call` finds what `setup` made and `env add` added, all commands mean the
 * nearest project unless they are told otherwise.
 */
export const environmentOptions = (flags: EnvironmentFlags): Environment.EnvironmentOptions => {
  const { requirement: requirements = [] } = flags
  const isInline = requirements.length > 0
  return {
    python: Option.getOrUndefined(flags.python),
    pyproject: Option.getOrUndefined(flags.pyproject ?? Option.none()) ?? (isInline ? undefined : nearestProject()),
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

/** The folder of the nearest project. A `pyproject.toml` that only holds the settings of tools makes none. */
const nearestProject = (folder = process.cwd()): string | undefined => {
  const file = path.join(folder, "pyproject.toml")
  if (fs.existsSync(file) && /^\[(project|tool\.poetry)\]/m.test(fs.readFileSync(file, "utf8"))) return folder
  const parent = path.dirname(folder)
  return parent === folder ? undefined : nearestProject(parent)
}
