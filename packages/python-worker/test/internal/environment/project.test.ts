import { assert, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Project from "../../../src/internal/environment/project.ts"
import { folder, script, setEnvironment } from "../../sandbox.ts"

const write = (root: string, files: Readonly<Record<string, string>>) => {
  for (const [name, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true })
    fs.writeFileSync(path.join(root, name), text)
  }
}

it.effect("reads what a project asks for; .python-version comes before requires-python", () =>
  Effect.gen(function* () {
    const root = yield* folder
    const text = `[project]\nname = "demo"\nversion = "0"\nrequires-python = '>=3.11'\ndependencies = ["six", "idna>3"]\n`
    write(root, { "pyproject.toml": text })
    const project = yield* Project.open(root)
    const expected = { kind: "pyproject", folder: root, text, requirements: ["six", "idna>3"], isPackage: false }
    assert.deepStrictEqual(project, { ...expected, kind: "pyproject", python: ">=3.11" })
    write(root, { ".python-version": "# pinned\n3.12\n" })
    assert.strictEqual((yield* Project.open(path.join(root, "pyproject.toml"))).kind, "pyproject")
    assert.include(yield* Project.open(root), { python: "3.12" })
    write(root, { ".python-version": "my-own-environment\n" })
    assert.include(yield* Project.open(root), { python: ">=3.11" })
  }).pipe(Effect.scoped)
)

it.effect("says what is wrong with a path that leads to no project", () =>
  Effect.gen(function* () {
    const root = yield* folder
    const empty = yield* Effect.flip(Project.open(root))
    assert.include(empty.message, "it holds no pyproject.toml or environment.yml")
    assert.include(
      (yield* Effect.flip(Project.open(path.join(root, "pyproject.toml")))).message,
      "there is no such file"
    )
    write(root, { "pyproject.toml": "[tool.ruff]\n" })
    assert.include((yield* Effect.flip(Project.open(root))).message, "no [project] table")
    write(root, { "pyproject.toml": "[project\n" })
    assert.include((yield* Effect.flip(Project.open(root))).message, path.join(root, "pyproject.toml"))
  }).pipe(Effect.scoped)
)

it.effect("uses the environment of a Poetry project, inside it or where Poetry keeps it", () =>
  Effect.gen(function* () {
    const root = yield* folder
    yield* setEnvironment({ PATH: path.join(root, "commands"), XDG_CACHE_HOME: path.join(root, "cache") })
    write(root, { "pyproject.toml": `[tool.poetry]\nname = "demo"\n`, "poetry.lock": "" })
    const project = yield* Project.open(root)
    assert.deepStrictEqual(project, {
      kind: "poetry",
      folder: root,
      lock: path.join(root, "poetry.lock"),
      name: undefined
    })
    if (project.kind === "pyproject") return
    const missing = yield* Effect.flip(Project.interpreterOf(project))
    assert.include(missing.message, "poetry is not on the PATH")

    const away = script(path.join(root, "away", "bin", "python"), "")
    script(path.join(root, "commands", "poetry"), `[ "$*" = "env info --executable" ] && echo "${away}"`)
    assert.strictEqual(yield* Project.interpreterOf(project), away)
    // a second time it is not asked, and a third time it is, since what it said is gone
    script(path.join(root, "commands", "poetry"), "exit 1")
    assert.strictEqual(yield* Project.interpreterOf(project), away)
    fs.rmSync(away)
    assert.include((yield* Effect.flip(Project.interpreterOf(project))).message, "poetry install")
    const inside = script(path.join(root, ".venv", "bin", "python"), "")
    assert.strictEqual(yield* Project.interpreterOf(project), inside)
  }).pipe(Effect.scoped)
)

it.effect("uses the environment that a conda project names, where conda lists it", () =>
  Effect.gen(function* () {
    const root = yield* folder
    yield* setEnvironment({ HOME: root, CONDA_PREFIX: undefined, CONDA_ENVS_PATH: undefined, CONDA_EXE: undefined })
    write(root, { "environment.yml": "name: 'vision' # ours\ndependencies:\n  - numpy\n" })
    const project = yield* Project.open(root)
    assert.include(project, { kind: "conda", name: "vision" })
    if (project.kind === "pyproject") return
    assert.include((yield* Effect.flip(Project.interpreterOf(project))).message, "conda env create")
    const python = script(path.join(root, "envs", "vision", "bin", "python"), "")
    write(root, { ".conda/environments.txt": `${root}/envs/other\n${root}/envs/vision\n` })
    assert.strictEqual(yield* Project.interpreterOf(project), python)
  }).pipe(Effect.scoped)
)
