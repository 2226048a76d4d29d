/** A package declares what it imports: the repository's own `node_modules` would hide what a user's lacks. */
import * as fs from "node:fs"
import * as path from "node:path"
import { manifest, packages, read, root } from "../repository.ts"

const IMPORT = /(?:^|\s)(?:from|import)\s*\(?\s*"([^".][^"]*)"/gm

/** Imports of packages that stand in none of the kinds of dependencies that users get. */
export const imports = (): ReadonlyArray<string> =>
  packages().flatMap((folder) => {
    const { name, dependencies, optionalDependencies, peerDependencies } = manifest(folder)
    const declared = new Set([name, ...Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies })])
    return fs.globSync(`${folder}/src/**/*.ts`, { cwd: root }).flatMap((file) =>
      [...withoutComments(read(file)).matchAll(IMPORT)]
        .map(([, specifier = ""]) => packageOf(specifier))
        .filter((imported) => !imported.startsWith("node:") && !declared.has(imported))
        .map((imported) => `${file} imports ${imported}, which ${path.join(folder, "package.json")} does not declare`)
    )
  })

const packageOf = (specifier: string) => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/")

const withoutComments = (text: string) => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")
