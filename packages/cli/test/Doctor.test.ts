/** Faults are planted, found, and mended by what the doctor says. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { folder, script, setEnvironment } from "../../python-worker/test/sandbox.ts"
import { bootstrap, workerModule } from "../../python-worker/src/internal/spawnedProcess.ts"
import { python, serveIndex, uv, writeWheel } from "../../python-worker/test/wheel.ts"
import { examine, type Finding, type Machine, machine, type Pool } from "../src/diagnosis.ts"
import { offline } from "./packages.ts"
import { canMount, mounting, snakepitIn } from "./run.ts"

type Findings = ReadonlyArray<Finding>

const examined = (pool: Pool = {}, on: Machine = machine) =>
  examine({ size: 1, start: "spawn", progress: "silent", ...pool }, on)

const finding = (findings: Findings, check: string): Finding =>
  findings.find((one) => one.check === check) ?? assert.fail(`there is no check ${check}`)

const remedy = (findings: Findings, check: string): string => {
  const { remedy: text, status } = finding(findings, check)
  assert.notStrictEqual(status, "ok", `${check} was not found to be wrong`)
  return text ?? assert.fail(`${check} has no remedy`)
}

const isWell = (findings: Findings, ...checks: ReadonlyArray<string>) => {
  for (const check of checks) assert.deepInclude(finding(findings, check), { status: "ok", remedy: null })
}

/** Milliseconds for a test that starts the program several times, and uv with it. */
const SEVERAL = 120_000

