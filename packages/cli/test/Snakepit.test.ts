/** What holds for the command line as a whole. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as Effect from "effect/Effect"
import { python } from "../../python-worker/test/wheel.ts"
import { snakepit, snakepitIn } from "./run.ts"

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

  it.live("helps with every command", () =>
    Effect.gen(function* () {
      const { stdout } = yield* snakepit("--help")
      for (const name of ["setup", "doctor", "call", "repl", "status", "env", "hardware"]) {
        assert.match(stdout, new RegExp(`^  ${name} +[A-Z]`, "m"))
      }
      assert.match((yield* snakepit("call", "--help")).stdout, /--args string +Positional arguments: a JSON array/)
    })
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

  for (const name of ["bash", "zsh", "fish"]) {
    const hasShell = spawnSync(name, ["-c", ":"]).status === 0
    it.live(`completes in ${name}`, () =>
      Effect.gen(function* () {
        const { stdout } = yield* snakepit("--completions", name)
        for (const word of ["status", "hardware", "kwargs"]) assert.include(stdout, word)
        if (hasShell) assert.strictEqual(spawnSync(name, ["-n"], { input: stdout, encoding: "utf8" }).stderr, "")
      })
    )
  }
})
