/** The verdict over a run: whether each call ended as it may, and ran as often as it may. */
import { PythonError, SnakepitError } from "@snakepit/core"
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import type { Faults } from "./faults.ts"
import type { Kind } from "./workload.ts"

/** One call of a run. */
export interface Entry {
  readonly id: number
  readonly kind: Kind
  readonly exit: Exit.Exit<void, unknown>
}

/** How the call ended, in a word, for the report. */
export const outcomeOf = ({ exit }: Entry): string => {
  if (Exit.isSuccess(exit)) return "success"
  const error = failureOf(exit)
  if (error instanceof SnakepitError.WorkerCrash) return `WorkerCrash ${error.crash}`
  if (typeof error === "object" && error !== null && "_tag" in error) return String(error._tag)
  return Cause.hasInterruptsOnly(exit.cause) ? "interrupted" : "defect"
}

/** Why a call did not end as it may; undefined when it did. */
export const complaint = (entry: Entry, runs: number, faults: Faults): string | undefined =>
  endComplaint(entry, faults) ?? runsComplaint(entry, runs)

const endComplaint = ({ exit, kind }: Entry, faults: Faults): string | undefined => {
  const error = failureOf(exit)
  if (error instanceof SnakepitError.WorkerCrash) {
    if (kind.idempotent) return `is idempotent and failed all the same: ${error.message}`
    return faults.explain(error) ? undefined : `failed of a crash that nobody injected: ${error.message}`
  }
  // its worker ended before this call of it had begun
  if (
    error instanceof SnakepitError.SessionLost &&
    kind.name === "session" &&
    faults.counts.size > 0 &&
    /its worker ended|its worker was replaced/.test(error.reason)
  )
    return undefined
  switch (kind.intention._tag) {
    case "Succeeds":
      if (Exit.isSuccess(exit)) return undefined
      break
    case "TimesOut":
      if (error instanceof SnakepitError.CallTimeout) return undefined
      break
    case "IsInterrupted":
      if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return undefined
      break
    case "Raises":
      if (PythonError.isPythonError(error) && error._tag === kind.intention.error) return undefined
      break
    case "Crashes":
      break
  }
  return `was to end as ${kind.intention._tag}, and ended as ${Exit.isSuccess(exit) ? "a success" : Cause.pretty(exit.cause)}`
}

const runsComplaint = ({ exit, kind }: Entry, runs: number): string | undefined => {
  if (runs > 1 && !kind.idempotent) return `ran ${runs} times and is not idempotent`
  if (runs === 0 && Exit.isSuccess(exit)) return "succeeded without having run"
  const error = failureOf(exit)
  const said =
    typeof error === "object" && error !== null && "mayHaveExecuted" in error && error.mayHaveExecuted === false
  return said && runs > 0 ? `ran, and its error says that it has not: ${String(error)}` : undefined
}

const failureOf = (exit: Exit.Exit<void, unknown>): unknown =>
  Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
