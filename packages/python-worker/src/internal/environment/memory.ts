/**
 * Which interpreter a program answered with, kept per user, so that a later start need not ask it again. Whoever recalls an answer
 * checks it: the interpreter may be gone, or another.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { cacheDirectory } from "../cacheDirectory.ts"
import { digest } from "./digest.ts"

/** The file of an answer; `parts` are the question and everything that the answer depends on. */
export const memoryOf = (parts: ReadonlyArray<unknown>): string =>
  path.join(cacheDirectory(), "interpreters", `answer-${digest(JSON.stringify(parts)).slice(0, 32)}`)

/** The answer, if there is one. */
export const recall = (file: string): string | undefined => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

/** A cache that cannot be written costs the question each time, and is no reason to fail. */
export const remember = (file: string, interpreter: string): void => {
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(`${file}-${process.pid}`, interpreter)
    fs.renameSync(`${file}-${process.pid}`, file)
  } catch {
    return
  }
}
