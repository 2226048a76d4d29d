/**
 * Installs what the peers need on first use, into folders that git ignores: `node_modules` here from
 * `package-lock.json`, and `.snakepit/venv` here from `requirements.txt`. A stamp beside them makes later runs skip it.
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { interpreter } from "../interpreter.ts"

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** The interpreter of the environment with grpcio. */
export const peersPython = here(".snakepit/venv/bin/python")

/**
 * Installs both sides. A side that cannot be installed is reported and passed over: the peers that need it then fail
 * to open, and their rows say why.
 */
export const install = async (): Promise<void> => {
  await unlessStamped("npm", ["package-lock.json"], process.version, async () => {
    console.log("Installing the peers' npm packages (first use; node-calls-python is compiled here) ...")
    await run("npm", ["ci", "--no-audit", "--no-fund"])
  })
  await unlessStamped("pip", ["requirements.txt"], interpreter(), async () => {
    console.log("Installing the peers' Python packages (first use) ...")
    await run(interpreter(), ["-m", "venv", "--clear", here(".snakepit/venv")])
    await run(peersPython, ["-m", "pip", "install", "--quiet", "--requirement", here("requirements.txt")])
  })
}

/** Runs `action` unless it has succeeded here with the same files and the same tool. */
const unlessStamped = async (
  name: string,
  files: ReadonlyArray<string>,
  tool: string,
  action: () => Promise<void>
): Promise<void> => {
  const hash = createHash("sha256").update(tool)
  for (const file of files) hash.update(await readFile(here(file)))
  const digest = hash.digest("hex")
  const stamp = here(`.snakepit/${name}.stamp`)
  const before = await readFile(stamp, "utf8").catch(() => "")
  if (before === digest) return
  try {
    await action()
    await mkdir(here(".snakepit"), { recursive: true })
    await writeFile(stamp, digest)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
  }
}

const run = async (command: string, args: ReadonlyArray<string>): Promise<void> => {
  const child = spawn(command, args, { cwd: here("."), env: environment(), stdio: ["ignore", "inherit", "inherit"] })
  const [code] = await once(child, "exit")
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with code ${code}`)
}

/** `npm run` tells its children which project they belong to; npm here belongs to this folder instead. */
const environment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(config_local_prefix|config_workspace|package_)/.test(name))
  )
