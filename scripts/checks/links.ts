/** Links between the documents lead to files, and to headings in them, that exist. */
import * as fs from "node:fs"
import * as path from "node:path"
import { files, read, root } from "../repository.ts"

/** Links that lead nowhere. */
export const links = (): ReadonlyArray<string> =>
  files()
    .filter((file) => file.endsWith(".md"))
    .flatMap((file) => {
      const text = withoutCode(read(file))
      return [...text.matchAll(/\]\(([^()\s]+)(?:\s+"[^"]*")?\)/g)].flatMap(([, target = ""]) => {
        const problem = /^[a-z]+:/.test(target) ? undefined : problemOf(file, target)
        return problem === undefined ? [] : [`${file} links to ${target}: ${problem}`]
      })
    })

const problemOf = (from: string, link: string): string | undefined => {
  const [file = "", anchor] = decodeURIComponent(link).split("#")
  const target = file === "" ? from : path.join(path.dirname(from), file)
  if (!fs.existsSync(path.join(root, target))) return "there is no such file"
  if (anchor === undefined || !target.endsWith(".md") || anchors(target).has(anchor)) return undefined
  return "there is no such heading"
}

/** Headings as GitHub names them: lower case, spaces to hyphens, other punctuation dropped, repetitions numbered. */
const anchors = (file: string): ReadonlySet<string> => {
  const seen = new Map<string, number>()
  const names = [...withoutFences(read(file)).matchAll(/^#{1,6} +(.*?) *#*$/gm)].map(([, heading = ""]) => {
    const name = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/\s/g, "-")
    const count = seen.get(name) ?? 0
    seen.set(name, count + 1)
    return count === 0 ? name : `${name}-${count}`
  })
  return new Set(names)
}

const withoutFences = (text: string) => text.replace(/^(`{3,})[^\n]*\n[\s\S]*?^\1 *$/gm, "")
const withoutCode = (text: string) => withoutFences(text).replace(/`[^`\n]*`/g, "")
