import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { inspect } from "node:util"
import * as Schema from "effect/Schema"
import * as PythonError from "../src/PythonError.ts"
import * as SnakepitError from "../src/SnakepitError.ts"

const crash = {
  pool: "default",
  worker: "default-0",
  crash: "segfault",
  exitCode: null,
  signal: "SIGSEGV",
  stderr: ["first", "Fatal Python error"],
  inFlight: ["a.b"],
  mayHaveExecuted: true
} as const

const samples: ReadonlyArray<readonly [SnakepitError.RuntimeFailure, ReadonlyArray<string>]> = [
  [
    new SnakepitError.EncodeError({ path: "args[0].x", actual: "a symbol", reason: "Send text." }),
    ["args[0].x", "a symbol", "Send text."]
  ],
  [
    new SnakepitError.DecodeError({ path: "result.x", expected: "number", actual: "null" }),
    ["result.x", "number", "null"]
  ],
  [
    new SnakepitError.UnserializableResult({
      path: "result",
      pythonType: "io.StringIO",
      repr: "<...>",
      reason: "Keep it."
    }),
    ["result", "io.StringIO", "Keep it."]
  ],
  [
    new SnakepitError.PoisonCall({
      target: "a.b",
      crashes: [{ worker: "default-0", crash: "abort", at: 1 }],
      mayHaveExecuted: true
    }),
    ["a.b", "default-0 (abort)", "poisonAfter"]
  ],
  [new SnakepitError.CircuitOpen({ pool: "default", retryAfterMillis: 20 }), ["default", "20 ms"]],
  [new SnakepitError.PoolUnhealthy({ pool: "default", crashes: 11, windowMillis: 60_000 }), ["11", "60000 ms"]],
  [new SnakepitError.WorkerCrash(crash), ["default-0", "segfault", "SIGSEGV", "may have run", "Fatal Python error"]],
  [
    new SnakepitError.WorkerCrash({
      ...crash,
      crash: "exit",
      signal: null,
      exitCode: 3,
      stderr: [],
      mayHaveExecuted: false
    }),
    ["exit code 3", "had not begun"]
  ],
  [
    new SnakepitError.WorkerCrash({
      ...crash,
      stderr: ["Current thread (most recent call first):", "  in abort", "", " "]
    }),
    ["last stderr line:   in abort"]
  ],
  [
    new SnakepitError.WorkerStartError({ pool: "p", worker: "p-0", reason: "no Python", stderr: ["Traceback"] }),
    ["p-0", "no Python", "Traceback"]
  ],
  [
    new SnakepitError.CallTimeout({ target: "a.b", timeoutMillis: 50, mayHaveExecuted: true }),
    ["a.b", "50 ms", "while Python"]
  ],
  [new SnakepitError.CallTimeout({ target: "a.b", timeoutMillis: 50, mayHaveExecuted: false }), ["before a worker"]],
  [new SnakepitError.ProtocolError({ reason: "a frame of 0 bytes", mayHaveExecuted: true }), ["a frame of 0 bytes"]],
  [new SnakepitError.PoolSaturated({ pool: "p", waiting: 10, limit: 10 }), ['"p"', "10", "maxQueue"]],
  [
    new SnakepitError.QueueTimeout({ pool: "p", target: "a.b", queueTimeoutMillis: 9 }),
    ["a.b", "9 ms", "queueTimeout"]
  ],
  [new SnakepitError.PoolClosed({ pool: "p" }), ['"p"', "closed"]],
  [new SnakepitError.PoolNotFound({ pool: "p", known: ["default", "gpu"] }), ['"p"', "default, gpu"]],
  [
    new SnakepitError.DeviceNotInPool({ pool: "p", device: "cuda:3", devices: ["cuda:0", "cpu"] }),
    ['"p"', '"cuda:3"', "cuda:0, cpu"]
  ],
  [
    new SnakepitError.SessionLost({ session: "s1", reason: "its worker ended", mayHaveExecuted: false }),
    ["s1", "its worker ended"]
  ],
  [new SnakepitError.SessionBusy({ session: "s1", worker: "p-0" }), ["s1", "p-0", "strictFailFast"]],
  [new SnakepitError.SessionLimit({ pool: "p", limit: 5 }), ['"p"', "5", "maxSessions"]]
]

const isFirst = (tag: string, index: number, tags: ReadonlyArray<string>) => tags.indexOf(tag) === index

describe("SnakepitError", () => {
  for (const [error, words] of samples) {
    it(`${error._tag} says ${words.join(", ")}`, () => {
      for (const word of words) assert.include(error.message, word)
      assert.strictEqual(inspect(error), error.stack, "what console.error prints")
    })
  }

  it("has a sample of each failure here", () => {
    const tags = new Set<string>(samples.map(([error]) => error._tag))
    assert.strictEqual(tags.size, SnakepitError.RuntimeFailure.members.length)
  })

  it("has every tag in the guide's table of tags, once", () => {
    const guide = fs.readFileSync(path.join(import.meta.dirname, "../../../guides/error-handling.md"), "utf8")
    const table = /\n## The tags\n([^]*?)\n## /.exec(guide)?.[1] ?? ""
    const listed = [...table.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell]) =>
      [...(cell ?? "").matchAll(/`(\w+)`/g)].map(([, tag]) => tag)
    )
    assert.deepStrictEqual(
      listed.sort(),
      [...PythonError.tags, ...samples.map(([{ _tag }]) => _tag)].filter(isFirst).sort()
    )
  })

  it("crosses as JSON and comes back as the same class", () => {
    const codec = Schema.toCodecJson(SnakepitError.RuntimeFailure)
    for (const [error] of samples) {
      const back = Schema.decodeUnknownSync(codec)(JSON.parse(JSON.stringify(Schema.encodeSync(codec)(error))))
      assert.strictEqual(back.constructor, error.constructor)
      assert.strictEqual(back.message, error.message)
    }
  })

  it("values that do not decode may have been computed", () => {
    assert.isTrue(new SnakepitError.DecodeError({ path: "", expected: "", actual: "" }).mayHaveExecuted)
  })
})
