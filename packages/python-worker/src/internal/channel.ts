/**
 * One connection to a worker: frames out of an {@link Encoder}, frames in to a callback.
 *
 * Frames written in one turn of the event loop leave in one write; frames that arrive in one read are handed over one
 * after the other, and what they cause to be written leaves together when the last is done.
 */
import * as net from "node:net"
import { Encoder } from "../MessagePack.ts"

/** Takes one frame: `bytes` from `start` to `end`. The memory is reused after it returns, unless the frame is above 4 KiB. */
export type OnFrame = (bytes: Buffer, start: number, end: number) => void

/** Hears that the connection has ended; `violation` says that what the peer sent was wrong. */
export type OnBroken = (reason: string, violation: boolean) => void

/** How an ordinary end is reported: the peer closed, and nothing was wrong with what it sent. */
export const closedReason = "the connection is closed"

/** The connections on which the host calls a worker. */
export interface Channels {
  readonly data: Channel
  readonly control: Channel
}

/** What the host says first on each of its connections to a worker, as a frame. */
export const hello = (token: string, channel: string): Uint8Array => {
  const mark = helloEncoder.begin()
  const payload = { protocol_version: 1, token, channel }
  helloEncoder.value({ _tag: "Request", id: 0, tag: "snakepit.hello", payload, headers: [] }, "hello", {})
  helloEncoder.end(mark)
  return helloEncoder.takeFrames() ?? new Uint8Array()
}

const helloEncoder = new Encoder({ adapters: [] })

const readBytes = 1 << 18

/** Byte strings above this size are decoded as views, so the frames that hold them need memory of their own. */
const viewBytes = 4096

interface ChannelOptions {
  readonly encoder: Encoder
  readonly maxFrameBytes: number
  /** The socket of the peer. */
  readonly path: string
}

export class Channel {
  readonly encoder: Encoder
  private readonly socket: net.Socket
  private readonly maxFrameBytes: number
  private onFrame: OnFrame = () => {}
  private onBroken: OnBroken = () => {}
  /** Why it ended before anybody listened. */
  private brokenBy: string | undefined
  private flushScheduled = false
  private reading = false
  /** What has arrived in part: a frame, or the four bytes of a frame's length. */
  private partial: Buffer | undefined
  private partialFilled = 0
  private partialIsFrame = false

  /** Starts to connect. Nothing is read before {@link listen}. */
  constructor({ encoder, maxFrameBytes, path }: ChannelOptions) {
    this.encoder = encoder
    this.maxFrameBytes = maxFrameBytes
    // `onread` skips the stream machinery and its allocations: about 3 us of a 25 us round trip
    this.socket = net.connect({
      path,
      onread: {
        buffer: Buffer.allocUnsafeSlow(readBytes),
        callback: (size, buffer) => {
          this.receive(buffer as Buffer, size) // Node hands back the very Buffer given above
          return true
        }
      }
    })
    this.socket.pause()
    const ended = (reason: string) => {
      this.brokenBy ??= reason
      this.onBroken(reason, false)
    }
    this.socket.on("error", (error) => ended(error.message))
    this.socket.on("close", () => ended(closedReason))
  }

  /** Connects to a worker that listens there, and says hello. */
  static greet(options: ChannelOptions, token: string, name: "data" | "control"): Channel {
    const channel = new Channel(options)
    channel.socket.write(hello(token, name))
    return channel
  }

  /** Begins to read. `onBroken` is called once or more when the connection has ended, whatever the reason. */
  listen(onFrame: OnFrame, onBroken: OnBroken): void {
    this.onFrame = onFrame
    this.onBroken = onBroken
    if (this.brokenBy !== undefined) onBroken(this.brokenBy, false)
    else this.socket.resume()
  }

  /** Lets the frames that the encoder has finished leave with this turn of the event loop. */
  flushSoon(): void {
    if (this.flushScheduled || this.reading) return
    this.flushScheduled = true
    process.nextTick(this.flush)
  }

  private readonly flush = (): void => {
    this.flushScheduled = false
    const frames = this.encoder.takeFrames()
    if (frames !== undefined && this.socket.writable) this.socket.write(frames)
  }

  close(): void {
    this.flush()
    this.socket.end()
    this.socket.destroySoon()
  }

  /** Calls back once everything the peer has sent is read, or after `millis`, whichever comes first. */
  afterClose(millis: number, callback: () => void): void {
    if (this.socket.closed) return callback()
    const done = () => {
      clearTimeout(timer)
      this.socket.off("close", done)
      callback()
    }
    const timer = setTimeout(done, millis)
    this.socket.on("close", done)
  }

  destroy(): void {
    this.socket.destroy()
  }

  private receive(chunk: Buffer, size: number): void {
    this.reading = true
    try {
      this.split(chunk, size)
    } catch (error) {
      // whatever a frame's handler throws ends this connection, and with it the calls it carries, but nothing else
      this.onBroken(error instanceof Error ? error.message : String(error), true)
      this.socket.destroy()
    }
    this.reading = false
    this.flush()
  }

  private split(chunk: Buffer, size: number): void {
    let position = 0
    while (this.partial !== undefined) {
      const wanted = this.partial.length
      const taken = Math.min(wanted - this.partialFilled, size - position)
      chunk.copy(this.partial, this.partialFilled, position, position + taken)
      this.partialFilled += taken
      position += taken
      if (this.partialFilled < wanted) return
      if (this.partialIsFrame) {
        const frame = this.partial
        this.partial = undefined
        this.onFrame(frame, 0, frame.length)
      } else {
        this.beginFrame(this.lengthAt(this.partial, 0))
      }
    }
    while (size - position >= 4) {
      const length = this.lengthAt(chunk, position)
      const start = position + 4
      if (size - start < length) {
        position = start
        this.beginFrame(length)
        break
      }
      position = start + length
      if (length <= viewBytes) this.onFrame(chunk, start, position)
      else {
        const frame = Buffer.allocUnsafeSlow(length)
        chunk.copy(frame, 0, start, position)
        this.onFrame(frame, 0, length)
      }
    }
    if (this.partial !== undefined) {
      chunk.copy(this.partial, 0, position, size)
      this.partialFilled = size - position
    } else if (position < size) {
      this.partial = Buffer.allocUnsafe(4)
      this.partialIsFrame = false
      chunk.copy(this.partial, 0, position, size)
      this.partialFilled = size - position
    }
  }

  private beginFrame(length: number): void {
    this.partial = Buffer.allocUnsafeSlow(length)
    this.partialFilled = 0
    this.partialIsFrame = true
  }

  private lengthAt(bytes: Buffer, position: number): number {
    const length = bytes.readUInt32LE(position)
    if (length === 0 || length > this.maxFrameBytes) {
      throw new Error(`frame of ${length} bytes; expected 1 to ${this.maxFrameBytes}`)
    }
    return length
  }
}
