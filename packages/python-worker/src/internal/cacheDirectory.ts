/** Where Snakepit keeps what a user's projects share: `$XDG_CACHE_HOME/snakepit`, by default `~/.cache/snakepit`. */
import * as os from "node:os"
import * as path from "node:path"

/** Its path, whether it is there or not. */
export const cacheDirectory = (): string => {
  const configured = process.env["XDG_CACHE_HOME"]
  // The XDG specification asks to ignore a relative path.
  const base = configured !== undefined && path.isAbsolute(configured) ? configured : path.join(os.homedir(), ".cache")
  return path.join(base, "snakepit")
}
