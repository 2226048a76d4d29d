/** `node scripts/python.ts ARGUMENTS...` runs the development interpreter with these arguments. */
import { spawnSync } from "node:child_process"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import { environment } from "./development.ts"

const main = Effect.map(environment, ({ python }) => {
  const { status } = spawnSync(python, process.argv.slice(2), { stdio: "inherit" })
  process.exitCode = status ?? 1
})

NodeRuntime.runMain(main)
