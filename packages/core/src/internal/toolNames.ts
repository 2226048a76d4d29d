/** The option `tools` of a pool and of a session: Python finds tools by their names, so there is one of each. */
import type { AnyTool } from "../Tool.ts"

/** What does not hold of a value of the option; undefined when all does. */
export const wrongTools = (tools: unknown): { readonly value: unknown; readonly expected: string } | undefined => {
  if (tools === undefined) return undefined
  if (!(Array.isArray(tools) && tools.every(isTool))) {
    return { value: tools, expected: "an array of tools, made with Tool.make" }
  }
  const names = tools.map(({ registration }) => registration.name)
  return new Set(names).size === names.length ? undefined : { value: names, expected: "tools of different names" }
}

const isTool = (tool: unknown): tool is AnyTool => typeof tool === "object" && tool !== null && "registration" in tool
