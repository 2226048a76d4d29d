/** The flag that all commands have. A shared flag, since those alone are among the completions of every command. */
import * as Context from "effect/Context"
import * as Flag from "effect/cli/Flag"

/** Whether results are printed as JSON. */
export const Json = Context.Reference<boolean>("@snakepit/cli/Json", { defaultValue: () => false })

/** The flag that says so. */
export const json = Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON document"), Flag.withDefault(false))
