/**
 * Tells of an event: a log entry of level debug, and an event of the current span where there is one. Names are those of the
 * telemetry catalogue, after `snakepit.`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as LogLevel from "effect/LogLevel"

/** @internal */
export const emit = (
  name: "hardware.detected" | "hardware.device_selected" | "hardware.device_unavailable",
  attributes: Readonly<Record<string, unknown>>,
  level: LogLevel.Severity = "Debug"
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const time = yield* Clock.currentTimeNanos
    yield* Effect.currentSpan.pipe(
      Effect.map((span) => span.event(`snakepit.${name}`, time, { ...attributes })),
      Effect.ignore
    )
    yield* Effect.annotateLogs(Effect.logWithLevel(level)(`snakepit.${name}`), { ...attributes })
  })
