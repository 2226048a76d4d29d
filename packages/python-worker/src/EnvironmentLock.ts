/**
 * `snakepit.lock.json`: what an environment was made of, written down so that another machine, or the same one later, can tell
 * what is different.
 *
 * For a project, uv's own `uv.lock` beside it holds the packages; for inline requirements they stand in this file.
 */
import * as crypto from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type DriftField, type EnvironmentNotWritable, LockDrift } from "./EnvironmentError.ts"
import { useDirectory } from "./internal/directory.ts"

/** What makes two environments the same. */
export const Identity = Schema.Struct({
  /** Of Python, like `3.13.1`. */
  version: Schema.String,
  /** Like `cpython`. */
  implementation: Schema.String,
  /** Operating system, processor and C library, like `x86_64-linux-gnu`. */
  platform: Schema.String,
  /** SHA-256 of the interpreter's executable, in hexadecimal. */
  interpreter: Schema.String,
  /** SHA-256 of the locked packages, in hexadecimal; null when nothing locks them. */
  lock: Schema.NullOr(Schema.String),
  /** What packages were chosen for: `cpu`, `mps`, `cuda driver 580.65.06`, `rocm 6.4.1`. */
  hardware: Schema.String
})

/** What makes two environments the same. */
export type Identity = typeof Identity.Type

/** The content of the file. */
export const EnvironmentLock = Schema.Struct({
  lockVersion: Schema.Literal(1),
  identity: Identity,
  /** Inline requirements, and what they were resolved to, in pip's notation with hashes where they are known. */
  requirements: Schema.optionalKey(Schema.Array(Schema.String)),
  packages: Schema.optionalKey(Schema.Array(Schema.String))
})

/** The content of the file. */
export type EnvironmentLock = typeof EnvironmentLock.Type

/** The name that the file has unless another is asked for. */
export const fileName = "snakepit.lock.json"

/** The file's content; undefined when there is none. One that cannot be understood is drift: nothing is known to hold. */
export const read = (file: string): Effect.Effect<EnvironmentLock | undefined, LockDrift | EnvironmentNotWritable> =>
  Effect.gen(function* () {
    const text = yield* useDirectory(file, () => (fs.existsSync(file) ? fs.readFileSync(file, "utf8") : undefined))
    if (text === undefined) return undefined
    const unusable = (field: DriftField) => new LockDrift({ path: file, fields: [field] })
    const json = yield* Effect.try({
      try: (): unknown => JSON.parse(text),
      catch: (cause) => {
        const problem = cause instanceof Error ? cause.message : String(cause)
        return unusable({
          field: path.basename(file),
          locked: `text that is no JSON (${problem})`,
          found: "no lock in it"
        })
      }
    })
    const content = decode(json)
    if (Option.isSome(content)) return content.value
    return yield* unusable({ field: "lockVersion", locked: "something that is no lock of version 1", found: "1" })
  })

const decode = Schema.decodeUnknownOption(EnvironmentLock)

/** Writes the file as a whole: a reader sees the old content or the new, never a part. */
export const write = (file: string, lock: EnvironmentLock): Effect.Effect<void, EnvironmentNotWritable> =>
  useDirectory(path.dirname(file), () => {
    fs.mkdirSync(path.dirname(file), { recursive: true })
    const draft = `${file}-${crypto.randomBytes(6).toString("hex")}`
    try {
      fs.writeFileSync(draft, `${JSON.stringify(lock, undefined, 2)}\n`)
      fs.renameSync(draft, file)
    } finally {
      fs.rmSync(draft, { force: true })
    }
  })

/** What is different, field by field. */
export const compare = (locked: Identity, found: Identity): ReadonlyArray<DriftField> =>
  fields.flatMap((field) =>
    locked[field] === found[field] ? [] : [{ field, locked: show(locked[field]), found: show(found[field]) }]
  )

const fields = ["version", "implementation", "platform", "interpreter", "lock", "hardware"] as const

const show = (value: string | null): string => value ?? "nothing"
