/** The wire between a host and a real worker, with peers that do not keep to the contract, from either side. */
import { Snakepit, SnakepitError } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { cutWire, isRunning, pool, waitForWorkers, waitUntil, withPool } from "./harness.ts"
import { builtin, hello, type Message, openWorker, rawWorker, request } from "./rawWorker.ts"

/** The error of a failed exit. */
const errorOf = (exit: Message): Message => {
  const cause = exit["cause"]
  const [reason] = Array.isArray(cause) ? cause : []
  // a `Fail` holds a tagged map
  return (reason?._tag === "Fail" ? reason.error : assert.fail(`no failure: ${JSON.stringify(exit)}`)) as Message
}

/** A request in the order that the host writes it in. */
const idFirst = (id: number, payload: Readonly<Record<string, unknown>>) => ({
  id,
  _tag: "Request",
  tag: "snakebridge.call",
  headers: [],
  payload: { payload_version: 1, ...payload }
})

describe("A worker, and a host that breaks the contract", () => {
  it.live("turns a wrong token away, and lets the right one in afterwards", () =>
    Effect.gen(function* () {
      const worker = yield* rawWorker()
      const stranger = yield* worker.connect
      stranger.send(hello("a guess", "data"))
      assert.include(yield* stranger.defect, "token")
      yield* stranger.end
      const data = yield* worker.greet("data")
      yield* worker.greet("control")
      data.send(builtin(1, "len", [1, 2]))
      assert.deepInclude(yield* data.exitOf(1), { _tag: "Success", value: 2 })
    })
  )

  it.live("turns away what does not begin with hello: another request, garbage, nothing at all", () =>
    Effect.gen(function* () {
      const worker = yield* rawWorker()
      const impatient = yield* worker.connect
      impatient.send(builtin(1, "len", [1]))
      assert.include(yield* impatient.defect, "snakepit.hello")
      yield* impatient.end
      const noisy = yield* worker.connect
      noisy.sendBytes(Buffer.from("GET / HTTP/1.1\r\n\r\n"))
      yield* noisy.end
      const shy = yield* worker.connect
      shy.socket.end()
      yield* shy.end
      yield* worker.greet("data")
      yield* worker.greet("control")
    })
  )

  it.live("refuses a protocol version that it does not know, and names both", () =>
    Effect.gen(function* () {
      const worker = yield* rawWorker()
      const future = yield* worker.connect
      future.send(hello(worker.token, "data", 2))
      const defect = yield* future.defect
      assert.include(defect, "version 2")
      assert.include(defect, "speaks 1")
    })
  )

  it.live("refuses a channel that is unknown or taken", () =>
    Effect.gen(function* () {
      const worker = yield* rawWorker()
      yield* worker.greet("data")
      for (const channel of ["data", "gossip"]) {
        const wire = yield* worker.connect
        wire.send(hello(worker.token, channel))
        assert.include(yield* wire.defect, channel)
      }
      yield* worker.greet("control")
    })
  )

  it.live("listens on nothing once both channels are open", () =>
    Effect.gen(function* () {
      const worker = yield* openWorker()
      const late = yield* worker.connect
      yield* late.end
    })
  )

  it.live("refuses a payload_version that it does not know, names both, and serves the next call", () =>
    Effect.gen(function* () {
      const { data } = yield* openWorker()
      data.send(request(1, { payload_version: 2, function: "len", args: [[1]] }))
      const error = errorOf(yield* data.exitOf(1))
      assert.strictEqual(error._tag, "ProtocolError")
      assert.match(String(error["reason"]), /payload_version 2 .*speaks 1/)
      data.send({ ...request(2, {}), payload: { function: "len", args: [[1]] } })
      assert.include(String(errorOf(yield* data.exitOf(2))["reason"]), "payload_version is missing")
      data.send(builtin(3, "len", [1]))
      assert.strictEqual((yield* data.exitOf(3))["value"], 1)
    })
  )

  for (const [what, payload, expected] of [
    ["a call type that it does not know", { call_type: "telepathy" }, /telepathy.*known: function, class/],
    [
      "a payload field that it does not know",
      { functoin: "len", args: [] },
      /unknown payload fields: functoin; known: args/
    ],
    ["a method without an instance", { call_type: "method", function: "f" }, /instance/],
    ["item without a key", { call_type: "item", instance: null, args: [] }, /item|instance/]
  ] as const) {
    it.live(`refuses ${what}, and serves the next call`, () =>
      Effect.gen(function* () {
        const { data } = yield* openWorker()
        data.send(request(1, payload))
        const error = errorOf(yield* data.exitOf(1))
        assert.strictEqual(error._tag, "ProtocolError")
        assert.match(String(error["reason"]), expected)
        data.send(builtin(2, "len", [1]))
        assert.strictEqual((yield* data.exitOf(2))["value"], 1)
      })
    )
  }

  for (const [what, payload] of [
    ["a call without a function", {}],
    ["a function that is no text", { function: 5, args: [] }],
    ["args that are no list", { function: "len", args: 5 }],
    ["kwargs that are no map", { function: "len", args: [[1]], kwargs: [1] }],
    ["a module that is no text", { function: "len", python_module: 7, args: [[1]] }]
  ] as const) {
    it.live(`fails ${what} alone, and serves the next call`, () =>
      Effect.gen(function* () {
        const { data } = yield* openWorker()
        data.send(request(1, payload))
        assert.strictEqual((yield* data.exitOf(1))._tag, "Failure")
        data.send(builtin(2, "len", [1]))
        assert.strictEqual((yield* data.exitOf(2))["value"], 1)
      })
    )
  }

  it.live("fails a request that does not decode alone, when its number can be known", () =>
    Effect.gen(function* () {
      const { data } = yield* openWorker()
      // a number of eight bytes in the first place, as the host writes it
      const number = 2 ** 40
      const frame = data.frame(idFirst(number, { function: "len", args: ["a text to be broken"] }))
      frame.set([0xff, 0xfe], frame.indexOf("text"))
      data.sendBytes(frame)
      data.send(builtin(2, "len", [1]))
      assert.strictEqual(errorOf(yield* data.exitOf(number))._tag, "DecodeError")
      assert.strictEqual((yield* data.exitOf(2))["value"], 1)
    })
  )

  it.live("answers a request that does not decode with a Defect, when nobody can know whose it is", () =>
    Effect.gen(function* () {
      const { data } = yield* openWorker()
      const frame = data.frame({ payload: "a text to be broken" })
      frame.set([0xff, 0xfe], frame.indexOf("text"))
      data.sendBytes(frame)
      assert.include(yield* data.defect, "does not decode")
    })
  )

  for (const [what, message] of [
    ["a release without a session", { ...request(1, {}, "snakepit.release"), payload: {} }],
    ["a release of what are no refs", { ...request(1, {}, "snakepit.release"), payload: { session_id: "s", refs: 5 } }],
    ["tools that are no tools", { ...request(1, {}, "snakepit.tools"), payload: { tools: [5] } }],
    ["a module that is a list", idFirst(2 ** 40, { library: "x", python_module: ["x"], function: "len", args: [] })]
  ] as const) {
    it.live(`refuses ${what}, and serves the next call`, () =>
      Effect.gen(function* () {
        const { data } = yield* openWorker()
        data.send(message)
        assert.strictEqual((yield* data.exitOf(message.id))._tag, "Failure")
        data.send(builtin(2, "len", [1]))
        assert.strictEqual((yield* data.exitOf(2))["value"], 1)
      })
    )
  }

  it.live("answers an unknown request tag with a failure", () =>
    Effect.gen(function* () {
      const { data } = yield* openWorker()
      data.send({ ...request(1, {}), tag: "snakebridge.guess" })
      assert.include(String(errorOf(yield* data.exitOf(1))["reason"]), "snakebridge.guess")
    })
  )

  for (const [what, value] of [
    ["a message of an unknown tag", { _tag: "Gossip", id: 1 }],
    ["a request without a tag", { _tag: "Request", id: 1, payload: {}, headers: [] }],
    ["a request without an id", { _tag: "Request", tag: "snakebridge.call", payload: {}, headers: [] }],
    ["a number", 5],
    ["an empty map", {}]
  ] as const) {
    it.live(`answers ${what} on the data channel with a Defect that says what was expected`, () =>
      Effect.gen(function* () {
        const { data } = yield* openWorker()
        data.send(value)
        assert.include(yield* data.defect, "expected a Request")
      })
    )
  }

  it.live("ends the connection at a frame of length zero or above the limit, with both numbers", () =>
    Effect.gen(function* () {
      for (const length of [0, (1 << 20) + 1, 0xffffffff]) {
        const { child, data } = yield* openWorker()
        const header = Buffer.alloc(4)
        header.writeUInt32LE(length)
        data.sendBytes(header)
        const defect = yield* data.defect
        assert.include(defect, `frame of ${length} bytes`)
        assert.include(defect, "1 to 1048576")
        yield* data.end
        yield* waitUntil("the worker has ended", () => child.exitCode !== null || child.signalCode !== null)
      }
    })
  )

  it.live("does not wait for the rest of a frame whose host is gone", () =>
    Effect.gen(function* () {
      const { child, data } = yield* openWorker()
      data.sendBytes(data.frame(builtin(1, "len", [1, 2, 3])).subarray(0, 20))
      data.socket.end()
      yield* waitUntil("the worker has ended", () => child.exitCode !== null || child.signalCode !== null)
    })
  )

  it.live("reads frames that arrive byte by byte, and many in one write", () =>
    Effect.gen(function* () {
      const { data } = yield* openWorker()
      for (const byte of data.frame(builtin(1, "len", [1, 2, 3]))) data.sendBytes(Buffer.from([byte]))
      assert.strictEqual((yield* data.exitOf(1))["value"], 3)
      data.send(...Array.from({ length: 300 }, (_, index) => builtin(index + 2, "abs", -index)))
      for (let index = 0; index < 300; index++) assert.strictEqual((yield* data.exitOf(index + 2))["value"], index)
    })
  )

  it.live("keeps large frames apart that are interleaved with small ones on both channels", () =>
    Effect.gen(function* () {
      const { control, data } = yield* openWorker()
      const large = "x".repeat(300_000)
      for (let index = 0; index < 10; index++) {
        data.send(builtin(2 * index + 1, "len", large), builtin(2 * index + 2, "abs", -index))
        control.send({ _tag: "Ping" })
      }
      for (let index = 0; index < 10; index++) {
        assert.strictEqual((yield* data.exitOf(2 * index + 1))["value"], large.length)
        assert.strictEqual((yield* data.exitOf(2 * index + 2))["value"], index)
        yield* control.take("a pong", ({ _tag }) => _tag === "Pong")
      }
    })
  )

  it.live("answers pings while a call keeps it busy", () =>
    Effect.gen(function* () {
      const { control, data } = yield* openWorker()
      data.send(request(1, { python_module: "time", function: "sleep", args: [3600] }))
      control.send({ _tag: "Ping" })
      yield* control.take("a pong", ({ _tag }) => _tag === "Pong")
      control.send(request(2, {}, "snakepit.stack"))
      assert.include(String((yield* control.exitOf(2))["value"]), "snakepit-control")
      control.send({ _tag: "Interrupt", requestId: 1 }, request(3, {}, "snakepit.memory"))
      // a memory request's exit holds the resident bytes
      const memory = (yield* control.exitOf(3))["value"] as { readonly rss_bytes: number }
      assert.isAbove(memory.rss_bytes, 1 << 20)
      control.send({ ...request(4, {}, "snakepit.raise"), payload: { request_id: 1 } })
      assert.strictEqual((yield* control.exitOf(4))["value"], true)
      const exit = yield* data.exitOf(1)
      assert.deepStrictEqual(exit["cause"], [{ _tag: "Interrupt", fiberId: null }])
    })
  )

  it.live("answers nonsense on the control channel, and goes on", () =>
    Effect.gen(function* () {
      const { control, data } = yield* openWorker()
      control.send(5, {}, { _tag: "Gossip" }, { _tag: "Ack" }, { _tag: "Interrupt" }, { _tag: "Exit", requestId: "x" })
      control.send({ _tag: "Request", id: 9 }, request(7, {}, "snakepit.guess"), request(8, {}, "snakepit.recall"))
      control.send(
        { _tag: "Ack", requestId: 99 },
        { _tag: "Interrupt", requestId: 98 },
        { _tag: "Exit", requestId: 97, exit: {} }
      )
      control.send({ _tag: "Ping" })
      yield* control.take("a pong", ({ _tag }) => _tag === "Pong")
      data.send(builtin(1, "len", [1]))
      assert.strictEqual((yield* data.exitOf(1))["value"], 1)
    })
  )

  it.live("refuses refs that nobody gave out", () =>
    Effect.gen(function* () {
      const { data } = yield* openWorker()
      // an extension of 15 bytes and code 15: a ref ["s", "raw-0", 1, "list"]
      const forged = Buffer.from("c70f0f94a173a57261772d3001a46c697374", "hex")
      const body = data.frame(request(1, { session_id: "s", function: "len", args: ["REF"] }))
      const at = body.indexOf("\xa3REF", 0, "latin1")
      const spliced = Buffer.concat([body.subarray(4, at), forged, body.subarray(at + 4)])
      const header = Buffer.alloc(4)
      header.writeUInt32LE(spliced.length)
      data.sendBytes(Buffer.concat([header, spliced]))
      assert.strictEqual(errorOf(yield* data.exitOf(1))._tag, "SessionLost")
    })
  )

  it.live("leaves when the host closes the data channel, and when it says shutdown", () =>
    Effect.gen(function* () {
      const first = yield* openWorker()
      first.data.socket.end()
      yield* waitUntil("the worker has ended", () => !isRunning(first.child.pid ?? 0))
      const second = yield* openWorker()
      second.control.send(request(1, {}, "snakepit.shutdown"))
      assert.strictEqual((yield* second.control.exitOf(1))._tag, "Success")
      yield* waitUntil("the worker has left", () => second.child.exitCode === 0)
    })
  )

  it.live("ends at once with its children when the host is gone, in the middle of a call", () =>
    Effect.gen(function* () {
      const worker = yield* openWorker()
      worker.data.send(request(1, { python_module: "time", function: "sleep", args: [3600] }))
      worker.control.socket.destroy()
      worker.data.socket.destroy()
      yield* waitUntil("the worker has ended", () => !isRunning(worker.child.pid ?? 0))
    })
  )

  it.live("gives up when no host connects within the start timeout", () =>
    Effect.gen(function* () {
      const worker = yield* rawWorker({ start_timeout_seconds: 0.1 })
      yield* waitUntil("the worker has ended", () => worker.child.exitCode !== null)
      yield* waitUntil("it has said why", () => worker.stderr().includes("did not connect"))
    })
  )
})

