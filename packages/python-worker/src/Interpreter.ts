/**
 * Finds the Python that workers run on.
 *
 * Candidates are asked who they are in one quick start of Python. The answer is kept per user, so that a later start
 * with the same interpreter starts no Python to ask again. `Environment.ts` builds on what is found here.
 */
import { createHash, randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { PythonNotFound } from "./EnvironmentError.ts"
import { cacheDirectory } from "./internal/cacheDirectory.ts"
import * as Project from "./internal/environment/project.ts"
import { isExecutable, which } from "./internal/executable.ts"
import { run } from "./internal/subprocess.ts"

/** A Python that Snakepit can use. */
export const Interpreter = Schema.Struct({
  /** Absolute path of the executable. In a virtual environment, the one of the environment. */
  path: Schema.String,
  /** Like `3.13.1`. */
  version: Schema.String,
  /** Like `cpython`. */
  implementation: Schema.String,
  /** Operating system, processor and C library, like `x86_64-linux-gnu` or `darwin-arm64`. */
  platform: Schema.String,
  /** What compiled packages have to be built for, like `cp313`, or `cp313t` for a free-threaded build. */
  abi: Schema.String,
  /** SHA-256 of the executable that `path` leads to, in hexadecimal. */
  sha256: Schema.String,
  /** The `ormsgpack` that this interpreter imports by itself, if any. */
  ormsgpack: Schema.NullOr(Schema.Struct({ version: Schema.String, file: Schema.String }))
})

/** A Python that Snakepit can use. */
export type Interpreter = typeof Interpreter.Type

/** The oldest Python that Snakepit supports. */
export const minimumVersion = "3.10"

/** How to look for Python. */
export interface FindOptions {
  /**
   * Path or command of the interpreter. Nothing else is tried when it is given. Defaults to the `.venv` of the nearest project
   * (a `pyproject.toml` in the working directory or above it), then the active virtual or conda environment, then `python3` and
   * `python` on the PATH.
   */
  readonly python?: string | undefined
}

/** Finds an interpreter of version 3.10 or newer. Costs one start of Python the first time, then a few file reads. */
export const find = (options: FindOptions = {}): Effect.Effect<Interpreter, PythonNotFound> =>
  Effect.gen(function* () {
    const tried: Array<{ readonly what: string; readonly why: string }> = []
    for (const candidate of candidates(options)) {
      if (candidate.file === undefined) {
        tried.push({ what: candidate.what, why: candidate.missing })
        continue
      }
      const answer = yield* ask(candidate.file)
      if (typeof answer !== "string") return answer
      tried.push({ what: `${candidate.what} (${candidate.file})`, why: answer })
    }
    return yield* new PythonNotFound({ tried })
  })

// ---------------------------------------------------------------------------------------------------------------------
// Candidates
// ---------------------------------------------------------------------------------------------------------------------

interface Candidate {
  readonly what: string
  readonly file: string | undefined
  /** Why there is no file. */
  readonly missing: string
}

const candidates = (options: FindOptions): ReadonlyArray<Candidate> => {
  if (options.python !== undefined) {
    const missing = options.python.includes(path.sep) ? "no executable file stands there" : "not on the PATH"
    return [{ what: `the option python "${options.python}"`, file: which(options.python), missing }]
  }
  return [
    ...projectEnvironment(),
    ...activeEnvironment("VIRTUAL_ENV"),
    ...activeEnvironment("CONDA_PREFIX"),
    { what: "python3", file: which("python3"), missing: "not on the PATH" },
    { what: "python", file: which("python"), missing: "not on the PATH" }
  ]
}

/** The environment that uv makes for the project one works in. A project without one says nothing of Python. */
const projectEnvironment = (): ReadonlyArray<Candidate> => {
  const project = Project.nearestFolder()
  const file = project === undefined ? undefined : path.join(project, ".venv", "bin", "python")
  return file === undefined || !isExecutable(file)
    ? []
    : [{ what: "the .venv of the project", file, missing: `there is no ${file}` }]
}

const activeEnvironment = (variable: string): ReadonlyArray<Candidate> => {
  const folder = process.env[variable]
  if (folder === undefined || folder === "") return []
  const file = path.resolve(folder, "bin", "python")
  return [
    {
      what: `the active environment ${variable}`,
      file: isExecutable(file) ? file : undefined,
      missing: `there is no ${file}`
    }
  ]
}

// ---------------------------------------------------------------------------------------------------------------------
// Asking
// ---------------------------------------------------------------------------------------------------------------------

/**
 * Prints one JSON line. Written so that every Python since 2.7 runs it and an old one can be named in the error. Run
 * with `-I`, so that what is found here is found by every worker, whatever its environment variables say.
 */
const QUESTION = `
import json, os, sys
answer = {"version": "%d.%d.%d" % sys.version_info[:3], "path": sys.executable}
if sys.version_info >= (3, 10):
    name = sys.implementation.name
    short = {"cpython": "cp", "pypy": "pp"}.get(name, name)
    answer["implementation"] = name
    answer["abi"] = "%s%d%d%s" % (short, sys.version_info[0], sys.version_info[1], sys.abiflags)
    multiarch = getattr(sys.implementation, "_multiarch", "")
    answer["platform"] = multiarch if "-" in multiarch else "%s-%s" % (sys.platform, os.uname().machine)
    try:
        import ormsgpack
        answer["ormsgpack"] = {"version": ormsgpack.__version__, "file": ormsgpack.__file__}
    except Exception:
        answer["ormsgpack"] = None
print(json.dumps(answer))
`

const QUESTION_SECONDS = 30

/** The interpreter, or why it cannot be used. */
const ask = (file: string): Effect.Effect<Interpreter | string> => {
  const cache = cacheFile(file)
  const known = cache === undefined ? undefined : readCache(cache)
  if (known !== undefined) return Effect.succeed(known)
  return run(file, ["-I", "-c", QUESTION]).pipe(
    Effect.map((outcome): Interpreter | string => {
      if (outcome.exitCode !== 0) return `it ended with exit code ${outcome.exitCode}: ${lastLine(outcome.tail)}`
      const answer = decodeAnswer(lastLine(outcome.stdout))
      if (Option.isSome(answer)) {
        const interpreter = { ...answer.value, sha256: digest(answer.value.path) }
        if (cache !== undefined) writeCache(cache, interpreter)
        return interpreter
      }
      const version = Option.getOrUndefined(decodeVersion(lastLine(outcome.stdout)))?.version
      return version === undefined
        ? `it does not answer like Python: ${lastLine(outcome.tail)}`
        : `it is Python ${version}, older than ${minimumVersion}`
    }),
    Effect.timeoutOrElse({
      duration: QUESTION_SECONDS * 1_000,
      orElse: () => Effect.succeed(`it did not answer within ${QUESTION_SECONDS} s`)
    }),
    Effect.catch((error) => Effect.succeed(`it cannot be started: ${error.message}`))
  )
}

const decodeAnswer = Schema.decodeUnknownOption(Schema.fromJsonString(Interpreter.mapFields(Struct.omit(["sha256"]))))
const decodeKnown = Schema.decodeUnknownOption(Schema.fromJsonString(Interpreter))
const decodeVersion = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Struct({ version: Schema.String })))

