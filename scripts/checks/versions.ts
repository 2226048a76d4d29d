/** All packages, the Python one included, have one version number and depend on each other with exactly it. */
import { workerRequirements } from "../../packages/python-worker/src/Environment.ts"
import { manifest, packages, read } from "../repository.ts"

/** Version numbers that differ from the one in the repository's `package.json`. */
export const versions = (): ReadonlyArray<string> => {
  const { version } = manifest(".")
  const found = [
    ...packages().flatMap((folder) => {
      const { version: own, dependencies = {}, peerDependencies = {} } = manifest(folder)
      const internal = Object.entries({ ...dependencies, ...peerDependencies })
        .filter(([name]) => name.startsWith("@snakepit/"))
        .map(([name, range]) => ({ where: `${folder}/package.json, dependency ${name}`, found: range }))
      return [{ where: `${folder}/package.json`, found: own }, ...internal]
    }),
    { where: "python/pyproject.toml", found: firstMatch("python/pyproject.toml", /^version = "(.*)"$/m) },
    ...lockedVersions()
  ]
  return found
    .filter((entry) => entry.found !== version)
    .map((entry) => `${entry.where} has ${entry.found}, package.json has ${version}`)
    .concat(workerRequirementsDiffer())
}

/** The worker's requirements are installed by `Environment.ts`, and by pip from `pyproject.toml`. */
const workerRequirementsDiffer = (): ReadonlyArray<string> => {
  const declared = firstMatch("python/pyproject.toml", /^dependencies = (\[.*\])$/m)
  const installed = JSON.stringify(workerRequirements)
  return declared === installed
    ? []
    : [`python/pyproject.toml has dependencies ${declared}, workerRequirements of Environment.ts are ${installed}`]
}

const firstMatch = (file: string, pattern: RegExp) => pattern.exec(read(file))?.[1] ?? "none"

/** The workspace entries of the lock file: npm does not complain when they are old. */
const lockedVersions = () => {
  // npm reads the same file and refuses one of another shape.
  const lock = JSON.parse(read("package-lock.json")) as { packages: Record<string, { version?: string }> }
  return Object.entries(lock.packages)
    .filter(([folder]) => folder === "" || folder.startsWith("packages/"))
    .map(([folder, entry]) => ({
      where: `package-lock.json, ${folder === "" ? "the root" : folder}`,
      found: entry.version ?? "no version"
    }))
}
