// `npm run bench -- NAME [--json] [flags]`. Without a name it lists the benches.
import { parseArgs } from "node:util"
import * as Effect from "effect/Effect"
import { environment } from "../scripts/development.ts"
import { type Bench, type Flag, UsageError } from "./bench.ts"

const rounds = (fallback: number): Flag => ({ type: "string", summary: `interleaved rounds (default ${fallback})` })

// A bench is loaded when it is run, so that one bench's parts never load into another's process.
const benches: Readonly<Record<string, Bench>> = {
  roundtrip: {
    summary: "math.sqrt, one caller, one worker, beside the floor",
    flags: {
      error: { type: "boolean", summary: "also time a call that raises ValueError" },
      rounds: rounds(150)
    },
    load: () => import("./roundtrip.ts")
  },
  throughput: {
    summary: "math.sqrt at concurrency 1, 16 and 256 with 1 and 2 workers, beside the floor",
    flags: { rounds: rounds(15) },
    load: () => import("./throughput.ts")
  },
  payload: {
    summary: "arrays of 1 KiB to 1 GiB, both directions, inside the message and through shared memory",
    flags: {
      "max-mib": { type: "string", summary: "largest payload in MiB (default 100)" },
      rounds: rounds(5)
    },
    load: () => import("./payload.ts")
  },
  tables: {
    summary: "pyarrow tables of up to 10 million rows, opened and summed, both directions",
    flags: {
      "max-rows": { type: "string", summary: "largest table in rows (default 10000000)" },
      rounds: rounds(7)
    },
    load: () => import("./tables.ts")
  },
  coldstart: {
    summary: "a worker's start, and recovery from its death, forked and spawned",
    flags: { rounds: rounds(50) },
    load: () => import("./coldstart.ts")
  },
  leases: {
    summary: "many leases under load while workers are killed: whether everything comes back (Linux)",
    flags: { leases: { type: "string", summary: "how many (default 10000)" } },
    load: () => import("./leases.ts")
  },
  memory: {
    summary: "resident and private memory of an idle worker, without and with numpy (Linux)",
    flags: {},
    load: () => import("./memory.ts")
  },
  commands: {
    summary: "snakepit --help, setup and call from the built bundle, beside a Node that does nothing",
    flags: { rounds: rounds(20) },
    load: () => import("./commands.ts")
  },
  peers: {
    summary: "python-shell, pythonia, node-calls-python, gRPC and Snakepit, side by side",
    flags: {
      arrays: { type: "boolean", summary: "also send 1 MiB of floats through the peers that speak JSON" },
      rounds: rounds(10)
    },
    load: () => import("./peers.ts")
  }
}

const main = async ([name, ...args]: ReadonlyArray<string>): Promise<void> => {
  if (name === undefined) return list()
  const bench = Object.hasOwn(benches, name) ? benches[name] : undefined
  if (bench === undefined) {
    throw new UsageError(`there is no bench ${JSON.stringify(name)}; there are ${Object.keys(benches).join(", ")}`)
  }
  const { json, ...flags } = parse(bench, args)
  process.env["SNAKEPIT_BENCH_PYTHON"] ??= (await Effect.runPromise(environment)).python
  const { run } = await bench.load()
  const result = await run(flags)
  if (json === true) console.log(JSON.stringify(result))
}

const parse = (bench: Bench, args: ReadonlyArray<string>) => {
  try {
    return parseArgs({ args: [...args], options: { json: { type: "boolean" }, ...bench.flags } }).values
  } catch (cause) {
    throw new UsageError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}

const list = (): void => {
  console.log("npm run bench -- NAME [--json] [flags]\n")
  for (const [name, { flags, summary }] of Object.entries(benches)) {
    console.log(`  ${name.padEnd(12)}${summary}`)
    for (const [flag, { summary: meaning, type }] of Object.entries(flags)) {
      console.log(`  ${"".padEnd(14)}--${flag}${type === "string" ? " N" : ""}: ${meaning}`)
    }
  }
}

// The exit is explicit because an embedded interpreter (one of the peers) keeps threads that would hold it open.
main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error instanceof UsageError ? error.message : error)
    process.exit(error instanceof UsageError ? 2 : 1)
  }
)
