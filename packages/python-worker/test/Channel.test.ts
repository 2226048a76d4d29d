/** A channel over a real socket whose other end is the test: frames out, frames in, and every way it can end. */
import { assert, describe, it } from "@effect/vitest"
import * as net from "node:net"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { tempDirectory, waitUntil } from "../../../test/harness.ts"
import { Channel, closedReason } from "../src/internal/channel.ts"
import { Encoder } from "../src/MessagePack.ts"

const maxFrameBytes = 1 << 20

/** A channel, its peer, and what has happened so far. */
const connected = (onFrame?: (frame: Buffer) => void) =>
  Effect.tap(connecting(onFrame), ({ listen }) => Effect.sync(listen))

/** One that nobody listens to yet. */
const connecting = (onFrame?: (frame: Buffer) => void) =>
  Effect.gen(function* () {
    const socket = path.join(yield* tempDirectory, "peer.sock")
    let peer: net.Socket | undefined
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => net.createServer((connection) => (peer = connection)).listen(socket)),
      (listening) => Effect.sync(() => void listening.close())
    )
    yield* waitUntil("the peer listens", () => server.listening)
    const frames: Array<Buffer> = []
    const ends: Array<readonly [reason: string, violation: boolean]> = []
    const channel = yield* Effect.acquireRelease(
      Effect.sync(() => new Channel({ encoder: new Encoder({ adapters: [] }), maxFrameBytes, path: socket })),
      (opened) => Effect.sync(() => opened.destroy())
    )
    const listen = () =>
      channel.listen(
        (bytes, start, end) => {
          const frame = Buffer.from(bytes.subarray(start, end))
          frames.push(frame)
          onFrame?.(frame)
        },
        (reason, violation) => ends.push([reason, violation])
      )
    yield* waitUntil("the peer is connected", () => peer !== undefined)
    if (peer === undefined) return assert.fail("there is no peer")
    let arrived = Buffer.alloc(0)
    peer.on("data", (chunk: Buffer) => (arrived = Buffer.concat([arrived, chunk])))
    peer.on("error", () => {})
    return { channel, listen, peer, frames, ends, arrived: () => arrived }
  })

const frameOf = (body: string | Buffer): Buffer => {
  const bytes = Buffer.from(body)
  const header = Buffer.alloc(4)
  header.writeUInt32LE(bytes.length)
  return Buffer.concat([header, bytes])
}

const write = (channel: Channel, value: unknown) => {
  const mark = channel.encoder.begin()
  channel.encoder.value(value, "value", {})
  channel.encoder.end(mark)
  channel.flushSoon()
}

