/** What holds for the command line as a whole. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { folder } from "../../python-worker/test/sandbox.ts"
import { python } from "../../python-worker/test/wheel.ts"
import { snakepit, snakepitIn } from "./run.ts"

/** How shells are asked for the completions of a line, without a person at the tabulator key. */
const shells = [
  {
    shell: "bash",
    complete: `
      source ./script
      COMP_LINE=$1 COMP_POINT=\${#1}
      read -ra COMP_WORDS <<<"$1"
      [[ $1 == *" " ]] && COMP_WORDS+=("")
      COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
      _snakepit snakepit "\${COMP_WORDS[COMP_CWORD]}"
      printf '%s\\n' "\${COMPREPLY[@]}"`
  },
  { shell: "fish", complete: 'source ./script; complete -C "$argv[2]"' }
]

describe("snakepit", () => {
  it.live("says what is wrong with a command line, where its help is, and ends with 2", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* snakepit("call"), {
        exitCode: 2,
        stdout: "",
        stderr: `snakepit call: Missing required argument: target\nSee "snakepit call --help".\n`
      })
      const json = yield* snakepit("swallow", "--json")
      assert.strictEqual(json.exitCode, 2)
      assert.deepStrictEqual(JSON.parse(json.stdout), {
        error: { tag: "Misused", message: 'Unknown subcommand "swallow" for "snakepit"' }
      })
    })
  )

  it.live("refuses a project together with requirements, and folders to import from that are not there", () =>
    Effect.gen(function* () {
      for (const command of [
        ["setup"],
        ["env", "sync"],
        ["env", "lock"],
        ["doctor"],
        ["repl"],
        ["call", "math.sqrt"]
      ]) {
        const both = yield* snakepit(...command, "-r", "six", "--pyproject", ".")
        assert.deepInclude(both, { exitCode: 2, stdout: "" })
        assert.match(both.stderr, /^snakepit [a-z ]+: -r and --pyproject exclude each other: .*\nSee "snakepit/)
      }
      const missing = yield* snakepit("call", "math.sqrt", "--path", "no/such/folder")
      assert.deepInclude(missing, { exitCode: 2, stdout: "" })
      assert.include(missing.stderr, path.join(import.meta.dirname, "no/such/folder"))
    })
  )

  it.live("helps with every command", () =>
    Effect.gen(function* () {
      const { stdout } = yield* snakepit("--help")
      for (const name of ["setup", "doctor", "call", "repl", "status", "env", "hardware"]) {
        assert.match(stdout, new RegExp(`^  ${name} +[A-Z]`, "m"))
      }
      assert.match((yield* snakepit("call", "--help")).stdout, /--args string +Positional arguments: a JSON array/)
    })
  )

  it.live("keeps what was compiled of it in the user's cache, and does without where it cannot", () =>
    Effect.gen(function* () {
      const place = yield* folder
      const { stdout } = yield* snakepitIn({ env: { XDG_CACHE_HOME: place } }, "--version")
      assert.isNotEmpty(fs.readdirSync(path.join(place, "snakepit", "compiled")))
      const without = yield* snakepitIn({ env: { XDG_CACHE_HOME: import.meta.filename } }, "--version")
      assert.deepStrictEqual(without, { exitCode: 0, stdout, stderr: "" })
    }).pipe(Effect.scoped)
  )

  it.live("uses colours on a terminal alone, and none when NO_COLOR is set", () =>
    Effect.gen(function* () {
      const program = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
      const shell = `exec ${python} -c '${program}' "$@"`
      const call = ["call", "math.sqrt", "--args", "[4]"]
      const env = { TERM: "xterm-256color", NO_COLOR: undefined, FORCE_COLOR: undefined, CI: undefined }
      const colored = yield* snakepitIn({ shell, env }, ...call)
      assert.strictEqual(colored.stdout.trim(), "\u001b[33m2\u001b[39m", colored.stderr)
      assert.strictEqual((yield* snakepitIn({ shell, env: { ...env, NO_COLOR: "1" } }, ...call)).stdout.trim(), "2")
      assert.strictEqual((yield* snakepitIn({ env }, ...call)).stdout, "2\n")
    })
  )

  for (const shell of ["bash", "zsh", "fish"]) {
    const hasShell = spawnSync(shell, ["-c", ":"]).status === 0
    it.live(`prints completions for ${shell}, with commands, flags and what all commands have`, () =>
      Effect.gen(function* () {
        const { stdout } = yield* snakepit("--completions", shell)
        for (const word of ["status", "hardware", "kwargs", "json"]) assert.include(stdout, word)
        if (!hasShell) return
        const script = path.join(yield* folder, "script")
        fs.writeFileSync(script, stdout)
        assert.strictEqual(spawnSync(shell, ["-n", script], { encoding: "utf8" }).stderr, "")
      }).pipe(Effect.scoped)
    )
  }

  for (const { shell, complete } of shells) {
    it.live.skipIf(spawnSync(shell, ["-c", ":"]).status !== 0)(`${shell} completes commands, flags and paths`, () =>
      Effect.gen(function* () {
        const cwd = yield* folder
        const script = (yield* snakepit("--completions", shell)).stdout
        fs.writeFileSync(path.join(cwd, "script"), script)
        fs.mkdirSync(path.join(cwd, "modules"))
        const completed = (line: string) => {
          const { status, stderr, stdout } = spawnSync(shell, ["-c", complete, shell, line], { cwd, encoding: "utf8" })
          assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
          return stdout.split("\n").map((found) => found.split("\t")[0]?.replace(/\/$/, ""))
        }
        assert.includeMembers(completed("snakepit "), ["setup", "doctor", "call", "repl", "status", "env", "hardware"])
        assert.deepStrictEqual(completed("snakepit env l").filter(Boolean), ["lock"])
        assert.deepStrictEqual(completed("snakepit call --kw").filter(Boolean), ["--kwargs"])
        for (const command of ["call", "status", "env add"]) {
          assert.include(completed(`snakepit ${command} --js`), "--json")
        }
        // fish finds files itself where it is told that they are wanted
        if (shell === "fish") assert.match(script, /seen_subcommand_from call.* -l path .* -r -F$/m)
        else assert.include(completed("snakepit call --path mod"), "modules")
      }).pipe(Effect.scoped)
    )
  }
})
