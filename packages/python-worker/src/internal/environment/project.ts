/**
 * Recognises Python projects: uv's, and any other with a `[project]` table, which are made into environments; Poetry's and conda's,
 * whose environments are used as they are.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { parse } from "smol-toml"
import { ProjectNotFound, PythonNotFound } from "../../EnvironmentError.ts"
import { isExecutable, which } from "../executable.ts"
import { run } from "../subprocess.ts"
import { memoryOf, recall, remember } from "./memory.ts"
import { isRequest } from "./pythonRequest.ts"

/** A project whose environment Snakepit makes. */
export interface PyProject {
  readonly kind: "pyproject"
  readonly folder: string
  /** The content of its `pyproject.toml`. */
  readonly text: string
  /** What it asks of Python, like `>=3.11`: `.python-version` comes before `requires-python`. */
  readonly python: string | undefined
  /** Its requirements, in pip's notation. */
  readonly requirements: ReadonlyArray<string>
  /** Whether it is a package itself, to be installed with its requirements. */
  readonly isPackage: boolean
}

/** A project whose environment somebody else makes. */
export interface ForeignProject {
  readonly kind: "poetry" | "conda"
  readonly folder: string
  /** The file that locks or lists its packages, if there is one. */
  readonly lock: string | undefined
  /** The name of its environment; conda's alone have one. */
  readonly name: string | undefined
}

const CONDA_FILES = ["environment.yml", "environment.yaml"]

/** The project at a path: a folder, a `pyproject.toml`, or an `environment.yml`. */
export const open = (given: string): Effect.Effect<PyProject | ForeignProject, ProjectNotFound> =>
  Effect.suspend(() => {
    const target = path.resolve(given)
    const isFolder = fs.statSync(target, { throwIfNoEntry: false })?.isDirectory() === true
    const folder = isFolder ? target : path.dirname(target)
    const names = isFolder ? ["pyproject.toml", ...CONDA_FILES] : [path.basename(target)]
    const name = names.find((candidate) => fs.existsSync(path.join(folder, candidate)))
    const missing = isFolder ? `it holds no ${names.join(" or ")}` : "there is no such file"
    if (name === undefined) return Effect.fail(new ProjectNotFound({ path: target, reason: missing }))
    try {
      return Effect.succeed(name === "pyproject.toml" ? readPyProject(folder) : readConda(folder, name))
    } catch (cause) {
      const reason = (cause instanceof Error ? cause.message : String(cause)).trimEnd()
      return Effect.fail(new ProjectNotFound({ path: path.join(folder, name), reason }))
    }
  })

/**
 * The folder of the nearest project, from here upwards. A `pyproject.toml` that only holds the settings of tools makes none; one that
 * cannot be read does, so that {@link open} says what is wrong with it.
 */
export const nearest = (): string | undefined => nearestFolder(isProject)

/** The nearest folder with a `pyproject.toml`, from here upwards. */
export const nearestFolder = (isMeant = (_file: string) => true, from = process.cwd()): string | undefined => {
  const file = path.join(from, "pyproject.toml")
  if (fs.existsSync(file) && isMeant(file)) return from
  const parent = path.dirname(from)
  return parent === from ? undefined : nearestFolder(isMeant, parent)
}

const isProject = (file: string): boolean => {
  try {
    const { isPoetry, project } = contentOf(fs.readFileSync(file, "utf8"))
    return isPoetry || project !== undefined
  } catch {
    return true
  }
}

const isTable = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

const readPyProject = (folder: string): PyProject | ForeignProject => {
  const text = fs.readFileSync(path.join(folder, "pyproject.toml"), "utf8")
  const { content, isPoetry, project } = contentOf(text)
  // Poetry 2 writes a [project] table too; its lock file, or its own table without uv's lock, tells.
  const isForeign = fs.existsSync(path.join(folder, "poetry.lock")) || (isPoetry && project === undefined)
  if (isForeign && !fs.existsSync(path.join(folder, "uv.lock"))) {
    return { kind: "poetry", folder, lock: existing(path.join(folder, "poetry.lock")), name: undefined }
  }
  if (project === undefined) throw new Error("its pyproject.toml has no [project] table")
  const dependencies = project["dependencies"]
  const requires = project["requires-python"]
  return {
    kind: "pyproject",
    folder,
    text,
    python: pinnedVersion(folder) ?? (typeof requires === "string" ? requires : undefined),
    requirements: Array.isArray(dependencies) ? dependencies.filter((item) => typeof item === "string") : [],
    isPackage: "build-system" in content
  }
}

