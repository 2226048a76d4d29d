/** What people would use instead, doing the same thing side by side in one run. */
import { type Run, wholeNumber } from "./bench.ts"
import { separate } from "./cores.ts"
import { openFloor } from "./floor.ts"
import { openPythonShellArrays, openPythoniaArrays, openSnakepitArrays } from "./peers/arrays.ts"
import { openGrpc } from "./peers/grpc.ts"
import { install } from "./peers/install.ts"
import { openNodeCallsPython, openNodeCallsPythonSync } from "./peers/nodeCallsPython.ts"
import { openPythonShellJson, openPythonShellLines } from "./peers/pythonShell.ts"
import { openPythonia } from "./peers/pythonia.ts"
import { interleave, median, rounded, Times } from "./rounds.ts"
import type { Subject } from "./subject.ts"
import { grouped, printTable } from "./table.ts"
import { within } from "./within.ts"

const CONCURRENCY = 64

/** How long one turn of one peer should take; slow peers make fewer calls in it. */
const TURN_MICROS = 100_000
const FEWEST_CALLS = 100
const MOST_CALLS = 20_000

/** A turn that takes this long is a peer that lost a reply. */
const TURN_LIMIT_MS = 20_000

const ARRAY_LENGTH = 131_072

interface Peer {
  readonly name: string
  readonly open: () => Promise<Subject>
}

const peers: ReadonlyArray<Peer> = [
  { name: "floor", open: () => openFloor(1) },
  // Imported here, so that the peers can still be measured where Snakepit itself does not start.
  { name: "snakepit", open: async () => (await import("./snakepit.ts")).openSnakepit(1) },
  { name: "python-shell", open: openPythonShellLines },
  { name: "python-shell, json", open: openPythonShellJson },
  { name: "pythonia", open: openPythonia },
  { name: "node-calls-python", open: openNodeCallsPython },
  { name: "node-calls-python, sync", open: openNodeCallsPythonSync },
  { name: "grpc-js with grpcio", open: openGrpc }
]

export const run: Run = async (flags) => {
  const rounds = wholeNumber(flags, "rounds", 10)
  await install()
  const entries = await Promise.all(peers.map((peer) => Entry.open(peer)))
  separate()
  for (const entry of entries) await entry.warmUp()
  await interleave(
    rounds,
    entries.map((entry) => () => entry.turn())
  )
  await Promise.all(entries.map((entry) => entry.close()))
  printTable(
    ["peer", "p50 us", "p99 us", `calls/s at ${CONCURRENCY}`],
    entries.map((entry) => entry.line())
  )
  for (const { failure, name } of entries) {
    if (failure !== undefined) console.log(`${name} could not be measured: ${failure}`)
  }
  // The floor is no peer: it stands in the printed table only.
  const results = entries.filter(({ name }) => name !== "floor").map((entry) => entry.row())
  return flags["arrays"] === true ? { results, arrays: await measureArrays(rounds) } : { results }
}

/** One peer's place in the run. What goes wrong with one ends that one only. */
class Entry {
  readonly name: string
  readonly #times = new Times()
  readonly #rates: Array<number> = []
  #subject: Subject | undefined
  #failure: string | undefined
  #calls = FEWEST_CALLS
  #callsInFlight = FEWEST_CALLS

  static async open({ name, open }: Peer): Promise<Entry> {
    const entry = new Entry(name)
    try {
      entry.#subject = await within(TURN_LIMIT_MS, name, open())
    } catch (error) {
      entry.#failed(error)
    }
    return entry
  }

  private constructor(name: string) {
    this.name = name
  }

  /** Why this peer could not be measured, in one line. */
  get failure(): string | undefined {
    return this.#failure
  }

