/** What is done without uv: `venv` and `pip`, which every ordinary Python brings. */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { type EnvironmentError, InstallFailed } from "../../EnvironmentError.ts"
import type { Emit } from "../../EnvironmentProgress.ts"
import type { Interpreter } from "../../Interpreter.ts"
import { useDirectory } from "../directory.ts"
import { perform, requirementsFile } from "./installer.ts"

const PIP = "-m pip --no-input --disable-pip-version-check".split(" ")

/** One try more, and not the minutes that pip takes by default to find that there is no network: for what can be done without. */
export const quickly = "--retries 1 --timeout 15".split(" ")

/** Creates a virtual environment in a folder that does not exist yet. */
export const create = ({ path: python, version }: Interpreter, folder: string): Effect.Effect<void, EnvironmentError> =>
  perform({
    step: `create a virtual environment for Python ${version} with venv`,
    command: python,
    args: ["-m", "venv", folder]
  }).pipe(Effect.asVoid)

/** Installs into a virtual environment. `extra` are further arguments, like `-e FOLDER`. */
export const install = (
  folder: string,
  requirements: ReadonlyArray<string>,
  step = "install Python packages with pip",
  extra: ReadonlyArray<string> = []
): Effect.Effect<void, EnvironmentError> =>
  installWith(path.join(folder, "bin", "python"), folder, requirements, step, extra)

/** Installs beside an interpreter, into a folder. */
export const installBeside = (
  python: string,
  folder: string,
  requirements: ReadonlyArray<string>,
  step = "install Python packages with pip",
  extra: ReadonlyArray<string> = []
): Effect.Effect<void, EnvironmentError> =>
  installWith(python, folder, requirements, step, ["--target", folder, ...extra])

/** `folder` takes the file with the requirements. */
const installWith = (
  python: string,
  folder: string,
  requirements: ReadonlyArray<string>,
  step: string,
  extra: ReadonlyArray<string>
): Effect.Effect<void, EnvironmentError> =>
  Effect.flatMap(requirementsFile(folder, requirements), (file) =>
    perform({
      step,
      command: python,
      args: [...PIP, "install", "-r", file, ...extra],
      reader: reader(requirements.length)
    }).pipe(Effect.asVoid)
  )

/** The part of pip's installation report (its own format, version 1) that locks. */
const Report = Schema.Struct({
  install: Schema.Array(Schema.Struct({ metadata: Schema.Struct({ name: Schema.String, version: Schema.String }) }))
})
const decodeReport = Schema.decodeUnknownEffect(Schema.fromJsonString(Report))

/** Resolves requirements to exact versions for this interpreter. */
export const compile = (
  python: string,
  requirements: ReadonlyArray<string>,
  scratch: string
): Effect.Effect<ReadonlyArray<string>, EnvironmentError> =>
  Effect.gen(function* () {
    const step = "lock Python packages with pip"
    const file = yield* requirementsFile(scratch, requirements)
    const report = path.join(scratch, "report.json")
    const args = [...PIP, "install", "--dry-run", "--ignore-installed", "--quiet", "--report", report, "-r", file]
    yield* perform({ step, command: python, args })
    const text = yield* useDirectory(scratch, () => fs.readFileSync(report, "utf8"))
    const { install: installed } = yield* decodeReport(text).pipe(
      Effect.mapError(
        (error) => new InstallFailed({ step, command: [python, ...args].join(" "), output: error.message, exitCode: 0 })
      )
    )
    return installed.map(({ metadata }) => `${metadata.name}==${metadata.version}`).toSorted()
  })

const reader = (expected: number) => (emit: Emit) => {
  let done = 0
  let total = expected
  return (line: string) => {
    // Requirements for other platforms or Pythons.
    if (line.startsWith("Ignoring ")) total -= 1
    const collecting = /^Collecting ([\w.-]+)/.exec(line)?.[1]
    if (collecting !== undefined) {
      done += 1
      emit({ _tag: "Package", activity: "downloading", name: collecting, done, total: Math.max(done, total) })
    }
    const [, name, size] = /^ +Downloading ([\w.]+)-\d\S* \((.*)\)/.exec(line) ?? []
    if (name !== undefined) emit({ _tag: "Package", activity: "downloading", name, size })
    const building = /^Building wheels? for collected packages: (.*)/.exec(line)?.[1]
    if (building !== undefined) emit({ _tag: "Package", activity: "building", name: building })
    const installing = /^Installing collected packages: (.*)/.exec(line)?.[1]
    if (installing !== undefined) emit({ _tag: "Package", activity: "installing", name: installing })
  }
}
