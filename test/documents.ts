/**
 * The code blocks of the documents, as programs.
 *
 * A `ts` or `python` block is a whole program of its own; an `sh` block is one when it says what it prints, and the commands
 * `npx snakepit` in it are those of this repository. Its comments `// => text` (`# => text`) are what it prints, line by
 * line. After the language, `no-run` and a reason keep a block from being run; its types are checked all the same. A first
 * line `// name.ts` (`# name.py`) names the file, so that later blocks of the same document can import it.
 */

/** What a program is written in. */
export type Language = "ts" | "python" | "sh"

/** One program. */
export interface Block {
  readonly language: Language
  /** Line of the document that its code starts on, counted from 1. */
  readonly line: number
  readonly file: string
  readonly code: string
  /** The lines that it says it prints. */
  readonly output: ReadonlyArray<string>
  /** Why it is not run. */
  readonly noRun: string | undefined
}

const FENCE = /^(`{3,})(ts|typescript|python|py|sh)\b([^\n]*)\n([\s\S]*?)^\1[ \t]*$/gm
const FILE_NAME = /^(?:\/\/|#) ([\w-]+\.(?:ts|py))$/m

/** The programs of a document, in order. Throws when a `no-run` has no reason. */
export const blocks = (text: string): ReadonlyArray<Block> =>
  [...text.matchAll(FENCE)]
    .map((match): Block => {
      const [, , tag = "", information = "", code = ""] = match
      const language = LANGUAGES[tag] ?? "sh"
      const line = text.slice(0, match.index).split("\n").length + 1
      const [firstLine = ""] = code.split("\n", 1)
      return {
        language,
        line,
        file: FILE_NAME.exec(firstLine)?.[1] ?? `line${line}.${EXTENSIONS[language]}`,
        code,
        output: [...code.matchAll(/(?:\/\/|#) => ?(.*)$/gm)].map(([, printed = ""]) => printed.trimEnd()),
        noRun: reason(information.trim(), line)
      }
    })
    // commands that are only to be read
    .filter(({ language, output }) => language !== "sh" || output.length > 0)

const LANGUAGES: Readonly<Record<string, Language>> = { ts: "ts", typescript: "ts", python: "python", py: "python" }

const EXTENSIONS = { ts: "ts", python: "py", sh: "sh" } as const

const reason = (information: string, line: number): string | undefined => {
  if (!information.startsWith("no-run")) return undefined
  const given = information.slice("no-run".length).replace(/^[:\s]+/, "")
  if (given === "") throw new Error(`Line ${line - 1}: \`no-run\` needs a reason after it`)
  return given
}
