/** Makes packages to install, and an index to install them from, so that the tests need no registry. */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import * as path from "node:path"
import * as Effect from "effect/Effect"

const WRITE_WHEEL = `
import sys, zipfile
file, name, version, *requires = sys.argv[1:]
info = f"{name}-{version}.dist-info"
needs = "".join(f"Requires-Dist: {line}\\n" for line in requires)
with zipfile.ZipFile(file, "w") as wheel:
    wheel.writestr(f"{name}/__init__.py", f"__version__ = {version!r}\\n")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n{needs}")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
`

/** Writes a wheel whose module has nothing but a `__version__`, and answers its path. */
export const writeWheel = (folder: string, name: string, version: string, requires: ReadonlyArray<string> = []) => {
  const file = path.join(folder, `${name}-${version}-py3-none-any.whl`)
  fs.mkdirSync(folder, { recursive: true })
  execFileSync(python, ["-c", WRITE_WHEEL, file, name, version, ...requires])
  return file
}

/** The interpreter of the tests. */
export const python = path.join(process.env["VIRTUAL_ENV"] ?? "", "bin", "python")

/** The uv of the tests: one of the development requirements. */
export const uv = path.join(path.dirname(python), "uv")

/** A package index over the wheels of a folder. */
export interface Index {
  readonly url: string
  /** Which files were asked for, in order. */
  readonly downloads: ReadonlyArray<string>
  /** Stops answering with wheels: who asks waits, for ever unless it is released. */
  readonly hold: () => void
  readonly release: () => void
  readonly close: () => void
}

/** Serves the folder as a simple index (PEP 503) until the scope closes. */
export const serveIndex = (folder: string) =>
  Effect.acquireRelease(
    Effect.promise(async (): Promise<Index> => {
      const downloads: Array<string> = []
      let held: Array<() => void> | undefined
      const server = http.createServer((request, response) => {
        const name = path.basename(request.url ?? "")
        if (!name.endsWith(".whl")) {
          const files = fs.readdirSync(folder).filter((file) => file.startsWith(`${name.replaceAll("-", "_")}-`))
          response.statusCode = files.length === 0 ? 404 : 200
          response.setHeader("content-type", "text/html")
          response.end(files.map((file) => `<a href="/files/${file}">${file}</a>`).join("\n"))
          return
        }
        downloads.push(name)
        const answer = () => response.end(fs.readFileSync(path.join(folder, name)))
        if (held === undefined) answer()
        else held.push(answer)
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      const { port } = server.address() as AddressInfo // a server that listens on a port has such an address
      return {
        url: `http://127.0.0.1:${port}/simple`,
        downloads,
        hold: () => {
          held ??= []
        },
        release: () => {
          for (const answer of held ?? []) answer()
          held = undefined
        },
        close: () => {
          server.closeAllConnections()
          server.close()
        }
      }
    }),
    (index) => Effect.sync(index.close)
  )

const REPACK = `
import importlib.metadata, pathlib, sys, zipfile
folder, name = sys.argv[1:]
found = importlib.metadata.distribution(name)
tags = [line.split(": ")[1] for line in found.read_text("WHEEL").splitlines() if line.startswith("Tag: ")]
python, abi, _ = tags[0].split("-")
platforms = ".".join(tag.split("-")[2] for tag in tags)
file = pathlib.Path(folder, f"{name}-{found.version}-{python}-{abi}-{platforms}.whl")
with zipfile.ZipFile(file, "w") as wheel:
    for entry in found.files:
        if "__pycache__" not in entry.parts and ".." not in entry.parts:
            wheel.write(entry.locate(), str(entry))
`

/** Makes a wheel again of a package that is installed for the tests. */
export const repackWheel = (folder: string, name: string): void => {
  execFileSync(python, ["-c", REPACK, folder, name])
}
