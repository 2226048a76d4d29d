import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { watchOomKills } from "../../src/internal/memoryEvents.ts"
import { folder } from "../sandbox.ts"

const write = (file: string, text: string) => {
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, text)
}

const check = (groups: string, counter: string) =>
  Effect.gen(function* () {
    const root = yield* folder
    write(path.join(root, "proc/7/cgroup"), groups)
    const events = (kills: number) =>
      write(path.join(root, counter), `low 0\nhigh 0\nmax 3\noom 1\noom_kill ${kills}\n`)
    events(2)
    const killed = watchOomKills(7, root, path.join(root, "proc"))
    assert.isFalse(killed())
    events(3)
    assert.isTrue(killed())
  })

describe("watchOomKills", () => {
  it.effect("sees a kill in the process's group of version 2", () =>
    check("0::/app/worker\n", "app/worker/memory.events")
  )

  it.effect("sees a kill in a container whose own group is mounted as the root", () =>
    check("0::/host/path/of/it\n", "memory.events")
  )

  it.effect("sees a kill in the process's group of version 1", () =>
    check("5:cpu:/\n4:memory:/app\n0::/\n", "memory/app/memory.oom_control")
  )

  it.effect("says no where there is nothing to read", () =>
    Effect.gen(function* () {
      const root = yield* folder
      assert.isFalse(watchOomKills(7, root, root)())
    })
  )
})
