/** Finds programs the way a shell does. */
import * as fs from "node:fs"
import * as path from "node:path"

/** @internal */
export const isExecutable = (file: string): boolean => {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

/**
 * The absolute path of a command: itself when it holds a slash, otherwise the first match on PATH.
 *
 * @internal
 */
export const which = (command: string, searchPath = process.env["PATH"] ?? ""): string | undefined => {
  if (command.includes(path.sep)) {
    const file = path.resolve(command)
    return isExecutable(file) ? file : undefined
  }
  return searchPath
    .split(path.delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => path.resolve(folder, command))
    .find(isExecutable)
}
