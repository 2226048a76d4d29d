/** `snakepit doctor`: what is well, what is not, and what helps. */
import * as Effect from "effect/Effect"
import { examine, type Finding } from "../diagnosis.ts"
import { environmentOptions, type EnvironmentFlags } from "../environmentFlags.ts"
import { Failed } from "../failure.ts"
import { print } from "../output.ts"

/** Runs all checks. Fails, with exit code 1, when one has failed. */
export const run = (flags: EnvironmentFlags) =>
  Effect.gen(function* () {
    const findings = yield* examine(environmentOptions(flags))
    yield* print(findings, () => findings.map(describe).join("\n"))
    if (findings.some(({ status }) => status === "failed")) return yield* new Failed()
  })

const describe = ({ check, detail, remedy, status }: Finding): string => {
  const line = `${status.padEnd(7)}  ${check.padEnd(13)}  ${detail.replaceAll("\n", `\n${" ".repeat(25)}`)}`
  return remedy === null ? line : `${line}\n${" ".repeat(25)}-> ${remedy}`
}
