/** The flags that say which Python, with which packages: the same on every command that needs one. */
import * as fs from "node:fs"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as CliError from "effect/cli/CliError"
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
    Flag.filter(
      (folder) => fs.existsSync(folder),
      () => "a folder that is there"
    ),
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

/** Refuses flags that contradict each other. */
export const refuseBoth = <Flags extends EnvironmentFlags>({ pyproject, requirement = [] }: Flags) =>
  requirement.length > 0 && pyproject !== undefined && Option.isSome(pyproject)
    ? Effect.fail(
        new CliError.ValidationError({
          message: "-r and --pyproject exclude each other: requirements stand in place of a project. Leave one out."
        })
      )
    : Effect.void