describe("snakepit doctor", () => {
  it.live("finds an interpreter that is missing or too old; naming another helps", () =>
    Effect.gen(function* () {
      const missing = yield* examined({ python: "/nowhere/python" })
      assert.include(finding(missing, "interpreter").detail, "/nowhere/python")
      assert.include(finding(missing, "worker").detail, "not started")

      const file = path.join(yield* folder, "python")
      const old = yield* examined({ python: script(file, `echo '{"version": "3.8.1", "path": "${file}"}'`) })
      assert.include(finding(old, "interpreter").detail, "it is Python 3.8.1, older than 3.10")

      assert.include(remedy(old, "interpreter"), "--python")
      isWell(yield* examined({ python }), "node", "interpreter", "worker")
    }).pipe(Effect.scoped)
  )

  it.live("finds the module that stands in the way of one of Python's own; renaming it helps", () =>
    Effect.gen(function* () {
      const place = yield* folder
      const shadow = path.join(place, "modules", "struct.py")
      fs.mkdirSync(path.dirname(shadow))
      fs.writeFileSync(shadow, "")
      const environment = path.join(place, "environment")
      execFileSync(uv, ["venv", "--quiet", "--python", python, environment])
      const packages = pythonSays("import sysconfig; print(sysconfig.get_path('purelib'))")
      const [site = ""] = fs.globSync(path.join(environment, "lib", "python*", "site-packages"))
      const start = `import sys; sys.path.insert(0, ${JSON.stringify(path.dirname(shadow))})\n${packages}\n`
      fs.writeFileSync(path.join(site, "start.pth"), start)

      const pool: Pool = { python: path.join(environment, "bin", "python") }
      const findings = yield* examined(pool)
      isWell(findings, "interpreter")
      assert.include(finding(findings, "worker").detail, "cannot import name 'Struct'")
      const [, named = ""] = /^Rename (.*):/.exec(remedy(findings, "worker")) ?? []
      assert.strictEqual(fs.realpathSync(named), fs.realpathSync(shadow))
      fs.renameSync(named, `${named}.txt`)
      isWell(yield* examined(pool), "worker")
    }).pipe(Effect.scoped)
  )

  it.live("finds what keeps every Python from starting, and says where to look", () =>
    Effect.gen(function* () {
      const environment = path.join(yield* folder, "environment")
      execFileSync(uv, ["venv", "--quiet", "--python", python, environment])
      const [site = ""] = fs.globSync(path.join(environment, "lib", "python*", "site-packages"))
      fs.writeFileSync(path.join(site, "sitecustomize.py"), `import sys; sys.modules["struct"] = None\n`)
      const findings = yield* examined({ python: path.join(environment, "bin", "python") })
      assert.include(finding(findings, "worker").detail, "import of struct halted")
      assert.include(remedy(findings, "worker"), "sitecustomize.py")
      fs.rmSync(path.join(site, "sitecustomize.py"))
      isWell(yield* examined({ python: path.join(environment, "bin", "python") }), "worker")
    }).pipe(Effect.scoped)
  )

  it.live("finds a uv that is named and cannot be run; unsetting the name helps", () =>
    Effect.gen(function* () {
      const broken = script(path.join(yield* folder, "uv"), "echo 'Illegal instruction' >&2; exit 132")
      for (const [name, why] of [
        [broken, "Illegal instruction"],
        ["/nowhere/uv", "it is not an executable file"]
      ] as const) {
        yield* setEnvironment({ UV: name })
        const findings = yield* examined()
        assert.include(finding(findings, "uv").detail, why)
        assert.match(remedy(findings, "uv"), /^unset UV,/)
      }
      yield* setEnvironment({ UV: undefined, PATH: `${path.dirname(uv)}${path.delimiter}${process.env["PATH"]}` })
      assert.include(finding(yield* examined(), "uv").detail, uv)
    }).pipe(Effect.scoped)
  )

  it.live(
    "finds a lock that does not fit its project any more; the command that it names helps",
    () =>
      Effect.gen(function* () {
        const place = yield* folder
        yield* offline(place)
        const project = path.join(place, "project")
        fs.mkdirSync(project)
        const write = (...dependencies: ReadonlyArray<string>) =>
          fs.writeFileSync(
            path.join(project, "pyproject.toml"),
            `[project]\nname = "demo"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = ${JSON.stringify(dependencies)}\n`
          )
        write()
        const doctor = Effect.map(
          snakepitIn({ cwd: project }, "doctor", "--json", "--python", python),
          ({ stdout }) => {
            const findings: Findings = JSON.parse(stdout)
            return findings
          }
        )
        isWell(yield* doctor, "environment", "lock", "worker")
        write("snakedemo")
        const findings = yield* doctor
        assert.include(finding(findings, "lock").detail, "uv.lock")
        assert.strictEqual(remedy(findings, "environment"), remedy(findings, "lock"))
        assert.include(finding(findings, "worker").detail, "not started")
        const [program, ...args] = remedy(findings, "lock").split(" ")
        assert.strictEqual(program, "snakepit")
        assert.strictEqual((yield* snakepitIn({ cwd: project }, ...args, "--python", python)).exitCode, 0)
        isWell(yield* doctor, "environment", "lock", "worker")
      }).pipe(Effect.scoped),
    SEVERAL
  )

  it.live(
    "finds a project that asks for a Python that is not here; naming another helps",
    () =>
      Effect.gen(function* () {
        const cwd = yield* projectOf("snakelone")
        fs.writeFileSync(path.join(cwd, ".python-version"), "3.99\n")
        const findings = yield* doctorIn(cwd)
        assert.include(finding(findings, "interpreter").detail, "3.99")
        assert.include(remedy(findings, "interpreter"), "--python")
        assert.include(finding(findings, "environment").detail, "not made")
        isWell(yield* doctorIn(cwd, "--python", python), "interpreter", "environment", "worker")
      }).pipe(Effect.scoped),
    SEVERAL
  )

  it.live(
    "finds requirements that cannot be had; other ones help, as it says",
    () =>
      Effect.gen(function* () {
        const cwd = yield* projectOf()
        const findings = yield* doctorIn(cwd, "-r", "snakedemo>3", "--python", python)
        isWell(findings, "interpreter")
        assert.include(finding(findings, "environment").detail, "you require snakedemo>3")
        assert.match(remedy(findings, "environment"), /requirements .* with -r/)
        isWell(yield* doctorIn(cwd, "-r", "snakedemo<3", "--python", python), "environment", "lock", "worker")
      }).pipe(Effect.scoped),
    SEVERAL
  )

  it.live(
    "finds that the network is missing; doing without --offline helps, as it says",
    () =>
      Effect.gen(function* () {
        const cwd = yield* projectOf()
        const wheels = path.join(cwd, "wheels")
        writeWheel(wheels, "snakeaway", "1.0")
        const index = yield* serveIndex(wheels)
        yield* setEnvironment({ UV_DEFAULT_INDEX: index.url, UV_OFFLINE: undefined })
        const flags = ["-r", "snakeaway", "--python", python]
        const findings = yield* doctorIn(cwd, ...flags, "--offline")
        assert.include(finding(findings, "environment").detail, "snakeaway was not found in the cache")
        assert.match(remedy(findings, "environment"), /^Leave out --offline/)
        isWell(yield* doctorIn(cwd, ...flags), "environment", "worker")
        isWell(yield* doctorIn(cwd, ...flags, "--offline"), "environment", "worker")
      }).pipe(Effect.scoped),
    SEVERAL
  )

  it.live.skipIf(!canMount)(
    "finds a folder in which no environment can be made; making it beforehand helps",
    () =>
      Effect.gen(function* () {
        const cwd = yield* projectOf("snakedemo")
        const shell = mounting('mount --bind "$PLACE" "$PLACE"; mount -o remount,ro,bind "$PLACE"; cd "$PLACE"')
        const doctor = Effect.map(
          snakepitIn({ cwd, shell, env: { PLACE: cwd } }, "doctor", "--json", "--python", python),
          ({ stdout }): Findings => JSON.parse(stdout)
        )
        const findings = yield* doctor
        assert.match(finding(findings, "environment").detail, /^Cannot use .*read-only file system/i)
        const [, command = ""] = /^Run (snakepit setup) where/.exec(remedy(findings, "environment")) ?? []
        const [, ...args] = command.split(" ")
        assert.strictEqual((yield* snakepitIn({ cwd }, ...args, "--python", python)).exitCode, 0)
        isWell(yield* doctor, "environment", "worker")
      }).pipe(Effect.scoped),
    SEVERAL
  )

  it.live("finds a build of torch that is too new for the driver, and says how to have another", () =>
    Effect.gen(function* () {
      const place = yield* folder
      yield* nvidiaSmi(place, driverOfCuda124)
      const environment = path.join(place, "environment")
      execFileSync(uv, ["venv", "--quiet", "--python", python, environment])
      const pool: Pool = { python: path.join(environment, "bin", "python") }
      const install = (version: string, ...flags: ReadonlyArray<string>) =>
        execFileSync(uv, ["pip", "install", "--quiet", "--offline", ...flags, writeWheel(place, "torch", version)])

      install("2.9.0+cu130", "--python", pool.python ?? "")
      const findings = yield* examined(pool)
      assert.strictEqual(
        finding(findings, "accelerator").detail,
        "torch 2.9.0+cu130 is built for CUDA 13.0, and the driver serves CUDA 12.4 at most"
      )
      // what it says, but for the index of that build, which is not here
      assert.strictEqual(
        remedy(findings, "accelerator"),
        `uv pip install --python "${pool.python}" --reinstall --torch-backend cu124 torch`
      )
      install("2.9.0+cu124", "--python", pool.python ?? "", "--reinstall")
      isWell(yield* examined(pool), "accelerator")
    }).pipe(Effect.scoped)
  )

  for (const locked of [false, true]) {
    it.live(
      `finds such a build among ${locked ? "locked " : ""}requirements; asking for the one that it names helps`,
      () =>
        Effect.gen(function* () {
          const cwd = yield* projectOf()
          const place = path.dirname(cwd)
          yield* nvidiaSmi(place, driverOfCuda124)
          const newer = writeWheel(place, "torch", "2.9.0+cu130")
          const flags = ["-r", "torch", "--python", python, ...(locked ? ["--lock", path.join(cwd, "torch.lock")] : [])]
          const lock = (...more: ReadonlyArray<string>) => snakepitIn({ cwd }, "env", "lock", ...more, ...flags)
          if (locked) assert.strictEqual((yield* lock()).exitCode, 0)
          const findings = yield* doctorIn(cwd, ...flags)
          isWell(findings, "environment", "worker")
          assert.include(finding(findings, "accelerator").detail, "CUDA 13.0, and the driver serves CUDA 12.4 at most")
          const [build = ""] = /--torch-backend \S+/.exec(remedy(findings, "accelerator")) ?? []
          assert.strictEqual(build, "--torch-backend cu124")

          // what the index of that build has
          fs.rmSync(newer)
          writeWheel(place, "torch", "2.9.0+cu124")
          // the environment that was made stays
          assert.include(remedy(yield* doctorIn(cwd, ...flags), "accelerator"), build)
          if (locked) {
            const [command = ""] = /snakepit env lock .*$/.exec(remedy(findings, "accelerator")) ?? []
            const { exitCode, stderr } = yield* lock(...command.split(" ").slice(3))
            assert.strictEqual(exitCode, 0, stderr)
            isWell(yield* doctorIn(cwd, ...flags), "environment", "worker", "accelerator")
          } else {
            isWell(yield* doctorIn(cwd, ...flags, ...build.split(" ")), "environment", "worker", "accelerator")
          }
        }).pipe(Effect.scoped),
      SEVERAL
    )
  }

  it.live(
    "finds such a build in a project; an index of its own for torch helps, as it says",
    () =>
      Effect.gen(function* () {
        const cwd = yield* projectOf("torch")
        const place = path.dirname(cwd)
        yield* nvidiaSmi(place, driverOfCuda124)
        writeWheel(place, "torch", "2.9.0+cu130")
        const findings = yield* doctorIn(cwd, "--python", python)
        assert.strictEqual(
          remedy(findings, "accelerator"),
          "Name the index of the build cu124 in [tool.uv.sources] of pyproject.toml, then: snakepit env lock"
        )
        writeWheel(path.join(place, "cu124"), "torch", "2.9.0+cu124")
        fs.appendFileSync(
          path.join(cwd, "pyproject.toml"),
          `[tool.uv.sources]\ntorch = { index = "cu124" }\n` +
            `[[tool.uv.index]]\nname = "cu124"\nurl = "${path.join(place, "cu124")}"\nformat = "flat"\nexplicit = true\n`
        )
        const { exitCode, stderr } = yield* snakepitIn({ cwd }, "env", "lock", "--python", python)
        assert.strictEqual(exitCode, 0, stderr)
        isWell(yield* doctorIn(cwd, "--python", python), "environment", "worker", "accelerator")
      }).pipe(Effect.scoped),
    SEVERAL
  )

  it.live("finds a driver that does not fit its kernel module; a driver that answers is well", () =>
    Effect.gen(function* () {
      const place = yield* folder
      yield* nvidiaSmi(place, "echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18")
      const findings = yield* examined()
      assert.include(finding(findings, "accelerator").detail, "Driver/library version mismatch")
      assert.match(remedy(findings, "accelerator"), /reboot, or reload the module/)
      yield* nvidiaSmi(place, driverOfCuda124)
      isWell(yield* examined(), "accelerator")
    }).pipe(Effect.scoped)
  )

  it.live("finds the cache where it is, and not below a folder that is empty or relative", () =>
    Effect.gen(function* () {
      const home = yield* folder
      yield* setEnvironment({ HOME: home })
      for (const base of ["", "relative"]) {
        yield* setEnvironment({ XDG_CACHE_HOME: base })
        assert.strictEqual(finding(yield* examined({ python }), "cache").detail, path.join(home, ".cache"))
      }
    }).pipe(Effect.scoped)
  )

  it.live("finds little shared memory, few open files and few processes", () =>
    Effect.gen(function* () {
      const limits = path.join(yield* folder, "limits")
      fs.writeFileSync(
        limits,
        "Limit                     Soft Limit Hard Limit Units\n" +
          "Max processes             64         64         processes\nMax open files            256        512        files\n"
      )
      const findings = yield* examined({}, { sharedMemory: "/nowhere", limits })
      assert.match(remedy(findings, "shared memory"), /--shm-size/)
      assert.strictEqual(finding(findings, "open files").detail, "at most 256 open files")
      assert.strictEqual(finding(findings, "processes").detail, "at most 64 processes")
      assert.match(remedy(findings, "processes"), /^ulimit -u \d+$/)
      isWell(yield* examined(), "open files", "processes")
      fs.writeFileSync(limits, "Max open files            unlimited  unlimited  files\n")
      assert.strictEqual(finding(yield* examined({}, { ...machine, limits }), "open files").detail, "unlimited")
    }).pipe(Effect.scoped)
  )

  it.live.skipIf(process.platform !== "linux")("names a command that lets more processes run", () =>
    Effect.gen(function* () {
      const limits = path.join(yield* folder, "limits")
      fs.writeFileSync(limits, "Max processes             64         64         processes\n")
      const command = remedy(yield* examined({}, { ...machine, limits }), "processes")
      // dash has no such limit; none of the shell's own processes is started under the low one
      const shell = `exec bash -c 'ulimit -S -u 200; ${command}; exec "$@"' bash "$@"`
      const { stdout } = yield* snakepitIn({ shell }, "doctor", "--json")
      const findings: Findings = JSON.parse(stdout)
      isWell(findings, "processes")
      assert.strictEqual(finding(findings, "processes").detail, `at most ${command.split(" ")[2]}`)
    }).pipe(Effect.scoped)
  )

  it.live.skipIf(!canMount)("finds a machine that is too narrow; what it says for each helps", () =>
    Effect.gen(function* () {
      const variables = { TMPDIR: undefined, XDG_RUNTIME_DIR: undefined, XDG_CACHE_HOME: import.meta.filename }
      const narrow = "mount -t tmpfs -o size=64m none /dev/shm; mount --bind /tmp /tmp; mount -o remount,ro,bind /tmp"
      const before = yield* snakepitIn(
        { shell: `ulimit -n 256; ${mounting(narrow)}`, env: variables },
        "doctor",
        "--json"
      )
      assert.strictEqual(before.exitCode, 1, before.stderr)
      const findings: Findings = JSON.parse(before.stdout)
      assert.strictEqual(finding(findings, "shared memory").detail, "/dev/shm has 64 MiB")
      assert.strictEqual(finding(findings, "open files").detail, "at most 256 open files")
      assert.include(finding(findings, "cache").detail, `${import.meta.filename} is no folder`)
      assert.include(finding(findings, "worker").detail, "not started")
      for (const [check, advice] of [
        ["cache", "Set XDG_CACHE_HOME"],
        ["sockets", "Set XDG_RUNTIME_DIR"]
      ] as const) {
        assert.include(remedy(findings, check), advice)
      }

      const [, size] = /^docker run --shm-size=(\w+)$/.exec(remedy(findings, "shared memory")) ?? []
      const wide = narrow.replace("64m", `${size}; mount -t tmpfs none /mnt`)
      const after = yield* snakepitIn(
        {
          shell: `${remedy(findings, "open files")}; ${mounting(wide)}`,
          env: { ...variables, XDG_RUNTIME_DIR: "/mnt", XDG_CACHE_HOME: "/mnt/cache" }
        },
        ...["doctor", "--json"]
      )
      isWell(JSON.parse(after.stdout), "shared memory", "open files", "cache", "sockets", "worker")
    })
  )

  it.live("finds the folder and the worker that a killed program has left; ending the worker helps", () =>
    Effect.gen(function* () {
      const sockets = yield* folder
      yield* setEnvironment({ XDG_RUNTIME_DIR: sockets })
      const host = yield* killedHost
      const [directory = ""] = fs.readdirSync(sockets)
      assert.match(fs.readFileSync(path.join(sockets, directory, "owner"), "utf8"), new RegExp(`-${host}-`))
      const worker = yield* strayWorker

      const findings = yield* examined()
      assert.include(finding(findings, "leftovers").detail, directory)
      const [, pids = ""] = /^kill -KILL ([\d ]+)$/.exec(remedy(findings, "leftovers")) ?? []
      assert.include(pids.split(" "), String(worker))
      process.kill(worker, "SIGKILL")
      yield* until(() => !fs.existsSync(`/proc/${worker}/exe`))
      // the machine may have leftovers of others
      const { detail } = finding(yield* examined(), "leftovers")
      assert.notInclude(detail, directory)
      assert.notInclude(detail.split(/\s/), String(worker))
    }).pipe(Effect.scoped)
  )

  it.live("prints for people, and ends with 1 when something is wrong", () =>
    Effect.gen(function* () {
      const run = yield* snakepitIn({}, "doctor", "--python", "/nowhere/python")
      assert.strictEqual(run.exitCode, 1)
      assert.match(run.stdout, /^ok {7}node {11}Node \d/m)
      assert.match(run.stdout, /^failed {3}interpreter {4}No Python was found[^]*\n {24}-> Install a Python/m)
      assert.notInclude(run.stdout, "\u001b")
    })
  )
})