const digest = (file: string): string =>
  createHash("sha256")
    .update(fs.readFileSync(fs.realpathSync(file)))
    .digest("hex")

const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? ""

// ---------------------------------------------------------------------------------------------------------------------
// Remembering
// ---------------------------------------------------------------------------------------------------------------------

/** Undefined for a script, as version managers put on the PATH: which Python that starts depends on more than a file. */
const cacheFile = (file: string): string | undefined => {
  try {
    const target = fs.realpathSync(file)
    if (isScript(target)) return undefined
    const { mtimeNs, size } = fs.statSync(target, { bigint: true })
    const identity = createHash("sha256").update([file, target, mtimeNs, size].join("\n")).digest("hex").slice(0, 32)
    return path.join(cacheDirectory(), "interpreters", `${identity}.json`)
  } catch {
    return undefined
  }
}

const isScript = (file: string): boolean => {
  const descriptor = fs.openSync(file, "r")
  try {
    const start = Buffer.alloc(2)
    fs.readSync(descriptor, start, 0, 2, 0)
    return start.toString("latin1") === "#!"
  } finally {
    fs.closeSync(descriptor)
  }
}

const readCache = (cache: string): Interpreter | undefined => {
  let text: string
  try {
    text = fs.readFileSync(cache, "utf8")
  } catch {
    return undefined
  }
  const known = Option.getOrUndefined(decodeKnown(text))
  // The package can have been removed since.
  return known !== undefined && (known.ormsgpack === null || fs.existsSync(known.ormsgpack.file)) ? known : undefined
}

/** A cache that cannot be written costs a start of Python each time, and is no reason to fail. */
const writeCache = (cache: string, interpreter: Interpreter) => {
  try {
    fs.mkdirSync(path.dirname(cache), { recursive: true })
    const draft = `${cache}-${randomBytes(6).toString("hex")}`
    fs.writeFileSync(draft, JSON.stringify(interpreter))
    fs.renameSync(draft, cache)
  } catch {
    return
  }
}
