/**
 * What instances find after one that was killed while it held 200 MiB of `/dev/shm`: one that shares no memory, then, after another that
 * was killed, one that does. Prints it as JSON.
 */
import { Snakepit } from "@snakepit/core"
import { Instances, SnakepitNode } from "@snakepit/python-worker"
import { SharedMemory } from "@snakepit/zero-copy"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { descendants, isRunning } from "../processTree.ts"

const run = <A, E>(
  zeroCopy: SharedMemory.ZeroCopyOptions,
  program: Effect.Effect<A, E, Snakepit.Snakepit | SharedMemory.SharedMemory>
) => {
  const pool = { size: 1, pythonPath: [import.meta.dirname], progress: "silent", zeroCopy } as const
  return Effect.runPromise(
    program.pipe(Effect.provide(SnakepitNode.layer({ pools: { default: pool } })), Effect.provide(Logger.layer([])))
  )
}

const dieWithMemory = Effect.gen(function* () {
  yield* Snakepit.call("sharing.total", { args: [new Float64Array(200 * 131_072)] })
  fs.writeSync(1, descendants(process.pid).join())
  process.kill(process.pid, "SIGKILL")
  yield* Effect.never
})

const shm = () => fs.readdirSync("/dev/shm")

/** A process that looks like a zombie has its memory until the last of its threads has ended. */
const hasMemory = (pid: number): boolean => {
  try {
    return isRunning(pid) || fs.readdirSync(`/proc/${pid}/task`).length > 1
  } catch {
    return false // it ended meanwhile
  }
}

/** Has a host killed, and answers what is left of it once its processes have ended. */
const killedHost = Effect.gen(function* () {
  const args = [...process.execArgv, import.meta.filename, "dies"]
  const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] })
  while (stdout.split(",").map(Number).some(hasMemory)) yield* Effect.sleep(5)
  return shm()
}).pipe(Effect.timeout("20 seconds"))

if (process.argv[2] === "dies") await run({}, dieWithMemory)
else {
  const left = await Effect.runPromise(killedHost)
  const { directories } = await Effect.runPromise(Instances.leftovers)
  const withoutSharing = await run({ enabled: false }, Effect.sync(shm))
  await Effect.runPromise(killedHost)
  const arena = Effect.flatMap(SharedMemory.SharedMemory, (memory) => memory.pool())
  const withSharing = await run(
    {},
    Effect.map(arena, (memory) => ({
      found: shm(),
      folders: typeof memory.arena === "string" ? [] : memory.arena.folders
    }))
  )
  console.log(JSON.stringify({ left, directories, withoutSharing, withSharing }))
}
