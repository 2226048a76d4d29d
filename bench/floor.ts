/**
 * The floor: the least that asking Python over a socket can cost. A bare Node socket, MessagePack, a promise per call
 * and a blocking read loop in Python (`floor.py`). No Effect, no pool, no schema, and neither side gathers several
 * frames into one write; a design that does can beat it when many calls are in flight.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import { connect, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Packr, Unpackr } from "msgpackr"
import { interpreter } from "./interpreter.ts"
import { fromCall, type Subject } from "./subject.ts"

/** Starts `workers` floor processes; calls go to them in turn. */
export const openFloor = async (workers: number): Promise<Subject> => {
  const directory = await mkdtemp(join(tmpdir(), "snakepit-bench-"))
  const connections: Array<Connection> = []
  const close = async (): Promise<void> => {
    await Promise.all(connections.map((connection) => connection.close()))
  }
  try {
    for (let worker = 0; worker < workers; worker++) {
      connections.push(await Connection.open(join(directory, `${worker}.sock`)))
    }
  } catch (error) {
    await close()
    throw error
  } finally {
    // Connected sockets need their paths no longer, and so nothing is left behind however the bench ends.
    await rm(directory, { recursive: true, force: true })
  }
  const [first] = connections
  if (connections.length === 1 && first !== undefined) return fromCall("floor", (x) => first.call(x), close)
  let turn = 0
  const call = (x: number): Promise<number> => {
    const connection = connections[turn++ % connections.length]
    if (connection === undefined) throw new RangeError(`the floor needs at least one worker, got ${workers}`)
    return connection.call(x)
  }
  return fromCall("floor", call, close)
}

interface Pending {
  readonly resolve: (value: number) => void
  readonly reject: (error: Error) => void
}

class Connection {
  readonly #socket: Socket
  readonly #process: ChildProcess
  readonly #packr = new Packr({ useRecords: false })
  readonly #unpackr = new Unpackr({ useRecords: false })
  readonly #pending = new Map<number, Pending>()
  #rest: Buffer | undefined
  #id = 0

  static async open(path: string): Promise<Connection> {
    const script = fileURLToPath(new URL("floor.py", import.meta.url))
    const child = spawn(interpreter(), [script, path], { stdio: ["ignore", "pipe", "inherit"] })
    const listening = await Promise.race([once(child.stdout, "data"), once(child, "exit").then(() => undefined)])
    if (listening === undefined) {
      throw new Error(
        `the floor's Python did not start: ${interpreter()} ended with code ${child.exitCode}. ` +
          "It needs ormsgpack; set SNAKEPIT_BENCH_PYTHON to an interpreter that has it."
      )
    }
    const socket = connect(path)
    await once(socket, "connect")
    return new Connection(socket, child)
  }

  private constructor(socket: Socket, child: ChildProcess) {
    this.#socket = socket
    this.#process = child
    socket.on("data", (data) => this.#receive(data))
    socket.on("error", (error) => this.#fail(error))
    socket.on("close", () => this.#fail(new Error("the floor's Python closed the connection")))
  }

  call(x: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const id = ++this.#id
      this.#pending.set(id, { resolve, reject })
      const message = this.#packr.pack({ id, target: "math.sqrt", args: [x] })
      const frame = Buffer.allocUnsafe(4 + message.length)
      frame.writeUInt32LE(message.length, 0)
      frame.set(message, 4)
      this.#socket.write(frame)
    })
  }

  async close(): Promise<void> {
    this.#socket.destroy()
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const exited = once(this.#process, "exit")
      this.#process.kill()
      await exited
    }
  }

  #receive(data: Buffer): void {
    const buffer = this.#rest === undefined ? data : Buffer.concat([this.#rest, data])
    let start = 0
    while (buffer.length - start >= 4) {
      const length = buffer.readUInt32LE(start)
      if (buffer.length - start - 4 < length) break
      const message: { readonly id: number; readonly value: number } = this.#unpackr.unpack(
        buffer.subarray(start + 4, start + 4 + length)
      )
      start += 4 + length
      const pending = this.#pending.get(message.id)
      this.#pending.delete(message.id)
      pending?.resolve(message.value)
    }
    this.#rest = start < buffer.length ? buffer.subarray(start) : undefined
  }

  #fail(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }
}
