/** The client of a worker against a peer that the test plays: who is told what, exactly once, whatever the peer does. */
import { SharedMemory } from "@snakepit/zero-copy"
import { type Call, PythonError, SnakepitError, type Worker } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as net from "node:net"
import * as path from "node:path"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { tempDirectory, waitUntil } from "../../../test/harness.ts"
import { sampleCall } from "../../../test/sampleCall.ts"
import { type Message, Wire } from "../../../test/rawWorker.ts"
import { Tail } from "../src/internal/stdio.ts"
import { Channel } from "../src/internal/channel.ts"
import { type PythonWarning, WorkerClient } from "../src/internal/workerClient.ts"
import { Decoder, Encoder } from "../src/MessagePack.ts"

/** What an observer has heard. */
class Heard implements Worker.CallObserver {
  readonly call: Call.Call
  readonly events: Array<string> = []
  exit: Exit.Exit<unknown, SnakepitError.SnakepitError> | undefined

  constructor(changes: Partial<Call.Call>) {
    this.call = sampleCall("math.sqrt", changes)
  }

  onChunk(values: ReadonlyArray<unknown>): void {
    this.events.push(`chunk ${JSON.stringify(values)}`)
  }

  onParked(): void {
    this.events.push("parked")
  }

  onExit(exit: Exit.Exit<unknown, SnakepitError.SnakepitError>): void {
    this.events.push("exit")
    this.exit = exit
  }

  onDropped(): void {
    this.events.push("dropped")
  }

  get error(): SnakepitError.SnakepitError {
    const exit = this.exit
    if (exit === undefined || Exit.isSuccess(exit)) return assert.fail("the call has not failed")
    return exit.cause.reasons.find(Cause.isFailReason)?.error ?? assert.fail(String(exit.cause))
  }
}

/** What a worker answers to hello. */
const greeting = {
  protocol_version: 1,
  worker: "w-0",
  pid: 1,
  python: "3.13.0",
  implementation: "cpython",
  platform: "linux"
}

/** A client that connects to the peer: what it has said so far, and the peer's connections. Pings may be left to the test. */
const connecting = (concurrency = 1, answersPings = true) =>
  Effect.gen(function* () {
    const socket = path.join(yield* tempDirectory, "worker.sock")
    const wires: Record<string, Wire> = {}
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        net
          .createServer((connection) => {
            const wire = new Wire(connection)
            wire.listen((message) => {
              if (message._tag === "Ping" && answersPings) {
                wire.send({ _tag: "Pong" })
                return true
              }
              if (message["id"] !== 0) return false
              // the handshake's payload names the channel
              wires[(message["payload"] as { readonly channel: string }).channel] = wire
              wire.send({ _tag: "Exit", requestId: 0, exit: { _tag: "Success", value: greeting } })
              return true
            })
          })
          .listen(socket)
      ),
      (listening) => Effect.sync(() => void listening.close())
    )
    yield* waitUntil("the peer listens", () => server.listening)
    const signals: Array<string> = []
    const ready: Array<Exit.Exit<unknown, string>> = []
    const warnings: Array<PythonWarning> = []
    const rungs: Array<string> = []
    const stderr = new Tail()
    stderr.add("last words")
    const channel = (name: "data" | "control") =>
      Channel.greet({ encoder: new Encoder({ adapters: [] }), maxFrameBytes: 1 << 16, path: socket }, "token", name)
    const client = new WorkerClient(
      {
        pool: "default",
        worker: "w-0",
        device: undefined,
        concurrency,
        maxFrameBytes: 1 << 16,
        channels: { data: channel("data"), control: channel("control") },
        decoder: () => new Decoder({ adapters: [] }),
        ladder: { cooperative: 5, raised: 5, terminated: 5 },
        heartbeat: { interval: 60_000, timeout: 60_000, misses: 3 },
        limits: { age: undefined, calls: undefined, memory: undefined },
        process: { pid: 1, stderr, kill: (signal) => signals.push(signal), ended: new Promise(() => {}) },
        onWarning: (warning) => warnings.push(warning),
        onRung: (rung, { target }) => rungs.push(`${target} ${rung}`),
        memory: new SharedMemory.PoolMemory("default", SharedMemory.defaults, "this is a test", () => {})
      },
      (exit) => ready.push(exit)
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        client.onProcessEnd({ crash: undefined, exitCode: 0, signal: null })
        for (const wire of Object.values(wires)) wire.socket.destroy()
      })
    )
    return { client, ready, rungs, signals, warnings, wires }
  })

