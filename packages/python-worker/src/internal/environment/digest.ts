/** Hashes that name what an environment is made of. */
import { createHash } from "node:crypto"

/** SHA-256, in hexadecimal. */
export const digest = (content: string | Buffer): string => createHash("sha256").update(content).digest("hex")

/** A short name for a list of parts. */
export const keyOf = (parts: ReadonlyArray<string>): string => digest(JSON.stringify(parts)).slice(0, 16)
