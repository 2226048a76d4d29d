/**
 * The programs of this user on this machine that run Snakepit, and what each tells of its pools.
 *
 * Every instance answers on a socket in its runtime directory, which only its user can enter. `snakepit status` shows
 * what {@link list} finds.
 */
import { Snakepit } from "@snakepit/core"
import * as fs from "node:fs/promises"
import * as net from "node:net"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { orphans } from "./internal/orphans.ts"
import * as RuntimeDirectory from "./internal/runtimeDirectory.ts"

/** One worker of a running pool. */
export const WorkerReport = Schema.Struct({
  worker: Schema.String,
  pid: Schema.NullOr(Schema.Int),
  state: Schema.Literals(["idle", "busy", "closing"]),
  /** Calls it was given, calls it has now, and sessions that stand on it. */
  requests: Schema.Int,
  inFlight: Schema.Int,
  sessions: Schema.Int
})

/** One running pool. */
export const PoolReport = Schema.Struct({
  pool: Schema.String,
  status: Schema.Literals(["healthy", "degraded", "unhealthy", "critical"]),
  /** Why it is not healthy, as sentences. */
  reasons: Schema.Array(Schema.String),
  size: Schema.Int,
  queued: Schema.Int,
  sessions: Schema.Int,
  requests: Schema.Int,
  errors: Schema.Int,
  workers: Schema.Array(WorkerReport)
})

/** What an instance tells of itself. */
export const Report = Schema.Struct({
  pid: Schema.Int,
  /** The program's file, as it was started. */
  program: Schema.String,
  directory: Schema.String,
  uptimeSeconds: Schema.Number,
  pools: Schema.Array(PoolReport)
})

/** What an instance tells of itself. */
export type Report = typeof Report.Type

/** A running instance that was found. */
export interface Instance {
  readonly pid: number
  /** Absent when it does not answer: it is starting, stopping or blocked, or another version of Snakepit. */
  readonly report: Report | undefined
  /** Why there is no report. */
  readonly problem: string | undefined
}

/** What programs that were killed have left. */
export interface Leftovers {
  /** Runtime directories whose programs are gone. */
  readonly directories: ReadonlyArray<string>
  /** Process ids of workers whose programs are gone. */
  readonly processes: ReadonlyArray<number>
}

/** What programs of this user that were killed have left on this machine. Processes are found on Linux only. */
export const leftovers: Effect.Effect<Leftovers> = Effect.promise(async () => {
  const [directories, running] = await Promise.all([RuntimeDirectory.abandoned(), RuntimeDirectory.running()])
  return { directories, processes: orphans(new Set(running.map(({ pid }) => pid))) }
})

/** The folder in which the sockets of a new instance would stand; undefined when none can be written to. */
export const root: Effect.Effect<string | undefined> = Effect.promise(() => RuntimeDirectory.usableRoot())

const socketName = "status.sock"

/** How long an instance may take to answer: one whose event loop is blocked says nothing. */
const answerMillis = 2_000

/** The instances that run now, by process id. Those of other users and of other containers are not seen. */
export const list: Effect.Effect<ReadonlyArray<Instance>> = Effect.promise(async () => {
  const found = await RuntimeDirectory.running()
  // a program has folders for shared memory too, which tell nothing
  const owners = [...new Set(found.map(({ pid }) => pid))]
  const asked = await Promise.all(
    found.map(async ({ directory, pid }): Promise<Instance> => {
      try {
        const report = decode(await ask(path.join(directory, socketName)))
        return { pid, report, problem: undefined }
      } catch (error) {
        return { pid, report: undefined, problem: error instanceof Error ? error.message : String(error) }
      }
    })
  )
  return owners
    .toSorted((one, other) => one - other)
    .flatMap((pid) => {
      const answers = asked.filter((answer) => answer.pid === pid)
      return answers.find(({ report: answered }) => answered !== undefined) ?? answers.slice(0, 1)
    })
})

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(Report))

const ask = (socket: string): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = ""
    const connection = net.connect(socket)
    connection.setTimeout(answerMillis, () => connection.destroy(new Error(`no answer within ${answerMillis} ms`)))
    connection.setEncoding("utf8")
    connection.on("data", (data) => {
      text += String(data)
    })
    connection.on("error", reject)
    connection.on("end", () => resolve(text))
  })

/**
 * Answers whoever connects to the socket in the directory with the report of this instance, until the scope closes. Keeps
 * no program alive. An instance that cannot listen there works all the same, and has no report.
 *
 * @internal
 */
export const serve = (directory: string): Effect.Effect<void, never, Scope.Scope | Snakepit.Snakepit> =>
  Effect.gen(function* () {
    const answer = Effect.runPromiseWith(yield* Effect.context<Snakepit.Snakepit>())
    const file = path.join(directory, socketName)
    yield* Effect.acquireRelease(
      Effect.callback<net.Server>((resume) => {
        const server = net.createServer((connection) => {
          connection.on("error", () => {}) // whoever asked has left
          answer(report).then((text) => connection.end(text))
        })
        server.once("error", () => resume(Effect.succeed(server)))
        server.listen(file, () => resume(Effect.succeed(server)))
        server.unref()
      }),
      (server) =>
        Effect.promise(async () => {
          server.close()
          await fs.rm(file, { force: true })
        })
    )
  })

const report: Effect.Effect<string, never, Snakepit.Snakepit> = Effect.gen(function* () {
  const health = yield* Snakepit.health
  const stats = yield* Snakepit.stats
  const made: Report = {
    pid: process.pid,
    program: process.argv[1] ?? process.execPath,
    directory: process.cwd(),
    uptimeSeconds: process.uptime(),
    pools: stats.map((pool) => {
      const found = health.pools.find(({ pool: name }) => name === pool.pool)
      return {
        pool: pool.pool,
        status: found?.status ?? "critical",
        reasons: found?.reasons ?? [],
        size: pool.size,
        queued: pool.queued,
        sessions: pool.sessions,
        requests: pool.requests,
        errors: pool.errors,
        workers: pool.workers.map((worker) => ({
          worker: worker.worker,
          pid: worker.pid ?? null,
          state: worker.state,
          requests: worker.requests,
          inFlight: worker.inFlight,
          sessions: worker.sessions
        }))
      }
    })
  }
  return JSON.stringify(made)
})
