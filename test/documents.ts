/**
 * The code blocks of the documents, as programs.
 *
 * A `ts` or `python` block is a whole program of its own. Its comments `// => text` (`# => text`) are what it prints, line by
 * line. After the language, `no-run` and a reason keep a block from being run; its types are checked all the same. A first
 * line `// name.ts` (`# name.py`) names the file, so that later blocks of the same document can import it.
 */

/** One program. */
export interface Block {
  readonly language: "ts" | "python"
  /** Line of the document that its code starts on, counted from 1. */
  readonly line: number
  readonly file: string
  readonly code: string
  /** The lines that it says it prints. */
  readonly output: ReadonlyArray<string>
  /** Why it is not run. */
  readonly noRun: string | undefined
}

const FENCE = /^(`{3,})(ts|typescript|python|py)\b([^\n]*)\n([\s\S]*?)^\1[ \t]*$/gm
const FILE_NAME = /^(?:\/\/|#) ([\w-]+\.(?:ts|py))$/m

/** The programs of a document, in order. Throws when a `no-run` has no reason. */
export const blocks = (text: string): ReadonlyArray<Block> =>
  [...text.matchAll(FENCE)].map((match) => {
    const [, , tag = "", information = "", code = ""] = match
    const language = tag.startsWith("t") ? "ts" : "python"
    const line = text.slice(0, match.index).split("\n").length + 1
    const [firstLine = ""] = code.split("\n", 1)
    return {
      language,
      line,
      file: FILE_NAME.exec(firstLine)?.[1] ?? `line${line}.${language === "ts" ? "ts" : "py"}`,
      code,
      output: [...code.matchAll(/(?:\/\/|#) => ?(.*)$/gm)].map(([, printed = ""]) => printed.trimEnd()),
      noRun: reason(information.trim(), line)
    }
  })

const reason = (information: string, line: number): string | undefined => {
  if (!information.startsWith("no-run")) return undefined
  const given = information.slice("no-run".length).replace(/^[:\s]+/, "")
  if (given === "") throw new Error(`Line ${line - 1}: \`no-run\` needs a reason after it`)
  return given
}
