/** Interpreters that uv manages, from a mirror on this machine, and versions asked for. */
import { assert, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"
import * as Environment from "../src/Environment.ts"
import * as Interpreter from "../src/Interpreter.ts"
import { folder, script, setEnvironment } from "./sandbox.ts"
import { python, uv, writeWheel } from "./wheel.ts"

/**
 * Packs the interpreter of the tests as python-build-standalone packs its own, with the list of downloads in uv's format. Without
 * what no test needs, so that it takes a second.
 */
const PACK = `
import hashlib, json, os, pathlib, sys, sysconfig, tarfile
folder, patch = pathlib.Path(sys.argv[1]), int(sys.argv[2])
short = "%d.%d" % sys.version_info[:2]
archive = folder / "python.tar.gz"
left_out = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3"}
keep = lambda entry: None if left_out & set(entry.name.split("/")) or entry.name.endswith(".a") else entry
with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
    tar.add(os.path.realpath(sys.executable), f"python/bin/python{short}")
    for name in ("python3", "python"):
        link = tarfile.TarInfo(f"python/bin/{name}")
        link.type, link.linkname = tarfile.SYMTYPE, f"python{short}"
        tar.addfile(link)
    tar.add(sysconfig.get_path("stdlib"), f"python/lib/python{short}", filter=keep)
    library = pathlib.Path(sysconfig.get_config_var("LIBDIR") or "/", sysconfig.get_config_var("INSTSONAME") or "none")
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and library.exists():
        tar.add(library, f"python/lib/{library.name}")
family = os.uname().machine.replace("arm64", "aarch64")
libc = "gnu" if sys.platform == "linux" else "none"
system = "linux" if sys.platform == "linux" else "darwin"
major, minor = sys.version_info[:2]
key = f"cpython-{major}.{minor}.{patch}-{system}-{family}-{libc}"
download = dict(name="cpython", arch=dict(family=family, variant=None), os=system, libc=libc, major=major, minor=minor,
    patch=patch, prerelease="", url=archive.as_uri(), sha256=hashlib.sha256(archive.read_bytes()).hexdigest(), variant=None,
    build="20260101")
(folder / "downloads.json").write_text(json.dumps({key: download}))
print(short)
`

const mirror = Effect.gen(function* () {
  const made = yield* folder
  const { version } = yield* Interpreter.find({ python })
  const patch = version.split(".")[2] ?? "0"
  const short = execFileSync(python, ["-I", "-c", PACK, made, patch], { encoding: "utf8" }).trim()
  yield* setEnvironment({
    XDG_CACHE_HOME: path.join(made, "cache"),
    UV: uv,
    UV_CACHE_DIR: path.join(made, "uv"),
    UV_PYTHON_INSTALL_DIR: path.join(made, "pythons"),
    UV_FIND_LINKS: made,
    UV_OFFLINE: "1"
  })
  writeWheel(made, "snakedemo", "1.0")
  return { made, short, version, downloads: path.join(made, "downloads.json") }
})

it.live("installs a managed interpreter from a mirror, offline, and makes an environment that stands on it alone", () =>
  Effect.gen(function* () {
    const { downloads, made, short, version } = yield* mirror
    const options = {
      requirements: ["snakedemo"],
      directory: path.join(made, "made"),
      python: short,
      managedPython: true,
      uv: { pythonDownloads: downloads, offline: true }
    }
    const environment = yield* Environment.sync(options)
    const code = "import snakedemo, sys; print(sys.base_prefix); print(sys.version.split()[0])"
    const [prefix = "", found] = execFileSync(environment.python, ["-I", "-c", code], { encoding: "utf8" }).split("\n")
    assert.isTrue(prefix.startsWith(path.join(made, "pythons")), prefix)
    assert.strictEqual(found, version)
    assert.isTrue(fs.realpathSync(environment.python).startsWith(fs.realpathSync(path.join(made, "pythons"))))

    // and finds it again without uv
    yield* setEnvironment({ UV: "/nowhere/uv" })
    assert.deepStrictEqual(yield* Environment.sync(options), environment)
  }).pipe(Effect.scoped)
)

it.live("takes a mirror in the place of the address that is in the list", () =>
  Effect.gen(function* () {
    const { downloads, made, short } = yield* mirror
    const list = fs.readFileSync(downloads, "utf8")
    const release = "https://github.com/astral-sh/python-build-standalone/releases/download"
    fs.writeFileSync(downloads, list.replace(pathToFileURL(made).href, release))
    const options = { requirements: [], directory: path.join(made, "made"), python: short, managedPython: true }
    const unreachable = { ...options, uv: { pythonDownloads: downloads, offline: true } }
    const error = yield* Effect.flip(Environment.sync(unreachable))
    assert.strictEqual(error._tag, "NetworkUnavailable")
    assert.include(error.message, release)

    const mirrored = { ...unreachable, uv: { ...unreachable.uv, pythonMirror: pathToFileURL(made).href } }
    const { python: made3 } = yield* Environment.sync(mirrored)
    assert.isTrue(fs.realpathSync(made3).startsWith(fs.realpathSync(path.join(made, "pythons"))))
  }).pipe(Effect.scoped)
)

it.live("names the version that nobody has", () =>
  Effect.gen(function* () {
    const { downloads, made } = yield* mirror
    const options = { requirements: [], directory: made, uv: { pythonDownloads: downloads, offline: true } }
    const error = yield* Effect.flip(Environment.sync({ ...options, python: "3.99" }))
    assert.strictEqual(error._tag, "PythonNotFound")
    assert.include(error.message, "3.99")
  }).pipe(Effect.scoped)
)

it.live("brings an interpreter when there is none at all", () =>
  Effect.gen(function* () {
    const { downloads, made } = yield* mirror
    yield* setEnvironment({ VIRTUAL_ENV: undefined, CONDA_PREFIX: undefined, PATH: path.join(made, "empty") })
    const options = { requirements: [], directory: path.join(made, "made"), uv: { pythonDownloads: downloads } }
    const environment = yield* Environment.sync(options)
    assert.isTrue(fs.realpathSync(environment.python).startsWith(fs.realpathSync(path.join(made, "pythons"))))
  }).pipe(Effect.scoped)
)

it.live("finds a version on the PATH without uv, and passes over the shim of a version that is not installed", () =>
  Effect.gen(function* () {
    const made = yield* folder
    const { version } = yield* Interpreter.find({ python })
    const short = version.split(".").slice(0, 2).join(".")
    const commands = path.join(made, "commands")
    script(path.join(commands, `python${short}`), "echo 'command not found' >&2; exit 127")
    fs.symlinkSync(python, path.join(commands, "python3"))
    yield* setEnvironment({
      XDG_CACHE_HOME: path.join(made, "cache"),
      UV: undefined,
      PATH: `${commands}:/bin`,
      VIRTUAL_ENV: undefined,
      PIP_NO_INDEX: "1",
      PIP_FIND_LINKS: undefined
    })
    const found = yield* Environment.interpreterOf({ python: short })
    assert.strictEqual(found.version, version)
    const error = yield* Effect.flip(Environment.interpreterOf({ python: "3.99" }))
    assert.include(error.message, `it is Python ${version}`)
    const managed = yield* Effect.flip(Environment.interpreterOf({ python: short, managedPython: true }))
    assert.strictEqual(managed._tag, "UvMissing")
  }).pipe(Effect.scoped)
)
