/**
 * An array of floats through the peers that speak JSON, in either direction, beside Snakepit with an ordinary argument and result.
 * Neither peer carries a `Float64Array`, so the time includes making an array of numbers of it and back.
 */
import { fileURLToPath } from "node:url"
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { Tensor } from "@snakepit/zero-copy"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import { interpreter } from "../interpreter.ts"
import { endShell, startShell } from "./pythonShell.ts"
import { startPythonia } from "./pythonia.ts"

export interface ArrayPeer extends AsyncDisposable {
  readonly name: string
  /** Sends the values as an argument; answers their sum, made in Python. */
  readonly send: (values: Float64Array) => Promise<number>
  /** Receives 0, 1/3, 2/3, ... as a result. */
  readonly receive: (length: number) => Promise<Float64Array>
}

export const openSnakepitArrays = async (): Promise<ArrayPeer> => {
  const pythonPath = [fileURLToPath(new URL("..", import.meta.url))]
  const runtime = ManagedRuntime.make(
    SnakepitNode.layer({ pools: { default: { size: 1, python: interpreter(), pythonPath } } })
  )
  const total = (values: Float64Array) => Snakepit.call("arrays.total", { args: [values], success: Schema.Number })
  const thirds = (length: number) =>
    Snakepit.call("arrays.thirds", { args: [length], success: Tensor.schema(Float64Array) })
  return {
    name: "snakepit",
    send: (values) => runtime.runPromise(total(values)),
    receive: async (length) => (await runtime.runPromise(thirds(length))).data,
    [Symbol.asyncDispose]: () => runtime.dispose()
  }
}

export const openPythonShellArrays = async (): Promise<ArrayPeer> => {
  let pending: { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void } | undefined
  const shell = startShell("json_arrays.py", "json", (error) => pending?.reject(error))
  shell.on("message", (message) => pending?.resolve(message))
  const ask = (message: unknown) =>
    new Promise<unknown>((resolve, reject) => {
      pending = { resolve, reject }
      shell.send(message)
    })
  return {
    name: "python-shell",
    send: async (values) => Number(await ask(Array.from(values))),
    receive: async (length) => fromNumbers(await ask(length)),
    [Symbol.asyncDispose]: () => endShell(shell)
  }
}

interface ArraysModule {
  readonly total: (values: ReadonlyArray<number>) => Promise<number>
  readonly thirds: (length: number) => Promise<{ readonly valueOf: () => Promise<unknown> }>
}

export const openPythoniaArrays = async (): Promise<ArrayPeer> => {
  const { python } = startPythonia()
  const arrays = await python<ArraysModule>(fileURLToPath(new URL("json_arrays.py", import.meta.url)))
  return {
    name: "pythonia",
    send: (values) => arrays.total(Array.from(values)),
    receive: async (length) => fromNumbers(await (await arrays.thirds(length)).valueOf()),
    [Symbol.asyncDispose]: async () => python.exit()
  }
}

const fromNumbers = (value: unknown): Float64Array => {
  if (!Array.isArray(value)) throw new Error(`expected an array of numbers, got ${typeof value}`)
  return Float64Array.from(value)
}