  /** Warms up both measurements and chooses how many calls fill a turn. */
  warmUp(): Promise<void> {
    return this.#attempt(async (subject) => {
      await subject.oneByOne(new Float64Array(1000))
      const micros = new Float64Array(FEWEST_CALLS)
      await subject.oneByOne(micros)
      this.#calls = callsFor(TURN_MICROS / median(micros))
      const rate = await subject.inFlight(2000, CONCURRENCY)
      this.#callsInFlight = callsFor((TURN_MICROS / 1_000_000) * rate)
    })
  }

  turn(): Promise<void> {
    return this.#attempt(async (subject) => {
      await this.#times.round(this.#calls, subject.oneByOne)
      this.#rates.push(await subject.inFlight(this.#callsInFlight, CONCURRENCY))
    })
  }

  async close(): Promise<void> {
    await this.#attempt((subject) => Promise.resolve(subject[Symbol.asyncDispose]()))
  }

  /** The row of the JSON object; null stands for what could not be measured. */
  row(): { readonly peer: string; readonly p50_us: number | null; readonly calls_per_s: number | null } {
    const { name: peer } = this
    if (this.#failure !== undefined) return { peer, p50_us: null, calls_per_s: null }
    return { peer, p50_us: rounded(this.#times.percentile(0.5)), calls_per_s: rounded(median(this.#rates), 0) }
  }

  /** The line of the printed table. */
  line(): ReadonlyArray<string> {
    if (this.#failure !== undefined) return [this.name, "-", "-", "-"]
    const micros = (p: number) => this.#times.percentile(p).toFixed(1)
    return [this.name, micros(0.5), micros(0.99), grouped(median(this.#rates))]
  }

  async #attempt(action: (subject: Subject) => Promise<void>): Promise<void> {
    const subject = this.#subject
    if (subject === undefined) return
    try {
      await within(TURN_LIMIT_MS, this.name, action(subject))
    } catch (error) {
      this.#failed(error)
      this.#subject = undefined
      // Its process may be gone already; the failure above is the one to report.
      await within(TURN_LIMIT_MS, this.name, Promise.resolve(subject[Symbol.asyncDispose]())).catch(() => {})
    }
  }

  #failed(error: unknown): void {
    this.#failure ??= (error instanceof Error ? error.message : String(error)).split("\n", 1).join("")
  }
}

const callsFor = (wanted: number): number => Math.round(Math.min(MOST_CALLS, Math.max(FEWEST_CALLS, wanted)))

interface ArrayRow {
  readonly peer: string
  readonly direction: "to_python" | "from_python"
  readonly bytes: number
  readonly p50_us: number
}

/** 1 MiB of floats as an argument and as a result, through the peers that speak JSON. Every value is checked. */
const measureArrays = async (rounds: number): Promise<ReadonlyArray<ArrayRow>> => {
  const values = Float64Array.from({ length: ARRAY_LENGTH }, (_, i) => i / 3)
  const total = values.reduce((sum, value) => sum + value, 0)
  const rows: Array<ArrayRow> = []
  for (const open of [openSnakepitArrays, openPythonShellArrays, openPythoniaArrays]) {
    await using peer = await open()
    const send = async (): Promise<number> => {
      const start = performance.now()
      const answer = await within(TURN_LIMIT_MS, peer.name, peer.send(values))
      const micros = (performance.now() - start) * 1000
      // Python 3.12 and later sum floats with compensation, so the last digits may differ.
      if (Math.abs(answer - total) > total * 1e-9) throw new Error(`${peer.name} sums to ${answer}, not ${total}`)
      return micros
    }
    const receive = async (): Promise<number> => {
      const start = performance.now()
      const answer = await within(TURN_LIMIT_MS, peer.name, peer.receive(ARRAY_LENGTH))
      const micros = (performance.now() - start) * 1000
      if (!values.every((value, i) => value === answer[i])) throw new Error(`${peer.name} changed the array`)
      return micros
    }
    const toPython: Array<number> = []
    const fromPython: Array<number> = []
    await send()
    await receive()
    const turn = (times: Array<number>, once: () => Promise<number>) => async () => {
      const end = performance.now() + TURN_MICROS / 1000
      do times.push(await once())
      while (performance.now() < end)
    }
    await interleave(rounds, [turn(toPython, send), turn(fromPython, receive)])
    const row = { peer: peer.name, bytes: values.byteLength }
    rows.push({ ...row, direction: "to_python", p50_us: rounded(median(toPython)) })
    rows.push({ ...row, direction: "from_python", p50_us: rounded(median(fromPython)) })
  }
  console.log("")
  printTable(
    ["1 MiB of floats", "direction", "p50 ms"],
    rows.map(({ direction, p50_us, peer }) => [peer, direction, (p50_us / 1000).toFixed(2)])
  )
  return rows
}
