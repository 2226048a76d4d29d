/**
 * Decides which interpreter an environment is made for: the one that was named, else the version that was asked for, else what
 * `Interpreter.find` finds, else one that uv installs.
 *
 * Which interpreter stands for a version is remembered per user, so that a later start asks no program.
 */
import * as Effect from "effect/Effect"
import { type EnvironmentError, PythonNotFound } from "../../EnvironmentError.ts"
import type { EnvironmentOptions } from "../../EnvironmentOptions.ts"
import * as Interpreter from "../../Interpreter.ts"
import { memoryOf, recall, remember } from "./memory.ts"
import { isRequest, satisfies, supported } from "./pythonRequest.ts"
import * as Uv from "./uv.ts"

/** `wanted` is what the project asks for; the options come before it. */
export const basePython = (
  options: EnvironmentOptions,
  wanted?: string
): Effect.Effect<Interpreter.Interpreter, EnvironmentError> => {
  const { managedPython = false, python } = options
  if (python !== undefined && !isRequest(python)) return Interpreter.find({ python })
  const request = python ?? wanted
  if (request !== undefined || managedPython) return byVersion(options, request)
  return Interpreter.find().pipe(
    // no Python at all: uv brings one, where uv can be had
    Effect.catchTag("PythonNotFound", (notFound) =>
      byVersion(options, undefined).pipe(Effect.catchTag("UvMissing", () => Effect.fail(notFound)))
    )
  )
}

const byVersion = (
  options: EnvironmentOptions,
  wanted: string | undefined
): Effect.Effect<Interpreter.Interpreter, EnvironmentError> =>
  Effect.gen(function* () {
    const { managedPython = false, uv = {} } = options
    const request = supported(wanted, Interpreter.minimumVersion)
    const memory = memoryOf([request, managedPython, uv.path, uv.pythonDownloads, ...surroundings()])
    const known = recall(memory)
    if (known !== undefined) {
      const again = yield* Effect.option(Interpreter.find({ python: known }))
      if (again._tag === "Some" && satisfies(request, again.value.version)) return again.value
    }
    const found = yield* Uv.find(uv, `find Python ${request}`).pipe(
      Effect.flatMap((command) => Uv.findPython(command, request, managedPython)),
      Effect.flatMap((python) => Interpreter.find({ python })),
      Effect.catchTag("UvMissing", (error): Effect.Effect<Interpreter.Interpreter, EnvironmentError> =>
        managedPython || Uv.isRequired(uv) ? Effect.fail(error) : onPath(request)
      )
    )
    remember(memory, found.path)
    return found
  })

/** Without uv: commands like `python3.13`, and those that every search ends with. */
const onPath = (request: string): Effect.Effect<Interpreter.Interpreter, PythonNotFound> =>
  Effect.gen(function* () {
    const exact = /^(?:cpython@?)?(\d+\.\d+)/.exec(request)?.[1]
    const commands = exact === undefined ? ["python3", "python"] : [`python${exact}`, "python3", "python"]
    const tried: Array<{ readonly what: string; readonly why: string }> = []
    for (const python of commands) {
      const found = yield* Effect.result(Interpreter.find({ python }))
      if (found._tag === "Failure") tried.push(...found.failure.tried)
      else if (satisfies(request, found.success.version)) return found.success
      else tried.push({ what: `${python} (${found.success.path})`, why: `it is Python ${found.success.version}` })
    }
    return yield* new PythonNotFound({
      tried: [{ what: `Python ${request}`, why: "there is no uv to find it" }, ...tried]
    })
  })

/**
 * What uv would answer depends on these as well. On the PATH too, but an answer that still fits is kept: a program finds what was
 * made in the shell of npx, an image or another user, where the PATH differs and nothing else does.
 */
const surroundings = () =>
  ["UV_PYTHON_INSTALL_DIR", "UV_PYTHON_DOWNLOADS_JSON_URL", "XDG_DATA_HOME"].map((name) => process.env[name])