describe("Channel", () => {
  it.live("hands over frames however they are cut", () =>
    Effect.gen(function* () {
      const bodies = ["a", "bc".repeat(3_000), "d".repeat(600_000), "e", "f".repeat(4_096), "g".repeat(4_097)]
      const bytes = Buffer.concat(bodies.map(frameOf))
      for (const size of [1, 2, 3, 5, 7, 4_099, 262_144, 262_147, bytes.length]) {
        // single bytes of the small frames, larger pieces of the rest
        const pieces = size < 8 ? bytes.subarray(0, 200) : bytes
        const { frames, peer } = yield* connected()
        for (let start = 0; start < pieces.length; start += size) peer.write(pieces.subarray(start, start + size))
        if (size < 8) peer.write(bytes.subarray(200))
        yield* waitUntil("all frames have arrived", () => frames.length === bodies.length)
        assert.deepStrictEqual(frames.map(String), bodies)
      }
    }).pipe(Effect.scoped)
  )

  it.live("hands over thousands of frames of one write in order", () =>
    Effect.gen(function* () {
      const { frames, peer } = yield* connected()
      const bodies = Array.from({ length: 20_000 }, (_, index) => `frame ${index}`)
      peer.write(Buffer.concat(bodies.map(frameOf)))
      yield* waitUntil("all frames have arrived", () => frames.length === bodies.length)
      assert.deepStrictEqual(frames.map(String), bodies)
    })
  )

  it.live("sends the frames of one turn in order, and does not send what was rolled back", () =>
    Effect.gen(function* () {
      const { arrived, channel } = yield* connected()
      write(channel, 1)
      const mark = channel.encoder.begin()
      channel.encoder.value("never sent", "value", {})
      channel.encoder.rollback(mark)
      write(channel, 2)
      yield* waitUntil("both frames have arrived", () => arrived().length === 10)
      assert.strictEqual(arrived().toString("hex"), "01000000010100000002")
    })
  )

  it.live("sends what a frame's handler writes", () =>
    Effect.gen(function* () {
      const answers: Array<() => void> = []
      const { arrived, channel, peer } = yield* connected(() => answers.shift()?.())
      answers.push(
        () => write(channel, 7),
        () => write(channel, 8)
      )
      peer.write(Buffer.concat([frameOf("a"), frameOf("b")]))
      yield* waitUntil("both answers have arrived", () => arrived().length === 10)
    })
  )

  for (const length of [0, maxFrameBytes + 1, 0xffffffff]) {
    it.live(`ends at a frame of ${length} bytes, with both numbers, as a violation`, () =>
      Effect.gen(function* () {
        const { ends, frames, peer } = yield* connected()
        const header = Buffer.alloc(4)
        header.writeUInt32LE(length)
        peer.write(Buffer.concat([frameOf("before"), header]))
        yield* waitUntil("the channel has ended", () => ends.length > 0)
        assert.deepStrictEqual(ends[0], [`frame of ${length} bytes; expected 1 to ${maxFrameBytes}`, true])
        assert.deepStrictEqual(frames.map(String), ["before"])
        yield* waitUntil("the peer sees the end", () => peer.readableEnded || peer.destroyed)
      })
    )
  }

  it.live("takes a frame as large as the limit", () =>
    Effect.gen(function* () {
      const { frames, peer } = yield* connected()
      peer.write(frameOf(Buffer.alloc(maxFrameBytes, 1)))
      yield* waitUntil("it has arrived", () => frames.length === 1)
      assert.strictEqual(frames[0]?.length, maxFrameBytes)
    })
  )

  it.live("ends when a frame's handler throws, with what it threw, as a violation", () =>
    Effect.gen(function* () {
      const { ends, peer } = yield* connected(() => {
        throw new Error("this makes no sense")
      })
      peer.write(frameOf("nonsense"))
      yield* waitUntil("the channel has ended", () => ends.length > 0)
      assert.deepStrictEqual(ends[0], ["this makes no sense", true])
    })
  )

  it.live("ends when the peer closes, which is no violation, also inside a frame", () =>
    Effect.gen(function* () {
      for (const last of [Buffer.alloc(0), frameOf("cut short").subarray(0, 7), Buffer.from([1, 0])]) {
        const { ends, frames, peer } = yield* connected()
        peer.end(last)
        yield* waitUntil("the channel has ended", () => ends.length > 0)
        assert.deepStrictEqual(ends[0], [closedReason, false])
        assert.deepStrictEqual(frames, [])
      }
    })
  )

  it.live("keeps what has come, and the end, until somebody listens", () =>
    Effect.gen(function* () {
      const { channel, ends, frames, listen, peer } = yield* connecting()
      write(channel, "hello")
      yield* waitUntil("the peer has heard", () => peer.bytesRead > 0)
      let closed = false
      peer.end(Buffer.concat([frameOf("one"), frameOf("two")]), () => (closed = true))
      yield* waitUntil("the peer has closed", () => closed)
      assert.deepStrictEqual(frames, [])
      listen()
      yield* waitUntil("the channel has ended", () => ends.length > 0)
      assert.deepStrictEqual(frames.map(String), ["one", "two"])
      assert.deepStrictEqual(ends[0], [closedReason, false])
    })
  )

  for (const when of ["before", "after"]) {
    it.live(`ends when nobody listens at its path, which is known ${when} it is listened to`, () =>
      Effect.gen(function* () {
        const folder = yield* tempDirectory
        const ends: Array<string> = []
        const encoder = new Encoder({ adapters: [] })
        const channel = new Channel({ encoder, maxFrameBytes, path: path.join(folder, "nobody.sock") })
        let ended = false
        if (when === "before") {
          channel.afterClose(10_000, () => (ended = true))
          yield* waitUntil("it has failed", () => ended)
        }
        channel.listen(
          () => assert.fail("there is no peer"),
          (reason) => ends.push(reason)
        )
        yield* waitUntil("its end is told", () => ends.length > 0)
        assert.include(ends[0], "ENOENT")
      })
    )
  }

  it.live("writes after its end go nowhere, and throw nothing", () =>
    Effect.gen(function* () {
      const { channel, ends, peer } = yield* connected()
      peer.destroy()
      yield* waitUntil("the channel has ended", () => ends.length > 0)
      write(channel, "into the void")
      let called = false
      channel.afterClose(10_000, () => (called = true))
      yield* waitUntil("what waits for the end goes on", () => called)
    })
  )

  it.live("waits no longer for the end than it was told", () =>
    Effect.gen(function* () {
      const { channel } = yield* connected()
      let called = false
      channel.afterClose(1, () => (called = true))
      yield* waitUntil("it goes on although the peer stays", () => called)
    })
  )
})
