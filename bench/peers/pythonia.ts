/** `pythonia`: a Python process whose modules and objects are proxies here, JSON over Node's IPC channel. */
import { interpreter } from "../interpreter.ts"
import { fromCall, type Subject } from "../subject.ts"
import { type PythoniaModule, pythonia } from "./modules.ts"

export const openPythonia = async (): Promise<Subject> => {
  const { python } = startPythonia()
  const math = await python<{ readonly sqrt: (x: number) => Promise<number> }>("math")
  return fromCall(
    "pythonia",
    (x) => math.sqrt(x),
    () => python.exit()
  )
}

/** Loading the package starts its process; it reads the interpreter from the environment. */
export const startPythonia = (): PythoniaModule => {
  process.env["PYTHON_BIN"] = interpreter()
  return pythonia()
}
