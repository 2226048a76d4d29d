/** A real Python worker, served to the stock client of `effect/rpc`: the worker is an effect/rpc server. */
import { assert, describe, it } from "@effect/vitest"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { RpcClient, type RpcMessage } from "effect/rpc"
import { tempDirectory, waitForFile, waitUntil } from "../../../test/harness.ts"
import { type Message, openWorker, type Wire } from "../../../test/rawWorker.ts"
import { payloadVersion, RuntimeContract } from "../src/RuntimeContract.ts"

/** The client's protocol over both channels: requests go out on one, acks and interrupts on the other. */
const protocolOver = (data: Wire, control: Wire, seen: Array<Message>) =>
  RpcClient.Protocol.make((writeResponse) =>
    Effect.map(Effect.context<never>(), (context) => {
      const runFork = Effect.runForkWith(context)
      // a reply may come before the client listens; `writeResponse` keeps it for the client that is named
      let client = 0
      const onMessage = (message: Message): boolean => {
        seen.push(message)
        // notices such as `snakepit.parked` are requests of the worker; they ask for no answer
        if (message._tag === "Request") return true
        // the encoded messages of effect/rpc are what the worker sends: that is what this test is about
        const response = message as unknown as RpcMessage.FromServerEncoded
        runFork(writeResponse(client, response))
        return true
      }
      data.listen(onMessage)
      control.listen(onMessage)
      return {
        send: (sender: number, message: RpcMessage.FromClientEncoded) =>
          Effect.sync(() => {
            client = sender
            const channel = message._tag === "Request" ? data : control
            channel.send(message)
          }),
        supportsAck: true,
        supportsTransferables: false,
        codecFor: Schema.toCodecJson
      }
    })
  )

/** A client of a worker of its own, and every message that the worker sends. */
const connected = Effect.gen(function* () {
  const { control, data } = yield* openWorker()
  const seen: Array<Message> = []
  const protocol = yield* protocolOver(data, control, seen)
  let number = 0
  const client = yield* RpcClient.make(RuntimeContract, {
    // ids are unsigned integers; 0 was the handshake's
    generateRequestId: () => ++number as never
  }).pipe(Effect.provideService(RpcClient.Protocol, protocol))
  return { seen, call: client["snakebridge.call"], stream: client["snakebridge.stream"] }
})

const payload_version = payloadVersion

