/**
 * Builds a directory once, whoever asks and however often, and never takes an unfinished one for a finished one.
 *
 * ```
 * DIRECTORY/current -> build-HOST-PID-START-RANDOM    set by an atomic rename when the build is finished
 * DIRECTORY/lock                                      names the process that builds
 * ```
 *
 * Every build has a folder of its own that carries its builder's name. So the lock only saves work: were it ever held
 * twice, two builds would be made and the later one would stand. What a killed process left behind is removed by the
 * next build.
 */
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type { EnvironmentNotWritable } from "../EnvironmentError.ts"
import { useDirectory } from "./directory.ts"
import * as ProcessIdentity from "./processIdentity.ts"

/** @internal */
export interface BuildOptions<E> {
  readonly directory: string
  /** Whether the finished build is still usable: quick, since every start asks. */
  readonly isReady: (finished: string) => boolean
  /** Fills a folder that does not exist yet. */
  readonly build: (folder: string) => Effect.Effect<void, E>
  /** Called once when another process is building already. */
  readonly onWait?: ((pid: number) => void) | undefined
}

const WAIT_MILLIS = 200
const HEARTBEAT_MILLIS = 5_000
/** How long a process of another host may be silent before its lock counts as abandoned. */
const SILENT_MILLIS = 60_000
/** How old a build of another host has to be before it counts as abandoned. */
const ABANDONED_MILLIS = 24 * 60 * 60 * 1_000

/**
 * Answers the path of the finished build.
 *
 * @internal
 */
export const buildOnce = <E>(options: BuildOptions<E>): Effect.Effect<string, E | EnvironmentNotWritable> => {
  const finished = path.join(options.directory, "current")
  if (options.isReady(finished)) return Effect.succeed(finished)
  return Effect.gen(function* () {
    yield* useDirectory(options.directory, () => fs.mkdirSync(options.directory, { recursive: true }))
    let told = false
    while (true) {
      const holder = yield* useDirectory(options.directory, () => findHolder(options.directory))
      if (holder === undefined) {
        const built = yield* withLock(options.directory, buildUnlocked(options, finished))
        if (built) return finished
      } else {
        if (!told) options.onWait?.(holder.pid)
        told = true
        yield* Effect.sleep(WAIT_MILLIS)
      }
      if (options.isReady(finished)) return finished
    }
  })
}

const buildUnlocked = <E>(options: BuildOptions<E>, finished: string) =>
  Effect.gen(function* () {
    // Another process may have finished between the look at `current` and the lock.
    if (options.isReady(finished)) return
    yield* removeAbandoned(options.directory)
    const random = crypto.randomBytes(3).toString("hex")
    const name = `build-${ProcessIdentity.format(ProcessIdentity.self)}-${random}`
    const folder = path.join(options.directory, name)
    yield* options.build(folder).pipe(
      Effect.andThen(
        useDirectory(options.directory, () => {
          const link = `${finished}-${random}`
          fs.symlinkSync(name, link)
          fs.renameSync(link, finished)
        })
      ),
      Effect.onError(() => remove(folder))
    )
  })

// ---------------------------------------------------------------------------------------------------------------------
// The lock
// ---------------------------------------------------------------------------------------------------------------------

/** Runs the effect when the lock can be had at once, and answers whether it ran. */
const withLock = <A, E>(directory: string, effect: Effect.Effect<A, E>) => {
  const lock = path.join(directory, "lock")
  return Effect.acquireUseRelease(
    useDirectory(directory, () => tryLock(lock)),
    (heartbeat) => (heartbeat === undefined ? Effect.succeed(false) : Effect.as(effect, true)),
    (heartbeat) =>
      Effect.sync(() => {
        if (heartbeat === undefined) return
        clearInterval(heartbeat)
        fs.rmSync(lock, { force: true })
      })
  )
}

/** A hard link appears with its content in it, so nobody ever reads a lock that does not name its holder yet. */
const tryLock = (lock: string): NodeJS.Timeout | undefined => {
  const draft = `${lock}-${crypto.randomBytes(6).toString("hex")}`
  fs.writeFileSync(draft, ProcessIdentity.format(ProcessIdentity.self))
  try {
    fs.linkSync(draft, lock)
  } catch (error) {
    if (isCode(error, "EEXIST")) return undefined
    throw error
  } finally {
    fs.rmSync(draft)
  }
  const beat = () => {
    const now = new Date()
    fs.utimes(lock, now, now, () => {})
  }
  return setInterval(beat, HEARTBEAT_MILLIS).unref()
}

/** Who builds at this moment. A lock whose holder is gone is taken away. */
const findHolder = (directory: string): ProcessIdentity.ProcessIdentity | undefined => {
  const lock = path.join(directory, "lock")
  let holder: ProcessIdentity.ProcessIdentity | undefined
  let silentMillis: number
  try {
    holder = ProcessIdentity.parse(fs.readFileSync(lock, "utf8"))
    silentMillis = Date.now() - fs.statSync(lock).mtimeMs
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined
    throw error
  }
  if (holder !== undefined) {
    const builds = ProcessIdentity.isSameHost(holder) ? ProcessIdentity.isAlive(holder) : silentMillis < SILENT_MILLIS
    if (builds) return holder
  }
  fs.rmSync(lock, { force: true })
  return undefined
}

// ---------------------------------------------------------------------------------------------------------------------
// Folders
// ---------------------------------------------------------------------------------------------------------------------

/** Removes the builds that nobody is working on any more, and a finished one that is not usable. */
const removeAbandoned = (directory: string) =>
  Effect.gen(function* () {
    const abandoned = yield* useDirectory(directory, () => fs.readdirSync(directory).filter(isAbandoned(directory)))
    yield* Effect.forEach(abandoned, (name) => remove(path.join(directory, name)), { discard: true })
  })

const isAbandoned = (directory: string) => (name: string) => {
  const builder = name.startsWith("build-") ? ProcessIdentity.parse(name.slice("build-".length)) : undefined
  if (builder === undefined) return false
  if (ProcessIdentity.isSameHost(builder)) return builder.pid === process.pid || !ProcessIdentity.isAlive(builder)
  return Date.now() - fs.statSync(path.join(directory, name)).mtimeMs > ABANDONED_MILLIS
}

const remove = (folder: string) =>
  Effect.ignore(
    Effect.tryPromise(() => fs.promises.rm(folder, { recursive: true, force: true, maxRetries: 3, retryDelay: 100 }))
  )

const isCode = (error: unknown, code: string) => error instanceof Error && "code" in error && error.code === code
