import * as path from "node:path"
import { PythonWorker } from "@snakepit/python-worker"
import { WorkerSpawnerSuite } from "./WorkerSpawnerSuite.ts"

WorkerSpawnerSuite("PythonWorker keeps the contract of a spawner", PythonWorker.layer, {
  backend: { pythonPath: [path.join(import.meta.dirname, "workers")] }
})
