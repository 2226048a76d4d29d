/**
 * The packages as users get them: packed, installed into an empty project outside the repository, compiled, run and
 * bundled there; and the Python package as a wheel and a source distribution.
 */
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as esbuild from "esbuild"
import { execFileSync, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { build } from "vite"
import { manifest, packages, root } from "../scripts/repository.ts"

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "snakepit packages é-"))
const project = path.join(folder, "project")
const tarballs = new Map<string, string>()

/**
 * What a user's shell has, without what the test's own scripts set: npm finds its configuration beside the `node` that it runs
 * on, so this repository's must not be the first on the PATH.
 */
const environment = (): NodeJS.ProcessEnv => {
  const kept = Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_OPTIONS|VITEST)/.test(name))
  const folders = (process.env["PATH"] ?? "").split(path.delimiter)
  const own = path.join("node_modules", ".bin")
  return { ...Object.fromEntries(kept), PATH: folders.filter((one) => !one.endsWith(own)).join(path.delimiter) }
}

const npm = (...args: ReadonlyArray<string>) =>
  execFileSync("npm", args, { cwd: project, env: environment(), encoding: "utf8", stdio: "pipe" })

const run = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = runIn(project, {}, ...args)
  assert.strictEqual(status, 0, stderr)
  return stdout.trim()
}

const runIn = (cwd: string, variables: NodeJS.ProcessEnv, ...args: ReadonlyArray<string>) =>
  spawnSync(process.execPath, args, { cwd, env: { ...environment(), ...variables }, encoding: "utf8" })

const answer = JSON.stringify({ mean: 3, none: "statistics.StatisticsError", most: [["s", 1]] })

/** What a project has installed here in the version that the repository has. */
const versions = Object.fromEntries(
  ["effect", "@effect/platform-node", "apache-arrow", "@types/node"].map((name) => [
    name,
    manifest(path.join("node_modules", name)).version
  ])
)

beforeAll(() => {
  execFileSync(process.execPath, [path.join(root, "scripts/build.ts")], { cwd: root, stdio: "pipe" })
  fs.mkdirSync(project)
  for (const name of packages()) {
    const report = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
      cwd: path.join(root, name),
      encoding: "utf8"
    })
    const [packed] = JSON.parse(report) as ReadonlyArray<{ readonly filename: string }> // as `npm pack --json` answers
    if (packed !== undefined) tarballs.set(name, path.join(folder, packed.filename))
  }
  const dependencies = Object.fromEntries(
    [...tarballs].map(([name, file]) => [manifest(name).name, `file:${file}`] as const)
  )
  fs.writeFileSync(
    path.join(project, "package.json"),
    JSON.stringify({ name: "newcomer", private: true, type: "module", dependencies: { ...dependencies, ...versions } })
  )
  fs.writeFileSync(
    path.join(project, "tsconfig.json"),
    JSON.stringify({
      compilerOptions: {
        target: "ES2023",
        module: "NodeNext",
        strict: true,
        exactOptionalPropertyTypes: true,
        types: ["node"],
        outDir: "out"
      },
      include: ["main.ts"]
    })
  )
  fs.copyFileSync(path.join(root, "test/packages/main.ts"), path.join(project, "main.ts"))
  npm("install", "--package-lock-only", "--prefer-offline", "--no-audit", "--no-fund")
  npm("ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund")
}, 180_000)

afterAll(() => fs.rmSync(folder, { recursive: true, force: true }))