/** A client that is ready, and the peer's two connections. */
const connected = (concurrency = 1) =>
  Effect.gen(function* () {
    const { client, ready, rungs, signals, warnings, wires } = yield* connecting(concurrency)
    yield* waitUntil("the client has heard of the handshake", () => ready.length > 0)
    assert.deepStrictEqual(ready, [Exit.succeed(greeting)])
    const { control, data } = wires
    if (data === undefined || control === undefined) return assert.fail("a channel is missing")
    const start = (changes: Partial<Call.Call> = {}) => {
      const heard = new Heard(changes)
      return { heard, number: client.start(heard) }
    }
    const arrival = (number: number) => data.take(`request ${number}`, (message) => message["id"] === number)
    const succeed = (number: number, value: unknown, more: object = {}) =>
      data.send({ _tag: "Exit", requestId: number, exit: { _tag: "Success", value }, ...more })
    const settled = (...all: ReadonlyArray<Heard>) =>
      waitUntil("the calls are settled", () =>
        all.every(({ events }) => events.includes("exit") || events.includes("dropped"))
      )
    return { client, data, control, rungs, signals, warnings, start, arrival, succeed, settled }
  })

const died = { crash: "killed", exitCode: null, signal: "SIGKILL" } as const

const isControl = (tag: string) => (message: Message) => message._tag === tag || message["tag"] === tag

