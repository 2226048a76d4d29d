/** The program `snakepit`, from its arguments to its exit code. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import manifest from "../package.json" with { type: "json" }
import * as CommandLogger from "./logger.ts"
import { Misused, presenter, sayingInterrupted } from "./misuse.ts"
import { snakepit } from "./snakepit.ts"

// flags are not known yet when they are what is wrong
const isJson = process.argv.includes("--json")

Command.run(snakepit, { version: manifest.version }).pipe(
  Effect.catchTag("ShowHelp", (error) => Effect.fail(error.errors.length > 0 ? new Misused() : error)),
  isJson ? sayingInterrupted : identity,
  Effect.provide([NodeServices.layer, CommandLogger.layer, CliOutput.layerPresenter(presenter(isJson))]),
  NodeRuntime.runMain
)