/** What a `pyproject.toml` says of its project. Throws when it is no TOML. */
const contentOf = (text: string) => {
  const content = parse(text)
  const { project, tool } = content
  return {
    content,
    project: isTable(project) ? project : undefined,
    isPoetry: isTable(tool) && "poetry" in tool
  }
}

/** The first version in `.python-version`, as uv and pyenv write it. pyenv's may name something else, which is its own affair. */
const pinnedVersion = (folder: string): string | undefined => {
  const file = existing(path.join(folder, ".python-version"))
  if (file === undefined) return undefined
  const lines = fs.readFileSync(file, "utf8").split("\n")
  return lines.map((line) => line.trim()).find(isRequest)
}

const readConda = (folder: string, file: string): ForeignProject => {
  // The one line that is needed of the file is a plain scalar by conda's own rule for names.
  const name = /^name:\s*["']?([^\s"'#]+)/m.exec(fs.readFileSync(path.join(folder, file), "utf8"))?.[1]
  if (name === undefined) throw new Error(`its ${file} names no environment`)
  return { kind: "conda", folder, lock: path.join(folder, file), name }
}

const existing = (file: string): string | undefined => (fs.existsSync(file) ? file : undefined)

// ---------------------------------------------------------------------------------------------------------------------
// Environments that somebody else makes
// ---------------------------------------------------------------------------------------------------------------------

/** The interpreter of the project's own environment. */
export const interpreterOf = (project: ForeignProject): Effect.Effect<string, PythonNotFound> =>
  project.kind === "poetry" ? poetryInterpreter(project.folder) : condaInterpreter(project)

const poetryInterpreter = (folder: string): Effect.Effect<string, PythonNotFound> =>
  Effect.suspend(() => {
    const inside = path.join(folder, ".venv", "bin", "python")
    if (isExecutable(inside)) return Effect.succeed(inside)
    const absent = { what: `the .venv of the Poetry project ${folder}`, why: `there is no ${inside}` }
    const notFound = (why: string) =>
      Effect.fail(new PythonNotFound({ tried: [absent, { what: "poetry env info --executable", why }] }))
    const poetry = which("poetry")
    if (poetry === undefined) return notFound("the command poetry is not on the PATH")
    // Poetry takes seconds to say it
    const surroundings = ["VIRTUAL_ENV", "CONDA_PREFIX", "POETRY_VIRTUALENVS_PATH", "POETRY_CACHE_DIR"]
    const text = fs.readFileSync(path.join(folder, "pyproject.toml"), "utf8")
    const memory = memoryOf([poetry, folder, text, ...surroundings.map((name) => process.env[name])])
    const known = recall(memory)
    if (known !== undefined && isExecutable(known)) return Effect.succeed(known)
    return run(poetry, ["env", "info", "--executable"], { cwd: folder }).pipe(
      Effect.catch((error) => Effect.succeed({ exitCode: null, stdout: "", tail: error.message })),
      Effect.flatMap(({ exitCode, stdout, tail }) => {
        const file = stdout.trim().split("\n").at(-1) ?? ""
        if (exitCode === 0 && isExecutable(file)) {
          remember(memory, file)
          return Effect.succeed(file)
        }
        return notFound(tail.trim() === "" ? "it has no environment yet: run `poetry install`" : tail.trim())
      })
    )
  })

const condaInterpreter = ({ folder, name = "" }: ForeignProject): Effect.Effect<string, PythonNotFound> =>
  Effect.suspend(() => {
    const tried: Array<{ readonly what: string; readonly why: string }> = []
    for (const prefix of condaPrefixes(name)) {
      const file = path.join(prefix, "bin", "python")
      if (isExecutable(file)) return Effect.succeed(file)
      tried.push({ what: prefix, why: `there is no ${file}` })
    }
    const why = "no such environment is known: run `conda env create`"
    tried.push({ what: `the conda environment ${name} of ${folder}`, why })
    return Effect.fail(new PythonNotFound({ tried }))
  })

/** Where an environment of this name can stand; conda lists every one that it makes in `~/.conda/environments.txt`. */
const condaPrefixes = (name: string): ReadonlyArray<string> => {
  const active = process.env["CONDA_PREFIX"] ?? ""
  const folders = (process.env["CONDA_ENVS_PATH"] ?? "").split(path.delimiter)
  const conda = process.env["CONDA_EXE"]
  if (conda !== undefined) folders.push(path.join(path.dirname(path.dirname(conda)), "envs"))
  const list = path.join(os.homedir(), ".conda", "environments.txt")
  const known = fs.existsSync(list) ? fs.readFileSync(list, "utf8").split("\n") : []
  const named = [active, ...known].filter((prefix) => path.basename(prefix) === name)
  return [...named, ...folders.filter((folder) => folder !== "").map((folder) => path.join(folder, name))]
}
