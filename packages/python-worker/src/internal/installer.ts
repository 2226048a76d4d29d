/** Creates virtual environments and installs packages: with uv when there is one, otherwise with `venv` and `pip`. */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { EnvironmentError, InstallerNotFound, InstallFailed } from "../EnvironmentError.ts"
import type { Interpreter } from "../Interpreter.ts"
import { useDirectory } from "./directory.ts"
import { which } from "./executable.ts"
import type { InstallProgress } from "./installProgress.ts"
import { run } from "./subprocess.ts"

/** @internal */
export interface Installer {
  readonly name: "uv" | "pip"
  /** Creates a virtual environment in a folder that does not exist yet. */
  readonly createEnvironment: (folder: string, progress: InstallProgress) => Effect.Effect<void, EnvironmentError>
  /** Installs into the virtual environment, or only beside it when `target` names a folder. */
  readonly install: (options: InstallOptions) => Effect.Effect<void, EnvironmentError>
}

/** @internal */
export interface InstallOptions {
  readonly requirements: ReadonlyArray<string>
  /** The interpreter to install for. */
  readonly python: string
  readonly target?: string | undefined
  readonly progress: InstallProgress
}

/**
 * uv from the environment variable `UV` or the PATH, otherwise pip.
 *
 * @internal
 */
export const select = (interpreter: Interpreter): Effect.Effect<Installer, EnvironmentError> => {
  const configured = process.env["UV"]
  if (configured === undefined || configured === "") {
    const found = which("uv")
    return Effect.succeed(found === undefined ? pip(interpreter) : uv(found, interpreter))
  }
  const found = which(configured)
  return found === undefined
    ? Effect.fail(new EnvironmentError({ reason: new InstallerNotFound({ path: configured }) }))
    : Effect.succeed(uv(found, interpreter))
}

// ---------------------------------------------------------------------------------------------------------------------
// The two installers
// ---------------------------------------------------------------------------------------------------------------------

const uv = (command: string, interpreter: Interpreter): Installer => ({
  name: "uv",
  createEnvironment: (folder, progress) => {
    const step = `create a virtual environment for Python ${interpreter.version} with uv`
    const args = ["venv", "--no-project", "--no-python-downloads", "--python", interpreter.path, folder]
    return perform({ step, command, args, progress })
  },
  install: (options) =>
    installFrom(options, "uv", (file) => ({
      command,
      // Without bytecode the first start of each of several workers would compile the same packages at the same time.
      args: ["pip", "install", "--compile-bytecode", "--python", options.python, ...target(options), "-r", file],
      reader: readUv
    }))
})

const pip = (interpreter: Interpreter): Installer => ({
  name: "pip",
  createEnvironment: (folder, progress) => {
    const step = `create a virtual environment for Python ${interpreter.version} with venv`
    return perform({ step, command: interpreter.path, args: ["-m", "venv", folder], progress })
  },
  install: (options) =>
    installFrom(options, "pip", (file) => ({
      command: options.python,
      args: [..."-m pip install --no-input --disable-pip-version-check".split(" "), ...target(options), "-r", file],
      reader: readPip
    }))
})

const target = (options: InstallOptions): ReadonlyArray<string> =>
  options.target === undefined ? [] : ["--target", options.target]

// ---------------------------------------------------------------------------------------------------------------------
// Running them
// ---------------------------------------------------------------------------------------------------------------------

interface Task {
  /** Reads on after "Could not". */
  readonly step: string
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly progress: InstallProgress
  readonly onLine?: (line: string) => void
}

const perform = ({ step, command, args, progress, onLine }: Task): Effect.Effect<void, EnvironmentError> => {
  const failed = (exitCode: number | null, output: string) =>
    Effect.fail(
      new EnvironmentError({
        reason: new InstallFailed({ step, command: [command, ...args].join(" "), exitCode, output })
      })
    )
  return Effect.suspend(() => {
    progress.step(step.replace(/^\w/, (letter) => letter.toUpperCase()))
    return run(command, args, { env: installerEnvironment(), onLine })
  }).pipe(
    Effect.catch((error) => failed(null, error.message)),
    Effect.flatMap((outcome) => (outcome.exitCode === 0 ? Effect.void : failed(outcome.exitCode, outcome.tail)))
  )
}

type Reader = (progress: InstallProgress, expected: number) => (line: string) => void

const installFrom = (
  options: InstallOptions,
  name: string,
  command: (file: string) => { readonly command: string; readonly args: ReadonlyArray<string>; readonly reader: Reader }
) => {
  const { requirements, progress } = options
  // In a file, so that neither their number nor a leading dash can change the command. It stays, to be read by people.
  const file = path.join(options.target ?? path.dirname(path.dirname(options.python)), "requirements.txt")
  const { reader, ...rest } = command(file)
  const step = `install Python packages with ${name}`
  return useDirectory(path.dirname(file), () => {
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, requirements.map((line) => `${line}\n`).join(""))
  }).pipe(
    Effect.andThen(
      Effect.suspend(() => perform({ ...rest, step, progress, onLine: reader(progress, requirements.length) }))
    )
  )
}

/** Settings of the user's own shell that would send packages elsewhere or change the Python that installs. */
const MISLEADING =
  /^(PYTHONHOME|PYTHONPATH|PIP_(TARGET|PREFIX|ROOT|USER|REQUIRE_VIRTUALENV|PYTHON)|UV_(TARGET|PREFIX))$/

const installerEnvironment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !MISLEADING.test(name))),
  PYTHONUNBUFFERED: "1",
  PYTHONNOUSERSITE: "1"
})

// ---------------------------------------------------------------------------------------------------------------------
// Reading what they print
// ---------------------------------------------------------------------------------------------------------------------

const readPip: Reader = (progress, expected) => {
  let done = 0
  let total = expected
  return (line) => {
    // Requirements for other platforms or Pythons.
    if (line.startsWith("Ignoring ")) total -= 1
    const collecting = /^Collecting ([\w.-]+)/.exec(line)?.[1]
    if (collecting !== undefined) {
      done += 1
      progress.busyWith(collecting, { done, total: Math.max(done, total) })
    }
    const [, downloading, size] = /^ +Downloading ([\w.]+)-\d\S* \((.*)\)/.exec(line) ?? []
    if (downloading !== undefined) progress.busyWith(`downloading ${downloading} (${size})`)
    if (line.startsWith("Building wheel")) progress.busyWith(line.toLowerCase())
    if (line.startsWith("Installing collected packages")) progress.busyWith("unpacking")
  }
}

const readUv: Reader = (progress) => (line) => {
  const [, downloading, size] = /^ *Downloading ([\w.-]+) \((.*)\)/.exec(line) ?? []
  if (downloading !== undefined) progress.busyWith(`downloading ${downloading} (${size})`)
  const building = /^ *Building ([\w.-]+)/.exec(line)?.[1]
  if (building !== undefined) progress.busyWith(`building ${building}`)
  if (line.startsWith("Prepared")) progress.busyWith("unpacking")
  if (line.startsWith("Installed")) progress.busyWith("compiling")
}
