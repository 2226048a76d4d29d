/** How commands log: for whoever sits at the terminal, and never into the result. */
import * as Cause from "effect/Cause"
import * as Logger from "effect/Logger"
import * as References from "effect/References"

/** What is logged while a command runs, on stderr: what Python prints as it is, everything else with its level. */
export const layer = Logger.layer([
  Logger.make(({ cause, fiber, logLevel, message }) => {
    const parts = Array.isArray(message) ? message.map(String) : [String(message)]
    if (cause.reasons.length > 0) parts.push(Cause.pretty(cause))
    const isPrinted = "stream" in fiber.getRef(References.CurrentLogAnnotations)
    process.stderr.write(`${isPrinted ? "" : `${logLevel.toLowerCase()}: `}${parts.join(" ")}\n`)
  })
])