describe("The npm packages", () => {
  for (const name of packages()) {
    it(`${name} has nothing that publint objects to`, async () => {
      const { messages, pkg } = await publint({ pkgDir: path.join(root, name), pack: false, strict: true })
      assert.deepStrictEqual(
        messages.map((message) => formatMessage(message, pkg)),
        []
      )
    })

    it(`${name} says what it needs, and that unused modules may be left out`, () => {
      const { engines, sideEffects, type } = JSON.parse(fs.readFileSync(path.join(root, name, "package.json"), "utf8"))
      assert.deepStrictEqual(
        { engines, sideEffects, type },
        { engines: { node: ">=22.19" }, sideEffects: false, type: "module" }
      )
    })

    it(`${name} has types that are right for every resolution of modules that it serves`, async () => {
      const data = fs.readFileSync(tarballs.get(name) ?? assert.fail("it was not packed"))
      const { problems } = { problems: [], ...(await checkPackage(createPackageFromTarballData(data))) }
      // ES modules only, found through `exports`: the resolutions that know neither are not served
      const served = problems.filter((problem) => problem.kind !== "CJSResolvesToESM")
      assert.deepStrictEqual(
        served.filter((problem) => !("resolutionKind" in problem && problem.resolutionKind === "node10")),
        []
      )
    })
  }

  it("compile in a strict project, and run there", () => {
    run(path.join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.json")
    assert.strictEqual(run("out/main.js"), answer)
  }, 120_000)

  it("bring the command line", () => {
    assert.strictEqual(run("node_modules/.bin/snakepit", "call", "math.sqrt", "--args", "[4]"), "2")
  })

  it("run when esbuild has put them into one file", async () => {
    await esbuild.build({
      absWorkingDir: project,
      entryPoints: ["main.ts"],
      outfile: "bundle/esbuild.mjs",
      bundle: true,
      platform: "node",
      format: "esm",
      // CommonJS modules in the bundle call `require`, which ES modules do not have
      banner: { js: 'import * as module from "node:module"; const require = module.createRequire(import.meta.url);' },
      logLevel: "error"
    })
    assert.strictEqual(run("bundle/esbuild.mjs"), answer)
  }, 120_000)

  it("run as one file with the Python sources beside it, where there is no node_modules", () => {
    const image = path.join(folder, "image")
    fs.mkdirSync(image)
    fs.copyFileSync(path.join(project, "bundle/esbuild.mjs"), path.join(image, "main.mjs"))
    const sources = path.join(project, "node_modules/@snakepit/python-worker/python/src")
    fs.cpSync(sources, path.join(image, "python"), { recursive: true })
    assert.include(runIn(image, {}, "main.mjs").stderr, "set SNAKEPIT_WORKER_SOURCE to the folder")
    const told = runIn(image, { SNAKEPIT_WORKER_SOURCE: path.join(image, "python") }, "main.mjs")
    assert.strictEqual(told.stdout.trim(), answer, told.stderr)
  })

  it("run in a bundle that Vite makes for the server", async () => {
    await build({
      root: project,
      configFile: false,
      logLevel: "error",
      ssr: { noExternal: true },
      build: { ssr: "main.ts", outDir: "bundle/vite", target: "node22", rollupOptions: { output: { format: "es" } } }
    })
    const file = fs.readdirSync(path.join(project, "bundle/vite")).find((name) => /^main\.m?js$/.test(name))
    assert.strictEqual(run(path.join("bundle/vite", file ?? "main.js")), answer)
  }, 120_000)
})

describe("The Python package", () => {
  const bin = path.join(process.env["VIRTUAL_ENV"] ?? "", "bin")
  const python = (...args: ReadonlyArray<string>) =>
    execFileSync(path.join(bin, "python"), args, { cwd: folder, encoding: "utf8" })
  const dist = path.join(folder, "dist")

  beforeAll(() => {
    execFileSync(path.join(bin, "uv"), ["build", "--quiet", "--out-dir", dist, path.join(root, "python")], {
      stdio: "pipe",
      // certificates of the system, as pip uses them
      env: { ...process.env, UV_SYSTEM_CERTS: "1" }
    })
  }, 120_000)

  it("is a wheel that imports, with its types", () => {
    const [wheel] = fs.globSync("*.whl", { cwd: dist })
    const site = path.join(folder, "site")
    python("-m", "zipfile", "-e", path.join(dist, wheel ?? assert.fail("there is no wheel")), site)
    assert.isTrue(fs.existsSync(path.join(site, "snakepit_worker/py.typed")))
    const program = `import sys; sys.path.insert(0, ${JSON.stringify(site)}); import snakepit_worker.worker as w; print(w.__file__)`
    assert.strictEqual(python("-c", program).trim(), path.join(site, "snakepit_worker/worker.py"))
  })

  it("is a source distribution with its sources and its licence", () => {
    const [archive] = fs.globSync("*.tar.gz", { cwd: dist })
    const names = python("-m", "tarfile", "-l", path.join(dist, archive ?? assert.fail("there is none")))
    for (const file of ["src/snakepit_worker/worker.py", "pyproject.toml", "README.md", "PKG-INFO", "LICENSE"]) {
      assert.include(names, `/${file}`)
    }
  })
})