describe("RuntimeContract", () => {
  it.live("a call succeeds with its value", () =>
    Effect.gen(function* () {
      const { call } = yield* connected
      assert.strictEqual(yield* call({ payload_version, python_module: "math", function: "sqrt", args: [16] }), 4)
      const bytes = new Uint8Array([1, 2, 3])
      assert.deepStrictEqual(
        yield* call({ payload_version, function: "dict", kwargs: { bytes, big: 2n ** 70n, nothing: null } }),
        { bytes, big: 2n ** 70n, nothing: null }
      )
    })
  )

  it.live("concurrent calls each get their own value", () =>
    Effect.gen(function* () {
      const { call } = yield* connected
      const numbers = Array.from({ length: 100 }, (_, index) => index)
      const values = yield* Effect.forEach(numbers, (n) => call({ payload_version, function: "abs", args: [-n] }), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(values, numbers)
    })
  )

  it.live("a Python exception is the typed failure of the call", () =>
    Effect.gen(function* () {
      const { call } = yield* connected
      const error = yield* Effect.flip(call({ payload_version, python_module: "plain", function: "raise_with_notes" }))
      if (!("pythonType" in error && "cause" in error)) return assert.fail(JSON.stringify(error))
      assert.deepInclude(error, { _tag: "ValueError", pythonType: "ValueError", notes: ["first note", "second note"] })
      assert.strictEqual(error.cause?._tag, "KeyError")
    })
  )

  it.live("a failure of the worker itself is typed too", () =>
    Effect.gen(function* () {
      const { call } = yield* connected
      const unserializable = yield* Effect.flip(
        call({ payload_version, python_module: "plain", function: "unsendable" })
      )
      assert.deepInclude(unserializable, { _tag: "UnserializableResult", path: "result.rows[1]" })
      const lost = yield* Effect.flip(call({ payload_version, class: "list", call_type: "class" }))
      assert.strictEqual(lost._tag, "SessionLost")
    })
  )

  it.live("an interrupt reaches the running call, which leaves", () =>
    Effect.gen(function* () {
      const { call, seen } = yield* connected
      const folder = yield* tempDirectory
      const running = yield* Effect.forkChild(
        call({ payload_version, python_module: "stopping", function: "asks", args: [folder] })
      )
      yield* waitForFile(path.join(folder, "began"))
      yield* Fiber.interrupt(running)
      assert.strictEqual(yield* waitForFile(path.join(folder, "ended")), "asked")
      yield* waitUntil("the worker has ended the request", () => seen.some((message) => message._tag === "Exit"))
      assert.strictEqual(yield* call({ payload_version, function: "abs", args: [-1] }), 1)
    })
  )

  it.live("an interrupt drops a call that has not begun", () =>
    Effect.gen(function* () {
      const { call, seen } = yield* connected
      const folder = yield* tempDirectory
      const go = path.join(folder, "go")
      const first = yield* Effect.forkChild(
        call({
          payload_version,
          python_module: "meeting",
          function: "until_file",
          args: [go, path.join(folder, "began")]
        })
      )
      yield* waitForFile(path.join(folder, "began"))
      const second = yield* Effect.forkChild(
        call({ payload_version, python_module: "meeting", function: "touch", args: [path.join(folder, "ran")] }),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(second)
      yield* waitUntil("the worker has dropped it", () => seen.some((message) => message["started"] === false))
      yield* Effect.promise(() => import("node:fs/promises").then((fs) => fs.writeFile(go, "")))
      yield* Fiber.join(first)
      assert.notInclude(
        yield* call({ payload_version, python_module: "os", function: "listdir", args: [folder] }),
        "ran"
      )
    })
  )

  it.live("an async def call is awaited, and cancelled by an interrupt", () =>
    Effect.gen(function* () {
      const { call } = yield* connected
      const folder = yield* tempDirectory
      assert.strictEqual(
        yield* call({ payload_version, python_module: "meeting", function: "at_rendezvous", args: ["one", 1] }),
        1
      )
      const waiting = yield* Effect.forkChild(
        call({ payload_version, python_module: "stopping", function: "waits", args: [folder] })
      )
      yield* waitForFile(path.join(folder, "began"))
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* waitForFile(path.join(folder, "ended")), "cancelled")
    })
  )

  it.live("a stream is longer than its window, acknowledged chunk by chunk", () =>
    Effect.gen(function* () {
      const { seen, stream } = yield* connected
      const values = yield* Stream.runCollect(stream({ payload_version, function: "range", args: [100] }))
      assert.deepStrictEqual(
        values,
        Array.from({ length: 100 }, (_, index) => index)
      )
      assert.strictEqual(seen.filter((message) => message._tag === "Chunk").length, 100)
    })
  )

  it.live("a stream that fails does so after its values", () =>
    Effect.gen(function* () {
      const { stream } = yield* connected
      const values: Array<unknown> = []
      const exit = yield* stream({
        payload_version,
        python_module: "counting_up",
        function: "fails_after",
        args: [40]
      }).pipe(
        Stream.runForEach((value) => Effect.sync(() => values.push(value))),
        Effect.flip,
        Effect.exit
      )
      assert.strictEqual(values.length, 40)
      assert.isTrue(Exit.isSuccess(exit) && "_tag" in exit.value && exit.value._tag === "ValueError")
    })
  )

  it.live("leaving a stream closes its generator", () =>
    Effect.gen(function* () {
      const { call, stream } = yield* connected
      const file = path.join(yield* tempDirectory, "closed")
      const values = yield* stream({
        payload_version,
        python_module: "counting_up",
        function: "endless",
        args: [file]
      }).pipe(Stream.take(3), Stream.runCollect)
      assert.deepStrictEqual(values, [0, 1, 2])
      assert.strictEqual(yield* waitForFile(file), "closed")
      assert.strictEqual(yield* call({ payload_version, function: "abs", args: [-1] }), 1)
    })
  )

  it.live("the client's span is what Python reads", () =>
    Effect.gen(function* () {
      const { call } = yield* connected
      const parent = Tracer.externalSpan({ traceId: "c".repeat(32), spanId: "d".repeat(16), sampled: true })
      const read = yield* call({ payload_version, python_module: "snakepit_worker", function: "traceparent" }).pipe(
        Effect.withParentSpan(parent)
      )
      assert.match(String(read), new RegExp(`^00-${"c".repeat(32)}-[0-9a-f]{16}-01$`))
    })
  )
})