/** Plants the command that tells of NVIDIA's GPUs and their driver. */
const nvidiaSmi = (place: string, does: string) => {
  const commands = path.join(place, "commands")
  script(path.join(commands, "nvidia-smi"), does)
  return setEnvironment({ PATH: `${commands}${path.delimiter}${process.env["PATH"]}` })
}

// uv asks for the version of the driver alone
const driverOfCuda124 = `case "$*" in *=driver_version*) echo 550.54.14 ;; *) cat '${path.join(
  import.meta.dirname,
  "../../hardware/test/fixtures/nvidia/rtx-4090-pair.xml"
)}' ;; esac`

/** A folder with a project that needs these packages, which come from a folder beside it. */
const projectOf = (...dependencies: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const place = yield* folder
    yield* offline(place)
    const project = path.join(place, "project")
    fs.mkdirSync(project)
    fs.writeFileSync(
      path.join(project, "pyproject.toml"),
      `[project]\nname = "demo"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = ${JSON.stringify(dependencies)}\n`
    )
    return project
  })

const doctorIn = (cwd: string, ...flags: ReadonlyArray<string>) =>
  Effect.map(snakepitIn({ cwd }, "doctor", "--json", ...flags), ({ stdout }): Findings => JSON.parse(stdout))

/** The process id of a program that had a worker, and was killed. */
const killedHost = Effect.promise(async () => {
  const program = path.join(import.meta.dirname, "fixtures/host.ts")
  const child = spawn(process.execPath, ["--conditions=snakepit-source", program], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  await once(child.stdout, "data")
  child.kill("SIGKILL")
  await once(child, "exit")
  return child.pid
})

/** What looks like a worker that has lost its program: real ones do not outlive theirs. */
const strayWorker = Effect.acquireRelease(
  Effect.sync(() => {
    const program = "import time; time.sleep(600)"
    const words = [python, "-c", program, bootstrap(workerModule)]
    return Number(execFileSync("sh", ["-c", `"$@" >/dev/null 2>&1 & echo $!`, "sh", ...words]))
  }),
  (pid) => Effect.sync(() => spawnSync("kill", ["-KILL", String(pid)]))
)

const pythonSays = (program: string) => execFileSync(python, ["-c", program], { encoding: "utf8" }).trim()

const until = (condition: () => boolean) =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.fail("not yet"))).pipe(
    Effect.retry(Schedule.spaced("10 millis")),
    Effect.orDie
  )
