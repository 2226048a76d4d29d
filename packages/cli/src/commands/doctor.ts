/** `snakepit doctor`: what is well, what is not, and what helps. */
import { styleText } from "node:util"
import * as Effect from "effect/Effect"
import { examine, type Finding } from "../diagnosis.ts"
import type { WorkerFlags } from "../environmentFlags.ts"
import { workerPool } from "../environmentOptions.ts"
import { Failed } from "../failure.ts"
import { print } from "../output.ts"

/** Runs all checks. Fails, with exit code 1, when one has failed. */
export const run = (flags: WorkerFlags) =>
  Effect.gen(function* () {
    const findings = yield* examine(workerPool(flags))
    yield* print(findings, () => findings.map(describe).join("\n"))
    if (findings.some(({ status }) => status === "failed")) return yield* new Failed()
  })

const colors = { ok: "green", warning: "yellow", failed: "red" } as const

const describe = ({ check, detail, remedy, status }: Finding): string => {
  const mark = styleText(colors[status], status.padEnd(7), { stream: process.stdout })
  const line = `${mark}  ${check.padEnd(13)}  ${detail.replaceAll("\n", `\n${margin}`)}`
  return remedy === null ? line : `${line}\n${margin}-> ${remedy}`
}

const margin = " ".repeat(24)
