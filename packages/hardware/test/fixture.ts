import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import type { CommandOutcome } from "../src/Machine.ts"

const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), "fixtures")

/** What a machine printed, by the file's path under `fixtures`. */
export const fixture = (file: string): string => fs.readFileSync(path.join(folder, file), "utf8")

/** All fixtures. */
export const fixtures = (): ReadonlyArray<string> => fs.globSync("*/*", { cwd: folder }).map((file) => fixture(file))

/** A command that ends with an exit code. */
export const exit = (exitCode: number, stdout: string, stderr = ""): CommandOutcome => ({
  _tag: "Ended",
  exitCode,
  stdout,
  stderr
})

export const gibibyte = 1024 ** 3
export const mebibyte = 1024 ** 2
