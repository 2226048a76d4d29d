/**
 * Runs uv or pip with an environment of its own, reports its progress, and names its failures: which of the typed errors an
 * installer's words stand for is decided here, and only here.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import {
  type EnvironmentError,
  EnvironmentNotWritable,
  InstallFailed,
  LockDrift,
  NetworkUnavailable,
  PythonNotFound,
  ResolutionFailed
} from "../../EnvironmentError.ts"
import { type Emit, EnvironmentProgress } from "../../EnvironmentProgress.ts"
import { useDirectory } from "../directory.ts"
import { type Outcome, run } from "../subprocess.ts"

/** Makes a reader of one run's lines, which sends what they mean for the progress. */
export type Reader = (emit: Emit) => (line: string) => void

/** One run of an installer. */
export interface Task {
  /** Reads on after "Could not". */
  readonly step: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** Beside the environment of this process. */
  readonly env?: NodeJS.ProcessEnv | undefined
  readonly reader?: Reader | undefined
  /** The lock file that the run depends on. */
  readonly lock?: string | undefined
  /** Whether the step is too short to be reported. */
  readonly quiet?: boolean | undefined
}

/** Answers when the installer has done its work. */
export const perform = (task: Task): Effect.Effect<Outcome, EnvironmentError> =>
  Effect.gen(function* () {
    const emit = yield* EnvironmentProgress
    if (task.quiet !== true) {
      emit({ _tag: "Step", text: task.step.replace(/^\w/, (letter) => letter.toUpperCase()) })
    }
    const env = { ...installerEnvironment(), ...task.env }
    return yield* run(task.command, task.args, { env, onLine: task.reader?.(emit) })
  }).pipe(
    Effect.catch((error) => Effect.succeed<Outcome>({ exitCode: null, stdout: "", tail: error.message })),
    Effect.flatMap((outcome) =>
      outcome.exitCode === 0 ? Effect.succeed(outcome) : Effect.fail(classify(task, outcome.exitCode, outcome.tail))
    )
  )

/**
 * Requirements in a file, so that neither their number nor a leading dash can change a command. It stays in the folder, to be read
 * by people.
 */
export const requirementsFile = (
  folder: string,
  lines: ReadonlyArray<string>
): Effect.Effect<string, EnvironmentNotWritable> =>
  useDirectory(folder, () => {
    const file = path.join(folder, "requirements.txt")
    fs.mkdirSync(folder, { recursive: true })
    fs.writeFileSync(file, lines.map((line) => `${line}\n`).join(""))
    return file
  })

/**
 * Settings of the user's own shell that would send packages elsewhere, choose another environment, or change the Python that
 * installs.
 */
const MISLEADING =
  /^(PYTHON.*|VIRTUAL_ENV|CONDA_PREFIX|PIP_(TARGET|PREFIX|ROOT|USER|REQUIRE_VIRTUALENV|PYTHON)|UV_(TARGET|PREFIX|PYTHON|PROJECT|WORKING_DIR|PROJECT_ENVIRONMENT|FROZEN|LOCKED|NO_SYNC|SYSTEM_PYTHON))$/

const installerEnvironment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !MISLEADING.test(name))),
  PYTHONUNBUFFERED: "1",
  PYTHONNOUSERSITE: "1",
  NO_COLOR: "1"
})

// ---------------------------------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------------------------------

/** In this order: uv names the unreachable network as the cause of a resolution that failed, pip too. */
const classify = ({ args, command, lock, step }: Task, exitCode: number | null, output: string): EnvironmentError => {
  const said = { step, command: [command, ...args].join(" "), output }
  if (lock !== undefined && /lockfile .* needs to be updated/.test(output)) {
    const field = { field: path.basename(lock), locked: "other requirements", found: "those of pyproject.toml" }
    return new LockDrift({ path: lock, fields: [field] })
  }
  if (NETWORK.test(output)) return new NetworkUnavailable(said)
  if (NOT_WRITABLE.test(output)) {
    const line = output.split("\n").find((candidate) => NOT_WRITABLE.test(candidate)) ?? output
    return new EnvironmentNotWritable({ path: pathIn(output) ?? command, reason: line.replace(/^\s*cause:\s*/, "") })
  }
  if (NO_PYTHON.test(output)) return new PythonNotFound({ tried: [{ what: step, why: output }] })
  if (UNSATISFIABLE.test(output)) return new ResolutionFailed(said)
  return new InstallFailed({ ...said, exitCode })
}

const NETWORK =
  /network was disabled|connectivity is disabled|Failed to fetch|error sending request|dns error|Could not connect|establish a new connection|Connection (?:refused|timed out|broken)|NewConnectionError|ConnectTimeout|ReadTimeoutError|Temporary failure in name resolution|Network is unreachable/i
const NOT_WRITABLE =
  /Permission denied|Read-only file system|Not a directory|File exists \(os error|No space left on device|\[Errno (?:13|20|28|30)\]/i
const NO_PYTHON =
  /No interpreter found|incompatible with the project's Python requirement|No download found|No Python (?:version|installation)/i
const UNSATISFIABLE =
  /No solution found|unsatisfiable|No matching distribution|ResolutionImpossible|conflicting dependencies|Failed to parse/i

const pathIn = (output: string): string | undefined => /[`'"](\/[^`'"\n]+)[`'"]/.exec(output)?.[1]
