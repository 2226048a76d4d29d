/** The flags that say which Python, with which packages: the same on every command that needs one. */
import type { Environment } from "@snakepit/python-worker"
import * as Option from "effect/Option"
import * as Flag from "effect/cli/Flag"

const text = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.optional)

/** The flags. */
export const environmentFlags = {
  python: text("python", "The interpreter: a version like 3.13, which uv finds or installs, or a path or command"),
  pyproject: text("pyproject", "A Python project: its pyproject.toml or its folder"),
  requirement: Flag.String("requirement").pipe(
    Flag.withAlias("r"),
    Flag.withDescription('A package that is needed, like "numpy>=2"; may be repeated'),
    Flag.atLeast(0)
  ),
  lock: text("lock", "The lock file"),
  offline: Flag.Boolean("offline").pipe(Flag.withDescription("Do with what is in the cache"), Flag.withDefault(false)),
  torchBackend: text("torch-backend", "Builds of torch to install: auto, cpu, cu128, rocm6.4")
}

/** What the flags say. */
export interface EnvironmentFlags {
  readonly python: Option.Option<string>
  readonly pyproject: Option.Option<string>
  readonly requirement: ReadonlyArray<string>
  readonly lock: Option.Option<string>
  readonly offline: boolean
  readonly torchBackend: Option.Option<string>
}

/** The options of `Environment`, and of a pool. */
export const environmentOptions = (flags: EnvironmentFlags): Environment.EnvironmentOptions => ({
  python: Option.getOrUndefined(flags.python),
  pyproject: Option.getOrUndefined(flags.pyproject),
  requirements: flags.requirement.length > 0 ? flags.requirement : undefined,
  lock: Option.getOrUndefined(flags.lock),
  uv: { offline: flags.offline, torchBackend: Option.getOrUndefined(flags.torchBackend) }
})