describe("WorkerClient", () => {
  it.live("is ready when the control channel has answered a first ping, and not when both have said hello", () =>
    Effect.gen(function* () {
      const { ready, wires } = yield* connecting(1, false)
      yield* waitUntil("a ping has come", () => wires["control"]?.messages.some(({ _tag }) => _tag === "Ping") === true)
      assert.deepStrictEqual(Object.keys(wires).sort(), ["control", "data"])
      assert.deepStrictEqual(ready, [])
      wires["control"]?.send({ _tag: "Pong" })
      yield* waitUntil("it is ready", () => ready.length > 0)
      assert.deepStrictEqual(ready, [Exit.succeed(greeting)])
    })
  )

  it.live("hands on Python's warnings", () =>
    Effect.gen(function* () {
      const { data, warnings } = yield* connected()
      const warning = { category: "UserWarning", message: "mind the gap", file: "app.py", line: 3 }
      for (const request_id of [null, 77]) {
        data.send({ _tag: "Request", id: 0, tag: "snakepit.warning", payload: { request_id, ...warning }, headers: [] })
      }
      yield* waitUntil("both have come", () => warnings.length === 2)
      assert.deepStrictEqual(warnings, [warning, warning])
    }).pipe(Effect.scoped)
  )

  it.live("tells each call its own exit, whatever the order", () =>
    Effect.gen(function* () {
      const { arrival, settled, start, succeed } = yield* connected()
      const calls = [start(), start(), start()]
      for (const { number } of calls) yield* arrival(number)
      for (const { number } of calls.toReversed()) succeed(number, `of ${number}`)
      yield* settled(...calls.map(({ heard }) => heard))
      for (const { heard, number } of calls) {
        assert.deepStrictEqual(heard.exit, Exit.succeed(`of ${number}`))
        assert.deepStrictEqual(heard.events, ["exit"])
      }
    })
  )

  it.live("reads a failure alike however its message is spelled, and says which part of one does not decode", () =>
    Effect.gen(function* () {
      const { data, settled, start } = yield* connected()
      const error = {
        _tag: "KeyError",
        pythonType: "KeyError",
        mro: ["KeyError", "Exception"],
        message: "'x'",
        args: ["x"]
      }
      const exit = { _tag: "Failure", cause: [{ _tag: "Fail", error }] }
      const [usual, timed, turned, broken] = [start(), start(), start(), start()]
      data.send({ _tag: "Exit", requestId: usual.number, exit })
      data.send({ _tag: "Exit", requestId: timed.number, exit, pythonMicros: 7 })
      data.send({ exit, requestId: turned.number, _tag: "Exit" })
      const frame = data.frame({ _tag: "Exit", requestId: broken.number, exit })
      frame[frame.indexOf("\xa4args\x91", 0, "latin1") + 6] = 0xc1 // what begins no value
      data.sendBytes(frame)
      yield* settled(usual.heard, timed.heard, turned.heard, broken.heard)
      assert.instanceOf(usual.heard.error, PythonError.KeyError)
      assert.deepInclude({ ...usual.heard.error }, { mro: error.mro, args: ["x"], frames: [], mayHaveExecuted: true })
      for (const { heard } of [timed, turned]) {
        assert.strictEqual(String(heard.error), String(usual.heard.error))
        assert.deepStrictEqual({ ...heard.error }, { ...usual.heard.error })
      }
      assert.instanceOf(broken.heard.error, SnakepitError.DecodeError)
      assert.deepInclude({ ...broken.heard.error }, { path: "error.args[0]" })
    })
  )

  it.live("sends nothing of a call whose arguments cannot cross, and throws why", () =>
    Effect.gen(function* () {
      const { arrival, data, start } = yield* connected()
      assert.throws(() => start({ args: [Symbol("no")] }), SnakepitError.EncodeError)
      assert.throws(() => start({ args: ["x".repeat(1 << 16)] }), SnakepitError.EncodeError)
      const { number } = start({ args: [1] })
      yield* arrival(number)
      assert.deepStrictEqual(data.messages, [])
    })
  )

  it.live("ignores a second exit, and exits of calls that it does not have", () =>
    Effect.gen(function* () {
      const { arrival, settled, start, succeed } = yield* connected()
      const { heard, number } = start()
      yield* arrival(number)
      succeed(number + 500, "a stranger's")
      succeed(number, "first")
      succeed(number, "second")
      const next = start()
      succeed(next.number, "next")
      yield* settled(heard, next.heard)
      assert.deepStrictEqual([heard.events, heard.exit], [["exit"], Exit.succeed("first")])
    })
  )

  it.live("hands over the chunks of a stream, and sends an ack for each that is asked for", () =>
    Effect.gen(function* () {
      const { client, control, data, settled, start, succeed } = yield* connected()
      const { heard, number } = start({ stream: true })
      data.send({ _tag: "Chunk", requestId: number, values: [1] }, { _tag: "Chunk", requestId: number, values: [2, 3] })
      yield* waitUntil("both chunks have arrived", () => heard.events.length === 2)
      client.ack(number)
      assert.strictEqual((yield* control.take("an ack", isControl("Ack")))["requestId"], number)
      succeed(number, null)
      yield* settled(heard)
      assert.deepStrictEqual(heard.events, ["chunk [1]", "chunk [2,3]", "exit"])
    })
  )

  it.live("climbs the ladder rung by rung until the call has stopped", () =>
    Effect.gen(function* () {
      const { arrival, client, control, rungs, signals, start } = yield* connected()
      const { heard, number } = start()
      yield* arrival(number)
      client.interrupt(number)
      client.interrupt(number)
      assert.strictEqual((yield* control.take("an interrupt", isControl("Interrupt")))["requestId"], number)
      const raised = yield* control.take("a raise", isControl("snakepit.raise"))
      assert.deepStrictEqual(raised["payload"], { request_id: number })
      yield* waitUntil("the last rung is reached", () => signals.length === 2)
      assert.deepStrictEqual(signals, ["SIGTERM", "SIGKILL"])
      assert.deepStrictEqual(
        rungs,
        ["told", "raised", "terminated", "killed"].map((rung) => `math.sqrt ${rung}`)
      )
      assert.isFalse(client.isOpen)
      assert.deepStrictEqual(control.messages.filter(isControl("Interrupt")), [])
      client.onProcessEnd(died)
      yield* client.ended
      assert.deepStrictEqual(heard.events, ["exit"])
    })
  )

  it.live("kills a process that outlives SIGTERM though its call ends, and does not call that a crash", () =>
    Effect.gen(function* () {
      const { arrival, client, data, settled, signals, start } = yield* connected()
      const { heard, number } = start()
      yield* arrival(number)
      client.interrupt(number)
      yield* waitUntil("it was told to end", () => signals.length === 1)
      const exit = { _tag: "Failure", cause: [{ _tag: "Interrupt", fiberId: null }] }
      data.send({ _tag: "Exit", requestId: number, exit })
      yield* settled(heard)
      yield* waitUntil("it is killed", () => signals.length === 2)
      assert.deepStrictEqual([signals, client.isOpen], [["SIGTERM", "SIGKILL"], false])
      client.onProcessEnd(died)
      assert.isUndefined((yield* client.ended).crash)
    })
  )

  it.live("stops climbing when the call ends", () =>
    Effect.gen(function* () {
      const { arrival, client, data, settled, signals, start, succeed } = yield* connected()
      const { heard, number } = start()
      yield* arrival(number)
      client.interrupt(number)
      data.send({
        _tag: "Exit",
        requestId: number,
        exit: { _tag: "Failure", cause: [{ _tag: "Interrupt", fiberId: null }] }
      })
      yield* settled(heard)
      // longer than the whole ladder, in replies
      for (let round = 0; round < 20; round++) {
        const next = start()
        yield* arrival(next.number)
        succeed(next.number, null)
        yield* settled(next.heard)
      }
      assert.deepStrictEqual([signals, client.isOpen], [[], true])
    })
  )

  it.live("drops a call that the worker had not begun", () =>
    Effect.gen(function* () {
      const { client, control, settled, start } = yield* connected()
      const { heard, number } = start()
      client.interrupt(number)
      yield* control.take("an interrupt", isControl("Interrupt"))
      const exit = { _tag: "Failure", cause: [{ _tag: "Interrupt", fiberId: null }] }
      control.send({ _tag: "Exit", requestId: number, exit, started: false })
      yield* settled(heard)
      assert.deepStrictEqual(heard.events, ["dropped"])
    })
  )

  it.live("drops those calls that the worker gives back, and no others", () =>
    Effect.gen(function* () {
      const { client, control, settled, start, succeed } = yield* connected()
      const [first, second, third] = [start(), start(), start()]
      client.recall([second.number, third.number])
      const recall = yield* control.take("a recall", isControl("snakepit.recall"))
      control.send({ _tag: "Exit", requestId: recall["id"], exit: { _tag: "Success", value: [third.number] } })
      yield* settled(third.heard)
      succeed(first.number, 1)
      succeed(second.number, 2)
      yield* settled(first.heard, second.heard)
      assert.deepStrictEqual(
        [first, second, third].map(({ heard }) => heard.events),
        [["exit"], ["exit"], ["dropped"]]
      )
    })
  )

  for (const [concurrency, expected] of [
    [1, ["exit", "dropped", "dropped"]],
    [2, ["exit", "exit", "dropped"]]
  ] as const) {
    it.live(`when the process ends, only ${concurrency} of the calls can have begun; the others are dropped`, () =>
      Effect.gen(function* () {
        const { arrival, client, start } = yield* connected(concurrency)
        const calls = [start({ target: "a" }), start({ target: "b" }), start({ target: "c" })]
        for (const { number } of calls) yield* arrival(number)
        client.onProcessEnd(died)
        yield* client.ended
        assert.deepStrictEqual(
          calls.map(({ heard }) => heard.events),
          expected.map((event) => [event])
        )
        const error = calls[0]?.heard.error
        assert.instanceOf(error, SnakepitError.WorkerCrash)
        assert.deepInclude(
          { ...error },
          { crash: "killed", signal: "SIGKILL", stderr: ["last words"], inFlight: ["a", "b", "c"] }
        )
      })
    )
  }

  it.live("calls on the event loop of a process that ends have all begun", () =>
    Effect.gen(function* () {
      const { arrival, client, data, start } = yield* connected()
      const calls = [start(), start(), start(), start()]
      for (const { number } of calls) yield* arrival(number)
      for (const { number } of calls.slice(0, 2)) {
        data.send({ _tag: "Request", id: 0, tag: "snakepit.parked", payload: { request_id: number }, headers: [] })
      }
      yield* waitUntil("two are parked", () => calls.slice(0, 2).every(({ heard }) => heard.events[0] === "parked"))
      client.onProcessEnd(died)
      yield* client.ended
      assert.deepStrictEqual(
        calls.map(({ heard }) => heard.events.at(-1)),
        ["exit", "exit", "exit", "dropped"]
      )
    })
  )

  it.live("reads the replies that were sent before the process ended", () =>
    Effect.gen(function* () {
      const { arrival, client, data, start, succeed } = yield* connected()
      const calls = [start(), start()]
      for (const { number } of calls) yield* arrival(number)
      succeed(calls[0]?.number ?? 0, "just in time")
      data.socket.end()
      client.onProcessEnd(died)
      yield* client.ended
      assert.deepStrictEqual(calls[0]?.heard.exit, Exit.succeed("just in time"))
      assert.strictEqual(calls[1]?.heard.error._tag, "WorkerCrash")
    })
  )

  it.live("a violation ends the process, and the crash says what was expected", () =>
    Effect.gen(function* () {
      const { arrival, client, data, signals, start } = yield* connected()
      const { heard, number } = start()
      yield* arrival(number)
      data.send({ _tag: "Gossip" })
      yield* waitUntil("the process is killed", () => signals.length > 0)
      assert.isFalse(client.isOpen)
      client.onProcessEnd(died)
      yield* client.ended
      const error = heard.error
      if (error._tag !== "WorkerCrash") return assert.fail(error.message)
      assert.strictEqual(error.crash, "protocol")
      assert.match(error.stderr.at(-1) ?? "", /expected Exit, Chunk, Request or Defect .* got a message Gossip/)
    })
  )

  it.live("a goodbye is no crash, and calls after it are refused by being closed", () =>
    Effect.gen(function* () {
      const { client, control } = yield* connected()
      client.shutdown()
      yield* control.take("a shutdown", isControl("snakepit.shutdown"))
      assert.isFalse(client.isOpen)
      client.onProcessEnd({ crash: undefined, exitCode: 0, signal: null })
      assert.deepStrictEqual(yield* client.ended, { crash: undefined, exitCode: 0, signal: null })
    })
  )

  it.live("answers pings in order", () =>
    Effect.gen(function* () {
      const { client } = yield* connected()
      yield* Effect.all([client.ping, client.ping, client.ping], { concurrency: "unbounded" })
    })
  )

  it.live("a callback that nobody has is answered with a failure", () =>
    Effect.gen(function* () {
      const { control, data } = yield* connected()
      for (const [id, payload] of [
        [1, { callback: 99 }],
        [2, { tool: "none" }],
        [3, {}],
        [4, null]
      ] as const) {
        data.send({ _tag: "Request", id, tag: "snakepit.callback", payload, headers: [] })
        const answer = yield* control.take(`answer ${id}`, (message) => message["requestId"] === id)
        assert.strictEqual((answer["exit"] as Message)._tag, "Failure") // an exit is a tagged map
      }
    })
  )

  it.live("tools are registered with the worker and run when it asks for them", () =>
    Effect.gen(function* () {
      const { client, control, data } = yield* connected()
      client.registerTools([
        {
          name: "add",
          description: "adds",
          parameters: {},
          run: (_, kwargs) => Effect.succeed(Number(kwargs["a"]) + 1)
        }
      ])
      const registered = yield* data.take("the tools", isControl("snakepit.tools"))
      assert.deepStrictEqual(registered["payload"], { tools: [{ name: "add", description: "adds", parameters: {} }] })
      data.send({
        _tag: "Request",
        id: 5,
        tag: "snakepit.callback",
        payload: { tool: "add", args: [], kwargs: { a: 1 } },
        headers: []
      })
      const answer = yield* control.take("the answer", (message) => message["requestId"] === 5)
      assert.deepStrictEqual(answer["exit"], { _tag: "Success", value: 2 })
    })
  )

  it.live("refs of a session are made by the call's own maker, and are plain handles without one", () =>
    Effect.gen(function* () {
      const { data, settled, start } = yield* connected()
      const made = start({ session: "s", makeRef: (handle) => `ref ${handle.id} of ${handle.type}` })
      const plain = start({ session: "t" })
      for (const [{ number }, session] of [
        [made, "s"],
        [plain, "t"]
      ] as const) {
        const frame = data.frame({ _tag: "Exit", requestId: number, exit: { _tag: "Success", value: "REF" } })
        // an extension of 15: [session, "w", 7, "list"]
        const ref = Buffer.from(`c70b0f94a1${Buffer.from(session).toString("hex")}a17707a46c697374`, "hex")
        const at = frame.indexOf("\xa3REF", 0, "latin1")
        const body = Buffer.concat([frame.subarray(4, at), ref, frame.subarray(at + 4)])
        const header = Buffer.alloc(4)
        header.writeUInt32LE(body.length)
        data.sendBytes(Buffer.concat([header, body]))
      }
      yield* settled(made.heard, plain.heard)
      assert.deepStrictEqual(made.heard.exit, Exit.succeed("ref 7 of list"))
      assert.deepStrictEqual(plain.heard.exit, Exit.succeed({ session: "t", worker: "w", id: 7, type: "list" }))
    })
  )
})
