/**
 * A TypeScript function that Python code calls by name: `snakepit_worker.tools["weather"](city="Oslo")`. Tools are registered
 * on a pool (`PoolInput.tools`) or on a session; their parameters are a schema, so Python sees a JSON schema of them
 * and TypeScript gets decoded values.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { ToolRegistration } from "./Worker.ts"

/** A tool of any parameters. */
export interface AnyTool {
  readonly registration: ToolRegistration
}

/**
 * Makes a tool. `run` gets the decoded parameters; its success goes back to Python as a value, its failure is raised
 * there as `snakepit_worker.CallbackError`.
 *
 * **Example** (A tool that Python can call)
 *
 * ```ts
 * const weather = Tool.make("weather", {
 *   description: "Current temperature of a city, in degrees Celsius",
 *   parameters: { city: Schema.String },
 *   run: ({ city }) => Effect.succeed(city === "Oslo" ? -3 : 20)
 * })
 * ```
 */
export const make = <const Fields extends Readonly<Record<string, Schema.Codec<unknown, unknown>>>>(
  name: string,
  options: {
    readonly description: string
    readonly parameters: Fields
    readonly run: (parameters: Schema.Struct<Fields>["Type"]) => Effect.Effect<unknown, unknown>
  }
): AnyTool => {
  const schema = Schema.Struct(options.parameters)
  const decode = Schema.decodeUnknownEffect(schema)
  return {
    registration: {
      name,
      description: options.description,
      parameters: Schema.toJsonSchemaDocument(schema).schema,
      run: (args, kwargs) => {
        if (args.length > 0) {
          return Effect.fail(new TypeError(`tool ${name} takes keyword arguments only, got ${args.length} positional`))
        }
        return Effect.flatMap(decode(kwargs), options.run)
      }
    }
  }
}
