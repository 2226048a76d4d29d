/** Real Python worker processes for Snakepit. `SnakepitNode.layer` is the way in. */
export * as Environment from "./Environment.ts"
export * as EnvironmentError from "./EnvironmentError.ts"
export * as Interpreter from "./Interpreter.ts"
export * as MessagePack from "./MessagePack.ts"
export * as PythonWorker from "./PythonWorker.ts"
export * as PythonWorkerConfig from "./PythonWorkerConfig.ts"
export * as RuntimeContract from "./RuntimeContract.ts"
export * as SnakepitNode from "./SnakepitNode.ts"
