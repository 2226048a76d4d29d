/** Makes packages to install, so that the tests need no registry. */
import { execFileSync } from "node:child_process"
import * as path from "node:path"

const WRITE_WHEEL = `
import sys, zipfile
file, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(file, "w") as wheel:
    wheel.writestr(f"{name}/__init__.py", f"__version__ = {version!r}\\n")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
`

/** Writes a wheel whose module has nothing but a `__version__`, and answers its path. */
export const writeWheel = (folder: string, name: string, version: string): string => {
  const file = path.join(folder, `${name}-${version}-py3-none-any.whl`)
  execFileSync(python, ["-c", WRITE_WHEEL, file, name, version])
  return file
}

/** The interpreter of the tests. */
export const python = path.join(process.env["VIRTUAL_ENV"] ?? "", "bin", "python")
