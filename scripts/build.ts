/**
 * `npm run build`: compiles each package to `dist` (ES modules, declarations, source maps), bundles those that are programs, and
 * puts what else `npm pack` has to carry beside it: the Python sources of the worker and the license.
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as esbuild from "esbuild"
import { manifest, packages, root } from "./repository.ts"

const compile = (folder: string) => {
  fs.rmSync(path.join(folder, "dist"), { recursive: true, force: true })
  // Without the condition `snakepit-source` of the repository's own tsconfig: a package sees the others as its users do.
  const config = path.join(folder, "tsconfig.build.tsbuildinfo")
  const options = {
    extends: "../../tsconfig.base.json",
    compilerOptions: { rootDir: "src", outDir: "dist", noEmitOnError: true },
    include: ["src"]
  }
  fs.writeFileSync(config, JSON.stringify(options))
  try {
    const tsc = path.join(root, "node_modules", "typescript", "bin", "tsc")
    const { status } = spawnSync(process.execPath, [tsc, "-p", config], { cwd: folder, stdio: "inherit" })
    if (status !== 0) process.exitCode = 1
    return status === 0
  } finally {
    fs.rmSync(config)
  }
}

/**
 * A program is one bundle, cut where it imports on demand: Effect's modules, loaded one by one, take five times as long to
 * start. Native modules stay outside, and so does what is loaded by its name, like apache-arrow: its package depends on them.
 */
const bundle = (folder: string, programs: Readonly<Record<string, string>>) => {
  const dist = path.join(folder, "dist")
  fs.rmSync(dist, { recursive: true, force: true })
  esbuild.buildSync({
    entryPoints: Object.fromEntries(Object.keys(programs).map((name) => [name, path.join(folder, "src/main.ts")])),
    outdir: dist,
    bundle: true,
    splitting: true,
    platform: "node",
    format: "esm",
    target: "node22",
    conditions: ["snakepit-source"],
    external: ["koffi"],
    // CommonJS modules in the bundle call `require`, which ES modules do not have
    banner: {
      js: 'import * as nodeModule from "node:module"; const require = nodeModule.createRequire(import.meta.url);'
    },
    logLevel: "warning"
  })
  for (const file of Object.values(programs)) fs.chmodSync(path.join(folder, file), 0o755)
}

/** The worker's Python sources, as a folder that can be put on `sys.path` and one that pip can install. */
const copyPython = (destination: string) => {
  fs.rmSync(destination, { recursive: true, force: true })
  for (const name of ["src", "pyproject.toml", "README.md", "LICENSE"]) {
    const source = path.join(root, "python", name)
    if (!fs.existsSync(source)) continue
    const wanted = (file: string) => !/(__pycache__|\.egg-info|_cache)$/.test(file)
    fs.cpSync(source, path.join(destination, name), { recursive: true, dereference: true, filter: wanted })
  }
}

for (const name of packages()) {
  const folder = path.join(root, name)
  const programs = manifest(name).bin
  if (programs !== undefined) bundle(folder, programs)
  else if (!compile(folder)) break
  fs.copyFileSync(path.join(root, "LICENSE"), path.join(folder, "LICENSE"))
  if (name === path.join("packages", "python-worker")) copyPython(path.join(folder, "python"))
  console.log(`built ${name}`)
}
