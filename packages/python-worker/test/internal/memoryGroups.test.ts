/**
 * Which files are written, in a folder that stands for the control group file system: whether a real one may be used depends on the
 * machine. What the kernel then does is the kernel's.
 */
import { assert, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import { describe } from "vitest"
import { tempDirectory } from "../../../../test/harness.ts"
import * as MemoryGroups from "../../src/internal/memoryGroups.ts"
import * as ProcessIdentity from "../../src/internal/processIdentity.ts"

/** A root with the host in `/user/host`, where `delegated` hands the memory controller down. */
const machine = (delegated: string | undefined) =>
  Effect.gen(function* () {
    const folder = yield* tempDirectory
    const root = path.join(folder, "cgroup")
    const proc = path.join(folder, "proc")
    fs.mkdirSync(path.join(root, "user/host"), { recursive: true })
    fs.mkdirSync(path.join(proc, "self"), { recursive: true })
    fs.writeFileSync(path.join(root, "cgroup.controllers"), "cpu memory")
    fs.writeFileSync(path.join(proc, "self/cgroup"), "1:cpu:/old\n0::/user/host\n")
    for (const group of ["", "user", "user/host"]) {
      fs.writeFileSync(path.join(root, group, "cgroup.subtree_control"), group === delegated ? "cpu memory" : "cpu")
    }
    return { root, proc }
  })

/** The files of a real group go with it, those of a folder do not. */
const remove = (group: string): void => fs.rmSync(group, { recursive: true })

describe("memory groups", () => {
  it.effect("are not to be had where the memory controller is not handed down, and the reason is told", () =>
    Effect.gen(function* () {
      const { proc, root } = yield* machine(undefined)
      const reasons: Array<string> = []
      assert.isUndefined(MemoryGroups.find((reason) => reasons.push(reason), root, proc))
      assert.include(reasons.join(), "memory controller")
    })
  )

  it.effect("are not to be had under version 1", () =>
    Effect.gen(function* () {
      const { proc, root } = yield* machine("user")
      fs.rmSync(path.join(root, "cgroup.controllers"))
      const reasons: Array<string> = []
      assert.isUndefined(MemoryGroups.find((reason) => reasons.push(reason), root, proc))
      assert.deepStrictEqual(reasons, ["this process is in no group of cgroup v2"])
    })
  )

  it.live("are made beside the host's own, with the limit and the process, and removed with the scope", () =>
    Effect.gen(function* () {
      const { proc, root } = yield* machine("user")
      const groups = MemoryGroups.find(assert.fail, root, proc, remove)
      assert(groups !== undefined)
      assert.strictEqual(groups.folder, path.join(root, "user"))
      const entered = Effect.gen(function* () {
        yield* MemoryGroups.enter(groups, "default-0", 4711, 1 << 26)
        const name = fs.readdirSync(groups.folder).find((entry) => entry.startsWith("snakepit-")) ?? ""
        assert.isTrue(name.endsWith("-default-0"))
        const file = (of: string) => fs.readFileSync(path.join(groups.folder, name, of), "utf8")
        assert.deepStrictEqual(
          [file("memory.max"), file("memory.oom.group"), file("cgroup.procs")],
          [String(1 << 26), "1", "4711"]
        )
      })
      yield* Effect.scoped(entered)
      assert.notInclude(fs.readdirSync(groups.folder).join(), "snakepit-")
    })
  )

  it.effect("of hosts that are dead are swept, others are left alone", () =>
    Effect.gen(function* () {
      const { proc, root } = yield* machine("user")
      const mine = ProcessIdentity.format(ProcessIdentity.self)
      const dead = ProcessIdentity.format({ ...ProcessIdentity.self, pid: 2 ** 22 + 1 })
      for (const name of [`snakepit-${mine}-a`, `snakepit-${dead}-b`, "snakepit-mine", "other"]) {
        fs.mkdirSync(path.join(root, "user", name))
      }
      MemoryGroups.find(assert.fail, root, proc, remove)
      const left = fs
        .readdirSync(path.join(root, "user"), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
      assert.sameMembers(
        left.map(({ name }) => name),
        ["host", "other", "snakepit-mine", `snakepit-${mine}-a`]
      )
    })
  )
})