describe("A pool, and a worker that breaks the contract", () => {
  /** A pool whose workers are `fake_peer`: it serves `ok` properly, and does to other targets what their names say. */
  const fake = {
    cwd: path.join(import.meta.dirname, "workers/fake_peer"),
    // the fork server would be the fake's, which has none
    start: "spawn",
    pythonPath: [],
    stopTimeout: "20 millis"
  } as const

  for (const [fault, expected] of [
    ["oversized", "expected 1 to"],
    ["zero_length", "frame of 0 bytes"],
    ["garbage", "does not decode"],
    ["not_a_map", "expected Exit, Chunk, Request or Defect"],
    ["unknown_tag", "Gossip"],
    ["defect", "beyond repair"],
    ["no_request_id", "requestId"],
    ["unknown_notice", "snakepit.guess"]
  ] as const) {
    it.live(`${fault}: the calls of that connection fail with what was wrong, and the pool recovers`, () =>
      Effect.gen(function* () {
        assert.strictEqual(yield* Snakepit.call("ok"), "fine")
        const error = yield* Effect.flip(Snakepit.call(fault))
        if (error._tag !== "WorkerCrash") return assert.fail(error.message)
        assert.strictEqual(error.crash, "protocol")
        assert.include(error.message, expected)
        yield* waitForWorkers(1)
        assert.strictEqual(yield* Snakepit.call("ok"), "fine")
      }).pipe(withPool(fake))
    )
  }

  for (const fault of ["bad_value", "bad_exit", "no_exit", "bad_reason"] as const) {
    it.live(`${fault}: a reply that makes no sense fails its own call alone`, () =>
      Effect.gen(function* () {
        const [bad, good] = yield* Effect.all([Effect.exit(Snakepit.call(fault)), Snakepit.call("ok")], {
          concurrency: "unbounded"
        })
        assert.strictEqual(bad._tag, "Failure")
        assert.strictEqual(good, "fine")
      }).pipe(withPool(fake))
    )
  }

  it.live("replies to calls that do not exist, and extra replies, are ignored", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("twice"), "first")
      assert.strictEqual(yield* Snakepit.call("strangers"), "mine")
      assert.strictEqual(yield* Snakepit.call("ok"), "fine")
    }).pipe(withPool(fake))
  )

  it.live("frames that arrive in pieces are put together", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Snakepit.call("in_pieces"), "together")
    }).pipe(withPool(fake))
  )

  it.live("a connection that ends inside a frame is a crash of the worker", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("truncated"))
      assert.instanceOf(error, SnakepitError.WorkerCrash)
      yield* waitForWorkers(1)
      assert.strictEqual(yield* Snakepit.call("ok"), "fine")
    }).pipe(withPool(fake))
  )

  it.live("a worker that refuses the handshake fails the start with its reason", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(pool({ ...fake, env: { FAKE_HELLO: "refuse" } }))))
      assert.include(error.message, "not today")
    })
  )

  it.live("a worker that answers the handshake with nonsense fails the start", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(Layer.build(pool({ ...fake, startTimeout: "5 seconds", env: { FAKE_HELLO: "nonsense" } })))
      )
      assert.instanceOf(error, SnakepitError.WorkerStartError)
    })
  )

  it.live("a worker that loses its connections is ended and replaced", () =>
    Effect.gen(function* () {
      assert.instanceOf(yield* Effect.flip(cutWire), SnakepitError.WorkerCrash)
      yield* waitForWorkers(1)
      assert.strictEqual(yield* Snakepit.call("math.sqrt", { args: [4] }), 2)
    }).pipe(withPool())
  )
})
