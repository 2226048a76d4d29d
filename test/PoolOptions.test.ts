/** The guides say of every option of a pool that it is there, and what it is when it is not given. */
import { type CrashBarrier, PoolConfig } from "@snakepit/core"
import { PythonWorkerConfig } from "@snakepit/python-worker"
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

const read = (guide: string) => fs.readFileSync(path.join(import.meta.dirname, "../guides", guide), "utf8")

/** The rows of a table whose first column is an option and whose third is its default. */
const rowsOf = (table: string): ReadonlyMap<string, string> =>
  new Map(
    [...table.matchAll(/^\| `(\w+)` \|.*\| ([^|]+) \|$/gm)].map(([, option = "", standard = ""]) => [option, standard])
  )

const [, ofPools = "", ofWorkers = ""] = read("pools.md").split(/^## Options$|^And of Python workers:$/m)
const tables = { pools: rowsOf(ofPools), workers: rowsOf(ofWorkers) }

const resolved = Effect.gen(function* () {
  const general = yield* PoolConfig.resolve("main", {}, PythonWorkerConfig.keys)
  const { environment, ...python } = yield* PythonWorkerConfig.resolve(general)
  const { directory, ...others } = environment
  return { ...general, ...python, ...others, environmentDirectory: directory } as Readonly<Record<string, unknown>>
})

const bytes = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const

/** The value that a default in a guide stands for. */
const valueOf = (text: string): unknown => {
  if (text === "none") return undefined
  const code = /^`(.*)`$/.exec(text)?.[1]
  if (code !== undefined) return code === "true" || code === "false" ? code === "true" : code
  const [amount = "", unit = ""] = text.replaceAll(",", "").split(" ")
  if (unit === "") return Number(amount)
  if (unit in bytes) return Number(amount) * bytes[unit as keyof typeof bytes] // it is one of them
  const duration = Duration.fromInput(`${Number(amount)} ${unit === "ms" ? "millis" : unit}` as Duration.Input)
  return duration._tag === "Some" ? Duration.toMillis(duration.value) : `no value: ${text}`
}

/** Defaults that are told in words, and whether the words are true. */
const inWords: Readonly<Record<string, (words: string, value: unknown) => boolean>> = {
  size: (words, value) => words === "number of cores" && value === navigator.hardwareConcurrency,
  crashBarrier: (words, value) =>
    words === "idempotent calls are tried again" && /"enabled":true,"retry":"idempotent"/.test(JSON.stringify(value)),
  python: (words, value) => words === "the active environment, else `python3`" && value === undefined,
  lock: (words, value) => words === "beside `pyproject.toml`" && value === undefined,
  uv: (words, value) => words === "found, or fetched" && JSON.stringify(value) === "{}",
  environmentDirectory: (words, value) => words === "`.snakepit` beside `package.json`" && value === undefined,
  pythonPath: (words, value) => words === "the working directory alone" && JSON.stringify(value) === "[]",
  cwd: (words, value) => words === "that of your process" && value === undefined,
  env: (words, value) => words === "none" && JSON.stringify(value) === "{}",
  start: (words, value) =>
    words === "`fork` on Linux, `spawn` elsewhere" && value === (process.platform === "linux" ? "fork" : "spawn"),
  devices: (words, value) => words === "no placement" && value === undefined,
  errors: (words, value) => words === "paths are redacted" && /"redactPaths":true/.test(JSON.stringify(value)),
  zeroCopy: (words, value) => {
    const [, threshold = "", budget = ""] = /^on, from (.+), up to (.+)$/.exec(words) ?? []
    const wanted = { enabled: true, thresholdBytes: valueOf(threshold), maxSharedMemory: valueOf(budget) }
    return Object.entries(wanted).every(([key, found]) => Reflect.get(Object(value), key) === found)
  }
}

/** The lines `name: value,` of a guide's code block behind a word, as far as the values are plain. */
const linesOf = (guide: string, word: string): Readonly<Record<string, unknown>> => {
  const block = read(guide)
    .split("```")
    .find((code) => code.includes(word))
  const lines = block?.slice(block.indexOf(word)).matchAll(/^\s*(\w+): ("[^"]*"|\[[^\]]*\]|\w+),?(?: \/\/.*)?$/gm)
  return Object.fromEntries(
    [...(lines ?? [])].map(([, name = "", value = ""]) => {
      const plain: unknown = JSON.parse(/^[\d_]+$/.test(value) ? value.replaceAll("_", "") : value)
      const isDuration = typeof plain === "string" && plain.endsWith(" seconds")
      return [name, isDuration ? valueOf(plain) : plain]
    })
  )
}

describe("the guide to pools", () => {
  it("has a row for every option, and none for others", () => {
    assert.deepStrictEqual([...tables.pools.keys()].toSorted(), [...PoolConfig.keys].toSorted())
    assert.deepStrictEqual([...tables.workers.keys()].toSorted(), [...PythonWorkerConfig.keys].toSorted())
  })

  for (const [option, text] of [...tables.pools, ...tables.workers]) {
    it.effect(`tells the default of ${option}`, () =>
      Effect.gen(function* () {
        const all = yield* resolved
        const judge = inWords[option]
        if (judge !== undefined) return assert.isTrue(judge(text, all[option]), `${text}: ${String(all[option])}`)
        const found = all[option]
        // a list of nothing is none
        assert.deepStrictEqual(Array.isArray(found) && found.length === 0 ? undefined : found, valueOf(text))
      })
    )
  }
})

describe("the guides to crashes and errors", () => {
  it.effect("tell the defaults of crashBarrier", () =>
    Effect.gen(function* () {
      const told = linesOf("crash-recovery.md", "CrashBarrierInput = {")
      const { backoff: _, ...barrier } = (yield* resolved)["crashBarrier"] as CrashBarrier.CrashBarrierOptions // its type
      assert.deepStrictEqual(told, barrier)
    })
  )

  it.effect("tell the defaults of errors", () =>
    Effect.gen(function* () {
      const { generateRepro, ...told } = linesOf("error-handling.md", "errors: {")
      assert.isDefined(generateRepro) // an example: it is off
      assert.deepStrictEqual({ ...told, generateRepro: undefined }, (yield* resolved)["errors"])
    })
  )
})
