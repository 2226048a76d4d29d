import * as TestWorker from "../src/TestWorker.ts"
import { targets, WorkerSpawnerSuite } from "../../../test/WorkerSpawnerSuite.ts"

WorkerSpawnerSuite("TestWorker keeps the contract of a spawner", TestWorker.layer(targets))
