#!/usr/bin/env node
/** The program `snakepit`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Command from "effect/cli/Command"
import manifest from "../package.json" with { type: "json" }
import { snakepit } from "./snakepit.ts"

Command.run(snakepit, { version: manifest.version }).pipe(Effect.provide(NodeServices.layer), NodeRuntime.runMain)
