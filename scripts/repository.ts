/** What this repository consists of: its folder, its files, its packages. */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

/** Absolute path of the repository. */
export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

/** A file's text, by its path in the repository. */
export const read = (file: string): string => fs.readFileSync(path.join(root, file), "utf8")

/** The files that git has or would take, as paths in the repository. */
export const files = (): ReadonlyArray<string> =>
  execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], { cwd: root, encoding: "utf8" })
    .split("\0")
    .filter((file) => file !== "" && fs.existsSync(path.join(root, file)))

/** The fields of `package.json` that the scripts read. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports?: Readonly<Record<string, string | Readonly<Record<string, string>> | null>>
  /** Programs, and the files that they are built to. */
  readonly bin?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/** The manifest in a folder of the repository. */
export const manifest = (folder: string): Manifest =>
  // npm reads the same file and refuses one that is no manifest.
  JSON.parse(read(path.join(folder, "package.json"))) as Manifest

/** The packages' folders, like `packages/core`, each after those that it depends on. */
export const packages = (): ReadonlyArray<string> => {
  const folders = fs.globSync("packages/*/package.json", { cwd: root }).map(path.dirname).toSorted()
  const byName = new Map(folders.map((folder) => [manifest(folder).name, folder]))
  const ordered = new Set<string>()
  const add = (folder: string) => {
    for (const name of Object.keys(manifest(folder).dependencies ?? {})) {
      const dependency = byName.get(name)
      if (dependency !== undefined) add(dependency)
    }
    ordered.add(folder)
  }
  folders.forEach(add)
  return [...ordered]
}
