/**
 * A host without its client: boots a real Python worker and exchanges raw frames with it, so that a test can send what no
 * well-behaved host sends, and see every message that comes back.
 */
import { MessagePack } from "@snakepit/python-worker"
import { assert } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import * as net from "node:net"
import * as path from "node:path"
import type { Duplex } from "node:stream"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { tempDirectory, waitUntil, workersFolder } from "./harness.ts"

/** A message as it came over the wire. */
export interface Message {
  readonly _tag: string
  readonly [field: string]: unknown
}

/** One connection to a worker. */
export class Wire {
  readonly socket: net.Socket
  /** What has arrived and was not taken yet. */
  readonly messages: Array<Message> = []
  closed = false
  private rest: Buffer = Buffer.alloc(0)
  private readonly encoder = new MessagePack.Encoder({ adapters: [] })
  private readonly decoder = new MessagePack.Decoder({ adapters: [] })
  private readonly listeners: Array<(message: Message) => boolean> = []

  constructor(socket: net.Socket) {
    this.socket = socket
    socket.on("data", (chunk: Buffer) => this.receive(chunk))
    socket.on("close", () => (this.closed = true))
    socket.on("error", () => (this.closed = true))
  }

  /** Hands each message to `listener` first; those it answers true for are not kept in `messages`. */
  listen(listener: (message: Message) => boolean): void {
    this.listeners.push(listener)
  }

  private receive(chunk: Buffer): void {
    this.rest = Buffer.concat([this.rest, chunk])
    while (this.rest.length >= 4) {
      const end = 4 + this.rest.readUInt32LE(0)
      if (this.rest.length < end) return
      // the worker only ever sends maps with a tag, and a test that sees something else fails on it
      const message = this.decoder.decode(this.rest, 4, end, { ref: (...parts) => parts }) as Message
      this.rest = this.rest.subarray(end)
      if (!this.listeners.some((listener) => listener(message))) this.messages.push(message)
    }
  }

  /** The frame of a value. */
  frame(value: unknown): Buffer {
    const mark = this.encoder.begin()
    this.encoder.value(value, "message", {})
    this.encoder.end(mark)
    const frames = this.encoder.takeFrames()
    if (frames === undefined) return assert.fail("the encoder made no frame")
    return Buffer.from(frames)
  }

  send(...values: ReadonlyArray<unknown>): void {
    this.socket.write(Buffer.concat(values.map((value) => this.frame(value))))
  }

  sendBytes(bytes: Uint8Array): void {
    this.socket.write(bytes)
  }

  /** Takes the next message that matches, in order of arrival. */
  take(what: string, matches: (message: Message) => boolean): Effect.Effect<Message> {
    return Effect.map(
      waitUntil(`${what} arrives`, () => this.messages.some(matches), 5_000),
      () => {
        const [message] = this.messages.splice(this.messages.findIndex(matches), 1)
        return message ?? assert.fail("it was there")
      }
    )
  }

  /** The `exit` of a request. */
  exitOf(id: number): Effect.Effect<Message> {
    return Effect.map(
      this.take(`the exit of request ${id}`, (message) => message._tag === "Exit" && message["requestId"] === id),
      ({ exit }) => exit as Message // an exit is a tagged map
    )
  }

  /** The text of the `Defect` that comes before the end of the connection. */
  get defect(): Effect.Effect<string> {
    return Effect.map(
      this.take("a defect", ({ _tag }) => _tag === "Defect"),
      ({ defect }) => String(defect)
    )
  }

  get end(): Effect.Effect<void> {
    return waitUntil("the connection ends", () => this.closed, 5_000)
  }
}

/** A worker that listens, before anybody has connected. */
export interface RawWorker {
  readonly child: ChildProcess
  readonly token: string
  readonly stderr: () => string
  readonly connect: Effect.Effect<Wire, never, Scope.Scope>
  /** Connects and says hello. */
  readonly greet: (channel: "data" | "control") => Effect.Effect<Wire, never, Scope.Scope>
}

export interface BootOptions {
  readonly max_frame_bytes?: number
  readonly profile?: "process" | "thread"
  readonly start_timeout_seconds?: number
}

const source = path.join(import.meta.dirname, "../python/src")

/** Boots a worker with the interpreter of the tests' environment. */
export const rawWorker = (options: BootOptions = {}): Effect.Effect<RawWorker, never, Scope.Scope> =>
  Effect.gen(function* () {
    const socket = path.join(yield* tempDirectory, "worker.sock")
    const token = "the token of this test"
    const python = path.join(process.env["VIRTUAL_ENV"] ?? "", "bin/python")
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(python, ["-c", "from snakepit_worker.worker import main; main()"], {
          env: { ...process.env, PYTHONPATH: source },
          stdio: ["ignore", "inherit", "pipe", "pipe"],
          detached: true
        })
      ),
      (process) => Effect.sync(() => void process.kill("SIGKILL"))
    )
    let stderr = ""
    child.stderr?.on("data", (text: Buffer) => (stderr += String(text)))
    const pipe = child.stdio[3] as Duplex // asked for as a pipe, which Node makes duplex
    let boot = ""
    pipe.on("data", (text: Buffer) => (boot += String(text)))
    pipe.on("error", () => {})
    const configuration = {
      socket,
      token,
      worker: "raw-0",
      profile: "process",
      threads: 2,
      max_frame_bytes: 1 << 20,
      allow_private: false,
      python_path: [workersFolder],
      start_timeout_seconds: 10,
      ...options
    }
    pipe.write(`${JSON.stringify(configuration)}\n`)
    yield* waitUntil("the worker listens", () => boot === "listening\n" || child.exitCode !== null)
    assert.strictEqual(boot, "listening\n", stderr)

    const connect = Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => net.connect(socket)),
        (connection) => Effect.sync(() => connection.destroy())
      ),
      (connection) => new Wire(connection)
    )
    const greet = (channel: "data" | "control") =>
      Effect.gen(function* () {
        const wire = yield* connect
        wire.send(hello(token, channel))
        const exit = yield* wire.exitOf(0)
        assert.strictEqual(exit._tag, "Success")
        return wire
      })
    return { child, token, stderr: () => stderr, connect, greet }
  })

/** A worker with both channels open. */
export const openWorker = (options: BootOptions = {}) =>
  Effect.gen(function* () {
    const worker = yield* rawWorker(options)
    return { ...worker, data: yield* worker.greet("data"), control: yield* worker.greet("control") }
  })

/** The first message on a channel. */
export const hello = (token: string, channel: string, version = 1) => ({
  _tag: "Request",
  id: 0,
  tag: "snakepit.hello",
  payload: { protocol_version: version, token, channel },
  headers: []
})

/** A request for a call. */
export const request = (id: number, payload: Readonly<Record<string, unknown>>, tag = "snakebridge.call") => ({
  _tag: "Request",
  id,
  tag,
  payload: { payload_version: 1, ...payload },
  headers: []
})

/** A request for a function of the built-ins. */
export const builtin = (id: number, name: string, ...args: ReadonlyArray<unknown>) =>
  request(id, { function: name, args })
