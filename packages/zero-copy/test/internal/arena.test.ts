/// <reference lib="es2024.arraybuffer" preserve="true" />
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Arena, Region } from "../../src/internal/arena.ts"
import { load } from "../../src/internal/mapping.ts"
import { Lease } from "../../src/Lease.ts"
import { LeaseClosed } from "../../src/ZeroCopyError.ts"

const MIB = 1024 * 1024

const memory = load()

/** An arena in a folder of its own. */
const withArena = (maxBytes: number, use: (arena: Arena, folder: string) => void): void => {
  if (typeof memory === "string") return assert.fail(memory)
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "snakepit-arena-"))
  const arena = new Arena({ prefix: "s", folders: [folder], maxBytes, memory })
  try {
    use(arena, folder)
  } finally {
    arena.close()
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

const regionOf = (arena: Arena, bytes: number): Region => {
  const region = arena.allocate(bytes)
  return region instanceof Region ? region : assert.fail(region.reason)
}

/** Waits for a region: how to leave, and the sizes of what it got. */
const waits = (arena: Arena, bytes: number) => {
  const got: Array<number> = []
  const leave = arena.wait(bytes, (answer) => {
    if (answer instanceof Region) got.push(answer.byteLength)
  })
  return { got, leave }
}

describe("Arena", () => {
  it("cuts regions that do not overlap, and uses them again", () =>
    withArena(64 * MIB, (arena) => {
      const first = regionOf(arena, 1000)
      const second = regionOf(arena, 1)
      assert.strictEqual(first.byteLength, 1024)
      assert.strictEqual(second.offset, 1024)
      first.release()
      assert.strictEqual(regionOf(arena, 500).offset, 0)
      assert.strictEqual(arena.heldBytes, 512 + 64)
    }))

  it("keeps a region until the last who holds it lets go", () =>
    withArena(64 * MIB, (arena) => {
      const region = regionOf(arena, 100)
      region.hold()
      region.release()
      assert.strictEqual(arena.heldBytes, 128)
      region.release()
      assert.strictEqual(arena.heldBytes, 0)
    }))

  it("gives the end of a region that is shrunk to those who wait, and the rest when nobody holds it", () =>
    withArena(16 * MIB, (arena) => {
      const region = regionOf(arena, 16 * MIB)
      region.hold()
      const { got } = waits(arena, 12 * MIB)
      region.shrink(1000)
      assert.strictEqual(region.byteLength, 1024)
      assert.deepStrictEqual(got, [12 * MIB])
      region.shrink(1024)
      region.shrink(2048)
      region.release()
      assert.strictEqual(arena.heldBytes, 12 * MIB + 1024)
      region.release()
      assert.strictEqual(arena.heldBytes, 12 * MIB)
    }))

  it("grows by segments, up to the budget, and says the figures past it", () =>
    withArena(40 * MIB, (arena, folder) => {
      regionOf(arena, 10 * MIB)
      regionOf(arena, 10 * MIB)
      assert.lengthOf(fs.readdirSync(folder), 2)
      const refusal = arena.allocate(20 * MIB)
      if (refusal instanceof Region) return assert.fail("there was room")
      assert.strictEqual(refusal.cause, "budget")
      assert.include(refusal.reason, "20 MiB of shared memory are wanted, 20 MiB are in use")
    }))

  it("gives empty segments back before it refuses", () =>
    withArena(40 * MIB, (arena, folder) => {
      const dropped: Array<number> = []
      arena.onDropped.add((segments) => dropped.push(...segments))
      regionOf(arena, MIB).release()
      regionOf(arena, 30 * MIB)
      assert.deepStrictEqual(dropped, [1])
      assert.deepStrictEqual(fs.readdirSync(folder), ["s2"])
    }))

  it("has room for all that is no larger than the budget, whatever the size of a page", () => {
    for (const bytes of [1, 63, 4095, 10_000_000, 10_000_001]) {
      withArena(bytes, (arena) => {
        assert.isTrue(arena.canHold(bytes))
        assert.isAtLeast(regionOf(arena, bytes).byteLength, bytes)
        assert.isFalse(arena.canHold(bytes + 64))
      })
    }
  })

  it("gives those who wait a region as soon as there is room for it", () =>
    withArena(20 * MIB, (arena) => {
      const first = regionOf(arena, 15 * MIB)
      const { got } = waits(arena, 10 * MIB)
      assert.deepStrictEqual(got, [])
      first.release()
      assert.deepStrictEqual(got, [10 * MIB])
    }))

  it("serves first come, first served, and nobody who comes later takes what somebody waits for", () =>
    withArena(16 * MIB, (arena) => {
      const first = regionOf(arena, 8 * MIB)
      const second = regionOf(arena, 8 * MIB)
      const large = waits(arena, 12 * MIB)
      const small = waits(arena, 2 * MIB)
      first.release()
      const refusal = arena.allocate(64)
      if (refusal instanceof Region) return assert.fail("somebody waits for it")
      assert.include(refusal.reason, "8 MiB are in use, others wait for it")
      assert.deepStrictEqual([large.got, small.got], [[], []])
      second.release()
      assert.deepStrictEqual([large.got, small.got], [[12 * MIB], [2 * MIB]])
      assert.strictEqual(regionOf(arena, 2 * MIB).byteLength, 2 * MIB)
    }))

  it("serves those behind when the first waits no longer", () =>
    withArena(16 * MIB, (arena) => {
      regionOf(arena, 8 * MIB)
      const large = waits(arena, 12 * MIB)
      const small = waits(arena, 4 * MIB)
      large.leave()
      assert.deepStrictEqual([large.got, small.got], [[], [4 * MIB]])
      large.leave()
      small.leave()
      assert.strictEqual(regionOf(arena, 4 * MIB).byteLength, 4 * MIB)
    }))

  it("serves each once, also when those who are served give back, leave, or wait again at once", () =>
    withArena(16 * MIB, (arena) => {
      const first = regionOf(arena, 16 * MIB)
      const served: Array<number> = []
      const queue = (number: number, then?: () => void) =>
        arena.wait(16 * MIB, (answer) => {
          served.push(number)
          if (answer instanceof Region) answer.release()
          then?.()
        })
      queue(1)
      queue(2, () => {
        leave()
        queue(5)
      })
      const leave = queue(3)
      queue(4)
      first.release()
      assert.deepStrictEqual(served, [1, 2, 4, 5])
      assert.strictEqual(arena.heldBytes, 0)
    }))

  it("keeps nothing for one that leaves while it is served", () =>
    withArena(16 * MIB, (arena) => {
      const first = regionOf(arena, 16 * MIB)
      const leaving = waits(arena, 16 * MIB)
      const next = waits(arena, 16 * MIB)
      const leave = () => leaving.leave()
      arena.onTaken.add(leave)
      first.release()
      assert.deepStrictEqual([leaving.got, next.got], [[], [16 * MIB]])
      assert.strictEqual(arena.heldBytes, 16 * MIB)
    }))

  it("says how much segments in use take, where that is why there is no room", () =>
    withArena(20 * MIB, (arena) => {
      regionOf(arena, 64)
      const refusal = arena.allocate(18 * MIB)
      assert.include(refusal instanceof Region ? "" : refusal.reason, "0 MiB are in use in segments of 16 MiB")
    }))

  it("tells those who wait when it closes, all of them", () =>
    withArena(16 * MIB, (arena) => {
      regionOf(arena, 16 * MIB)
      const reasons: Array<string> = []
      for (const bytes of [16 * MIB, 64]) {
        arena.wait(bytes, (answer) => reasons.push(answer instanceof Region ? "a region" : answer.reason))
      }
      arena.close()
      assert.deepStrictEqual(reasons, ["the pool is closed", "the pool is closed"])
    }))

  it("asks workers once more when something may have become unused since they were asked", async () => {
    if (typeof memory === "string") return assert.fail(memory)
    const arena = new Arena({ prefix: "s", folders: [], maxBytes: MIB, memory })
    const answers: Array<() => void> = []
    arena.onPressure.add(() => new Promise((resolve) => answers.push(resolve)))
    arena.onPressure.add(() => Promise.reject(new Error("it has ended")))
    const first = arena.relieve()
    assert.strictEqual(arena.relieve(), first)
    await Promise.resolve()
    const second = arena.relieve()
    assert.notStrictEqual(second, first)
    assert.lengthOf(answers, 1)
    answers[0]?.()
    await first
    assert.lengthOf(answers, 2)
    answers[1]?.()
    await second
  })

  it("says why the system gives no memory", () => {
    if (typeof memory === "string") return assert.fail(memory)
    const arena = new Arena({ prefix: "s", folders: ["/nowhere/at/all"], maxBytes: MIB, memory })
    const refusal = arena.allocate(10)
    if (refusal instanceof Region) return assert.fail("there was room")
    assert.strictEqual(refusal.cause, "system")
    assert.include(refusal.reason, "/nowhere/at/all")
  })

  it("tries the next folder where the first has no room", () => {
    if (typeof memory === "string") return assert.fail(memory)
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "snakepit-arena-"))
    const full = { ...memory, reserve: (fd: number, bytes: number) => (calls++ === 0 ? 28 : memory.reserve(fd, bytes)) }
    let calls = 0
    const arena = new Arena({ prefix: "s", folders: [os.tmpdir(), folder], maxBytes: MIB, memory: full })
    regionOf(arena, 10)
    assert.deepStrictEqual(fs.readdirSync(folder), ["s1"])
    arena.close()
    fs.rmSync(folder, { recursive: true })
  })

  it("removes the names at once when it closes, and unmaps what is still looked at with its last lease", () =>
    withArena(20 * MIB, (arena, folder) => {
      const region = regionOf(arena, 100)
      const lease = new Lease(region, region.offset, 100, false)
      lease.bytes.fill(7)
      arena.close()
      assert.deepStrictEqual(fs.readdirSync(folder), [])
      assert.strictEqual(lease.bytes[99], 7)
      lease.close()
      assert.strictEqual(arena.sharedBytes, 0)
    }))
})

describe("Lease", () => {
  it("detaches what was made of it when it ends, and says so to whoever asks for more", () =>
    withArena(20 * MIB, (arena) => {
      const region = regionOf(arena, 800)
      const lease = new Lease(region, region.offset, 800, false)
      const floats = new Float64Array(lease.bytes.buffer)
      floats[3] = 5
      lease.close()
      assert.strictEqual(floats.length, 0)
      assert.isUndefined(floats[3])
      assert.throws(() => floats.fill(1), TypeError)
      assert.throws(() => lease.bytes, LeaseClosed)
      assert.throws(() => lease.close(), "closed already")
      lease.end()
      assert.strictEqual(arena.heldBytes, 0)
    }))

  it("never gives memory back that somebody has taken away with the buffer", () =>
    withArena(20 * MIB, (arena) => {
      const region = regionOf(arena, 800)
      const lease = new Lease(region, region.offset, 800, false)
      const { buffer } = lease.bytes
      const taken = new Uint8Array(buffer.transfer())
      lease.close()
      taken[0] = 1
      assert.notStrictEqual(arena.heldBytes, 0)
      assert.notStrictEqual(regionOf(arena, 800).offset, region.offset)
    }))
})
