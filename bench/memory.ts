/** What an idle worker takes, with and without numpy, beside the bare interpreter. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import type { Run } from "./bench.ts"
import { interpreter } from "./interpreter.ts"
import { type ProcessMemory, processMemory } from "./processMemory.ts"
import { rounded } from "./rounds.ts"
import { openSnakepit } from "./snakepit.ts"
import { printTable } from "./table.ts"

export const run: Run = async () => {
  const bare = await bareInterpreter()
  const idle = await idleWorker("spawn")
  const forked = await idleWorker("fork")
  const numpy = await workerWithNumpy()
  const line = (name: string, memory: ProcessMemory | undefined) => [
    name,
    memory?.rss.toFixed(1) ?? "-",
    memory?.private.toFixed(1) ?? "-"
  ]
  printTable(
    ["", "rss MB", "private MB"],
    [
      line("bare interpreter", bare),
      line("idle worker, spawned", idle),
      line("idle worker, forked", forked),
      line("idle worker, spawned, numpy imported", numpy)
    ]
  )
  return {
    rss_mb: rounded(idle.rss),
    private_mb: rounded(idle.private),
    forked_private_mb: rounded(forked.private),
    numpy_rss_mb: numpy === undefined ? null : rounded(numpy.rss)
  }
}

/** `python3 -c pass`, held open by waiting for the end of its standard input. */
const bareInterpreter = async (): Promise<ProcessMemory> => {
  const hold = "print('up', flush=True); import sys; sys.stdin.read()"
  const child = spawn(interpreter(), ["-c", hold], { stdio: ["pipe", "pipe", "inherit"] })
  await once(child.stdout, "data")
  if (child.pid === undefined) throw new Error(`could not start ${interpreter()}`)
  const memory = await processMemory(child.pid)
  const exited = once(child, "exit")
  child.stdin.end()
  await exited
  return memory
}

const idleWorker = async (start: "fork" | "spawn"): Promise<ProcessMemory> => {
  await using snakepit = await openSnakepit(1, start)
  return await processMemory(await snakepit.pid())
}

/** A worker of its own, so that the one without numpy never saw it; undefined where numpy is not installed. */
const workerWithNumpy = async (): Promise<ProcessMemory | undefined> => {
  await using snakepit = await openSnakepit(1, "spawn")
  if (!(await snakepit.importNumpy())) {
    console.log("numpy is not installed in the workers' environment, so its row is missing")
    return undefined
  }
  return await processMemory(await snakepit.pid())
}
