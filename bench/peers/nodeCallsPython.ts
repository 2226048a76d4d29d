/**
 * `node-calls-python`: Python inside this process, without any channel. A crash in Python is a crash of the program,
 * and one interpreter lock serves all callers. It runs the Python that it was built against when it was installed.
 */
import { fromCall, type Subject } from "../subject.ts"
import { nodeCallsPython } from "./modules.ts"

/** The documented asynchronous call: Python runs on a thread of libuv's pool, the event loop goes on. */
export const openNodeCallsPython = async (): Promise<Subject> => {
  const { interpreter } = nodeCallsPython()
  const math = interpreter.importSync("math")
  // The package's types say unknown; math.sqrt answers a number, and the caller checks which.
  return fromCall(
    "node-calls-python",
    (x) => interpreter.call(math, "sqrt", x) as Promise<number>,
    () => {}
  )
}

/** The synchronous call: a function call into Python, during which the event loop stands still. */
export const openNodeCallsPythonSync = async (): Promise<Subject> => {
  const { interpreter } = nodeCallsPython()
  const math = interpreter.importSync("math")
  // As above.
  const call = async (x: number) => interpreter.callSync(math, "sqrt", x) as number
  return fromCall("node-calls-python, sync", call, () => {})
}
