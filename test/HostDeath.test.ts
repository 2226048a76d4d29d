/** The host is killed by SIGKILL in the middle of its work: nothing of it is to stay. */
import { Snakepit } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as readline from "node:readline"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { isRunning, socketDirectory, waitUntil, withPool } from "./harness.ts"
import { descendants } from "./processTree.ts"

const Report = Schema.fromJsonString(
  Schema.Struct({
    workers: Schema.Array(Schema.Int),
    grandchildren: Schema.Array(Schema.Int),
    busy: Schema.Int
  })
)

/** A host of its own process, and what it says once its workers are busy. */
const busyHost = (start: "fork" | "spawn") =>
  Effect.gen(function* () {
    const host = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(
          process.execPath,
          ["--conditions=snakepit-source", path.join(import.meta.dirname, "hosts/busy.ts"), start],
          {
            stdio: ["ignore", "pipe", "inherit"]
          }
        )
      ),
      (child) => Effect.sync(() => void child.kill("SIGKILL"))
    )
    const line = yield* Effect.callback<string>((resume) => {
      readline.createInterface({ input: host.stdout }).on("line", (text) => {
        if (text.startsWith('{"workers"')) resume(Effect.succeed(text))
      })
    })
    return { host, ...(yield* Schema.decodeUnknownEffect(Report)(line)) }
  })

/** The folders of shared memory that say they belong to a process: `HOST-PID-START` in the file `owner`. */
const sharedMemoryOf = (pid: number): ReadonlyArray<string> =>
  fs
    .readdirSync("/dev/shm")
    .filter((name) => name.startsWith("snakepit-"))
    .map((name) => path.join("/dev/shm", name))
    .filter((folder) => {
      try {
        return fs.readFileSync(path.join(folder, "owner"), "utf8").split("-")[1] === String(pid)
      } catch {
        return false // another program's, which has just ended
      }
    })

describe.each(["fork", "spawn"] as const)("A host with workers that come by %s", (start) => {
  it.live(
    "killed while its workers compute, sleep and hold the interpreter lock, it takes them and their children along",
    () =>
      Effect.gen(function* () {
        const folder = yield* socketDirectory
        const { busy, grandchildren, host, workers } = yield* busyHost(start)
        assert.strictEqual(busy, 4)
        // with the fork server, and the worker that it has forked ahead
        const expected = workers.length + grandchildren.length + (start === "fork" ? 2 : 0)
        yield* waitUntil("all processes are there", () => descendants(host.pid ?? 0).length === expected)
        const all = descendants(host.pid ?? 0)
        for (const pid of [...workers, ...grandchildren]) assert.include(all, pid)
        assert.isAbove(sharedMemoryOf(host.pid ?? 0).flatMap((shared) => fs.readdirSync(shared)).length, 1)
        host.kill("SIGKILL")
        yield* waitUntil("no process of the host is left", () => !all.some(isRunning), 2_000)

        const [left] = fs.readdirSync(folder)
        assert.isDefined(left)
        yield* withPool({ start })(
          Effect.gen(function* () {
            yield* Snakepit.call("math.sqrt", { args: [4] })
            assert.notInclude(fs.readdirSync(folder), left)
            assert.deepStrictEqual(sharedMemoryOf(host.pid ?? 0), [])
          })
        )
        assert.deepStrictEqual(fs.readdirSync(folder), [])
      }).pipe(Effect.scoped)
  )

  it.live("that lives on keeps its sockets and its shared memory when another one starts", () =>
    Effect.gen(function* () {
      const folder = yield* socketDirectory
      const { host } = yield* busyHost(start)
      const own = [...fs.readdirSync(folder), ...sharedMemoryOf(host.pid ?? 0)]
      assert.strictEqual(own.length, 2)
      yield* withPool({ start })(Snakepit.call("math.sqrt", { args: [4] }))
      assert.deepStrictEqual([...fs.readdirSync(folder), ...sharedMemoryOf(host.pid ?? 0)], own)
    }).pipe(Effect.scoped)
  )
})
