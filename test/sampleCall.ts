/** A call for tests of what handles calls: of a function, with nothing special about it but the changes. */
import { Call } from "@snakepit/core"
import * as Context from "effect/Context"

/** A call of a target. */
export const sampleCall = (target: string, changes: Partial<Call.Call> = {}): Call.Call => ({
  target,
  callType: "function",
  ...Call.splitTarget(target),
  instance: undefined,
  args: [],
  kwargs: undefined,
  stream: false,
  result: "value",
  idempotent: false,
  session: undefined,
  deadline: undefined,
  trace: undefined,
  context: Context.empty(),
  makeRef: undefined,
  ...changes
})
