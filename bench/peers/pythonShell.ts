/** `python-shell`: one long-lived process, a line per message over its standard input and output. */
import { fileURLToPath } from "node:url"
import { interpreter } from "../interpreter.ts"
import { fromCall, type Subject } from "../subject.ts"
import { type PythonShell, pythonShell } from "./modules.ts"

/** Starts a script of this folder. `closed` is called when it ends, with the reason. */
export const startShell = (script: string, mode: "text" | "json", closed: (error: Error) => void): PythonShell => {
  const { PythonShell } = pythonShell()
  const shell = new PythonShell(fileURLToPath(new URL(script, import.meta.url)), { mode, pythonPath: interpreter() })
  shell.on("pythonError", (error) => closed(error instanceof Error ? error : new Error(String(error))))
  shell.on("close", () => closed(new Error(`${script} ended`)))
  return shell
}

export const endShell = (shell: PythonShell): Promise<void> =>
  new Promise((resolve, reject) => shell.end((error) => (error instanceof Error ? reject(error) : resolve())))

interface Pending {
  readonly resolve: (value: number) => void
  readonly reject: (error: Error) => void
}

/**
 * Text mode at its fastest: the script knows one function, a message is a bare number, and replies are matched to
 * calls by their order.
 */
export const openPythonShellLines = async (): Promise<Subject> => {
  const pending: Array<Pending> = []
  const shell = startShell("python_shell_lines.py", "text", (error) => {
    for (const { reject } of pending.splice(0)) reject(error)
  })
  shell.on("message", (text) => pending.shift()?.resolve(Number(text)))
  const call = (x: number) =>
    new Promise<number>((resolve, reject) => {
      pending.push({ resolve, reject })
      shell.send(String(x))
    })
  return fromCall("python-shell", call, () => endShell(shell))
}

/** JSON mode with the floor's messages: an id, a target and arguments, so that it could call any function. */
export const openPythonShellJson = async (): Promise<Subject> => {
  const pending = new Map<number, Pending>()
  const shell = startShell("python_shell_json.py", "json", (error) => {
    for (const { reject } of pending.values()) reject(error)
    pending.clear()
  })
  shell.on("message", (message) => {
    // The script answers nothing else, and a wrong value fails the check of the caller.
    const { id, value } = message as { readonly id: number; readonly value: number }
    pending.get(id)?.resolve(value)
    pending.delete(id)
  })
  let id = 0
  const call = (x: number) =>
    new Promise<number>((resolve, reject) => {
      pending.set(++id, { resolve, reject })
      shell.send({ id, target: "math.sqrt", args: [x] })
    })
  return fromCall("python-shell, json", call, () => endShell(shell))
}
