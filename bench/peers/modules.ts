/**
 * The peers' packages, loaded from this folder's own `node_modules`. They are installed on first use, so the
 * repository's type check cannot see them: what the benches use of each is described here.
 */
import { createRequire } from "node:module"

const load = createRequire(import.meta.url)

export interface PythonShell {
  readonly send: (message: unknown) => void
  readonly on: (event: "message" | "close" | "pythonError", listener: (value: unknown) => void) => void
  readonly end: (done: (error: Error | undefined) => void) => void
}

interface PythonShellModule {
  readonly PythonShell: new (
    script: string,
    options: { readonly mode: "text" | "json"; readonly pythonPath: string }
  ) => PythonShell
}

export const pythonShell = (): PythonShellModule => load("python-shell")

export interface PythoniaModule {
  /** Imports a module; its members are called by name and answer promises. */
  readonly python: {
    <Members>(moduleOrPath: string): Promise<Members>
    readonly exit: () => void
  }
}

/** Starts Python as it loads, with the interpreter named by the environment variable `PYTHON_BIN`. */
export const pythonia = (): PythoniaModule => load("pythonia")

interface NodeCallsPythonModule {
  readonly interpreter: {
    readonly importSync: (moduleOrPath: string) => object
    readonly call: (module: object, name: string, ...args: ReadonlyArray<unknown>) => Promise<unknown>
    readonly callSync: (module: object, name: string, ...args: ReadonlyArray<unknown>) => unknown
  }
}

/** Loads Python into this process. */
export const nodeCallsPython = (): NodeCallsPythonModule => load("node-calls-python")

export interface DoubleValue {
  readonly value: number
}

export interface MathClient {
  readonly Sqrt: (request: DoubleValue, done: (error: Error | null, reply: DoubleValue) => void) => void
  readonly close: () => void
}

interface GrpcModule {
  readonly credentials: { readonly createInsecure: () => unknown }
  readonly loadPackageDefinition: (definition: unknown) => {
    readonly snakepit: { readonly bench: { readonly Math: new (address: string, credentials: unknown) => MathClient } }
  }
}

export const grpc = (): GrpcModule => load("@grpc/grpc-js")

interface ProtoLoaderModule {
  readonly loadSync: (path: string, options: { readonly defaults: boolean }) => unknown
}

export const protoLoader = (): ProtoLoaderModule => load("@grpc/proto-loader")
