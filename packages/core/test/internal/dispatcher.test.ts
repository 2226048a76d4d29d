import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import type { PoolOptions } from "../../src/PoolConfig.ts"
import { PoolClosed, WorkerStartError } from "../../src/SnakepitError.ts"
import * as PythonError from "../../src/PythonError.ts"
import { Harness, type ScriptedWorker } from "./scriptedWorker.ts"

beforeEach(() => {
  vi.useFakeTimers()
  vi.advanceTimersByTime(1) // a time of 0 stands for none
})

afterEach(() => {
  vi.useRealTimers()
})

describe("placement", () => {
  it("a call goes to a worker with a free slot at once, the least loaded first", () => {
    const harness = new Harness()
    const [{ worker: first }, { worker: second }] = [harness.add(2), harness.add(2)]
    for (const target of ["a", "b", "c"]) harness.submit(target)
    assert.deepStrictEqual(first.targets, ["a", "c"])
    assert.deepStrictEqual(second.targets, ["b"])
    assert.strictEqual(harness.dispatcher.queued, 0)
  })

  it("a call waits when no worker has a free slot and none has proved fast", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    for (const target of ["a", "b", "c"]) harness.submit(target)
    assert.deepStrictEqual(worker.targets, ["a"])
    assert.strictEqual(harness.dispatcher.queued, 2)
  })

  it("calls that wait are taken in the order they came", () => {
    const harness = new Harness()
    const { member, worker } = harness.add()
    const order: Array<string> = []
    for (const [target, pinned] of [["a"], ["b"], ["c", member], ["d"]] as const) {
      harness.submit(target, pinned === undefined ? {} : { pinned })
      vi.advanceTimersByTime(1)
    }
    for (let i = 0; i < 4; i++) {
      order.push(...worker.targets.slice(0, 1))
      vi.advanceTimersByTime(20)
      worker.reply()
    }
    assert.deepStrictEqual(order, ["a", "b", "c", "d"])
  })

  it("a call for a device goes to a worker on it, on any of its kind, or on a part of it", () => {
    const harness = new Harness()
    const [none, cpu, gpu, slice] = [
      harness.add(9),
      harness.add(9, "cpu"),
      harness.add(9, "cuda:0"),
      harness.add(9, "cuda:1:0")
    ]
    for (const device of ["cpu", "cuda:0", "cuda:1", "cuda:1:0"]) harness.submit(device, { device })
    harness.submit("cuda", { device: "cuda" })
    assert.deepStrictEqual(none.worker.targets, [])
    assert.deepStrictEqual(cpu.worker.targets, ["cpu"])
    assert.deepStrictEqual(gpu.worker.targets, ["cuda:0", "cuda"])
    assert.deepStrictEqual(slice.worker.targets, ["cuda:1", "cuda:1:0"])
  })

  it("a call that waits for a device holds up no other, and is taken in its turn", () => {
    const harness = new Harness()
    const [gpu, cpu] = [harness.add(1, "cuda:0"), harness.add(1, "cpu")]
    for (const [target, device] of [
      ["a", "cuda:0"],
      ["b", "cuda"],
      ["c", undefined],
      ["d", undefined],
      ["e", "cuda:0"]
    ] as const) {
      harness.submit(target, device === undefined ? {} : { device })
      vi.advanceTimersByTime(1)
    }
    assert.deepStrictEqual(cpu.worker.targets, ["c"])
    assert.strictEqual(harness.dispatcher.queued, 3)
    const order: Array<string> = []
    while (gpu.worker.targets.length > 0) {
      order.push(...gpu.worker.targets)
      vi.advanceTimersByTime(20)
      gpu.worker.reply()
    }
    assert.deepStrictEqual(order, ["a", "b", "d", "e"])
    assert.strictEqual(harness.dispatcher.queued, 0)
  })

  it("a call for a device that no worker was ever on fails, one for a device whose worker is replaced waits", () => {
    const harness = new Harness()
    const { member } = harness.add(1, "cuda:0")
    assert.strictEqual(harness.submit("a", { device: "cuda:1" }).outcome, "DeviceNotInPool")
    assert.strictEqual(harness.submit("a", { device: "cud" }).outcome, "DeviceNotInPool")
    harness.dispatcher.remove(member)
    const waiting = harness.submit("b", { device: "cuda:0" })
    assert.strictEqual(harness.dispatcher.queued, 1)
    assert.deepStrictEqual(harness.add(1, "cpu").worker.targets, [])
    assert.deepStrictEqual(harness.add(1, "cuda:0").worker.targets, ["b"])
    assert.isUndefined(waiting.outcome)
  })

  it("a call that waits for a device runs out of time as others do, can be left, and fails when the pool closes", () => {
    const harness = new Harness({ queueTimeout: 50 })
    harness.add(1, "cuda:0")
    harness.submit("long", { device: "cuda:0" })
    const late = harness.submit("late", { device: "cuda:0" })
    harness.abandon(harness.submit("left", { device: "cuda:0" }))
    assert.strictEqual(harness.dispatcher.queued, 1)
    vi.advanceTimersByTime(200)
    assert.strictEqual(late.outcome, "QueueTimeout")
    const last = harness.submit("last", { device: "cuda:0" })
    harness.dispatcher.close(() => {})
    assert.strictEqual(last.outcome, "PoolClosed")
    assert.strictEqual(harness.dispatcher.queued, 0)
  })

  it("a new worker takes what waits", () => {
    const harness = new Harness()
    for (const target of ["a", "b"]) harness.submit(target)
    const { worker } = harness.add()
    assert.deepStrictEqual(worker.targets, ["a"])
    assert.strictEqual(harness.dispatcher.queued, 1)
  })

  it("calls are sent ahead to a worker that has become fast, as far as it gets in the horizon", () => {
    const harness = new Harness()
    const { member, worker } = harness.add()
    for (let i = 0; i < 30; i++) {
      harness.submit("quick")
      vi.advanceTimersByTime(0.5)
      worker.reply()
    }
    assert.isBelow(member.pace, 1)
    for (let i = 0; i < 10; i++) harness.submit(`a${i}`)
    assert.isAbove(worker.calls.size, 1)
    assert.isAtMost((worker.calls.size - 1) * member.pace, 2)
    assert.strictEqual(worker.calls.size + harness.dispatcher.queued, 10)
  })

  it("at most 256 calls are sent ahead, however fast they are", () => {
    const harness = new Harness()
    const { member, worker } = harness.add()
    member.pace = 0
    for (let i = 0; i < 400; i++) harness.submit("quick")
    assert.strictEqual(worker.calls.size, 1 + 256)
  })

  it("a worker that turns slow is not trusted ahead any more, and trusted again when it is fast", () => {
    const harness = new Harness()
    const { member, worker } = harness.addFast()
    for (let i = 0; i < 2; i++) {
      harness.submit("slow")
      vi.advanceTimersByTime(60_000)
      worker.reply()
    }
    harness.submit("running")
    assert.isFalse(member.mayRunAhead(performance.now()))
    worker.reply()
    for (let i = 0; i < 10; i++) {
      harness.submit("quick")
      worker.reply()
    }
    assert.isTrue(member.mayRunAhead(performance.now()))
  })

  it("a free worker comes before running ahead", () => {
    const harness = new Harness()
    const [{ worker: fast }, { worker: fresh }] = [harness.addFast(), harness.add()]
    harness.submit("a")
    harness.submit("b")
    assert.deepStrictEqual([fast.targets, fresh.targets], [["a"], ["b"]])
  })

  it("a call that cannot be encoded fails alone and takes no slot", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    worker.refuses = "broken"
    const broken = harness.submit("broken")
    assert.strictEqual(broken.outcome, "EncodeError")
    harness.submit("a")
    const [waiting, next] = [harness.submit("broken"), harness.submit("b")]
    worker.reply()
    assert.strictEqual(waiting.outcome, "EncodeError")
    assert.deepStrictEqual(worker.targets, ["b"])
    worker.reply()
    assert.strictEqual(next.outcome, "Success")
    assert.deepInclude(harness.dispatcher.counters, { requests: 4, errors: 2 })
  })
})

describe("rescue", () => {
  /** Two fast workers; the first has `long` and calls behind it. */
  const behindLong = (options: Partial<PoolOptions> = {}) => {
    const harness = new Harness(options)
    const [first, second] = [harness.addFast(), harness.addFast()]
    harness.submit("long")
    harness.submit("short")
    const behind = harness.submit("behind")
    const other = harness.submit("other")
    assert.deepStrictEqual(first.worker.targets, ["long", "behind"])
    assert.deepStrictEqual(second.worker.targets, ["short", "other"])
    return { harness, first, second, behind, other }
  }

  it("calls behind a long one are taken back and moved when another worker is free", () => {
    const { behind, first, second } = behindLong()
    second.worker.reply()
    second.worker.reply()
    vi.advanceTimersByTime(5)
    assert.deepStrictEqual(first.worker.recalled, [2])
    first.worker.dropRecalled()
    assert.deepStrictEqual(first.worker.targets, ["long"])
    assert.deepStrictEqual(second.worker.targets, ["behind"])
    second.worker.reply()
    assert.strictEqual(behind.outcome, "Success")
  })

  it("calls behind a long one are taken back to wait when no worker is free, and time out as others do", () => {
    const { behind, first, harness, other, second } = behindLong({ queueTimeout: 1000 })
    vi.advanceTimersByTime(5)
    assert.deepStrictEqual([...first.worker.recalled, ...second.worker.recalled], [2, 2])
    first.worker.dropRecalled()
    second.worker.dropRecalled()
    assert.strictEqual(harness.dispatcher.queued, 2)
    vi.advanceTimersByTime(1100)
    assert.deepStrictEqual([behind.outcome, other.outcome], ["QueueTimeout", "QueueTimeout"])
  })

  it("nothing is sent ahead to a worker that has come to a stop", () => {
    const { first, harness, second } = behindLong()
    vi.advanceTimersByTime(5)
    first.worker.dropRecalled()
    second.worker.dropRecalled()
    harness.submit("next")
    assert.deepStrictEqual([first.worker.targets, second.worker.targets], [["long"], ["short"]])
    assert.strictEqual(harness.dispatcher.queued, 3)
  })

  it("a pool without a waiting room sends nothing ahead", () => {
    const harness = new Harness({ maxQueue: 0 })
    harness.addFast()
    harness.submit("running")
    assert.strictEqual(harness.submit("next").outcome, "PoolSaturated")
  })

  it("each call is asked back once", () => {
    const { first, second } = behindLong()
    second.worker.reply()
    second.worker.reply()
    vi.advanceTimersByTime(50)
    assert.deepStrictEqual(first.worker.recalled, [2])
  })

  it("a new worker rescues what stands behind long calls", () => {
    const { first, harness, second } = behindLong()
    vi.advanceTimersByTime(5)
    const third = harness.add()
    assert.deepStrictEqual(first.worker.recalled, [2])
    first.worker.dropRecalled()
    assert.deepStrictEqual(third.worker.targets, ["behind"])
    assert.deepStrictEqual(second.worker.targets, ["short", "other"])
  })

  it("calls of a session stay with their worker", () => {
    const harness = new Harness()
    const [first, second] = [harness.addFast(), harness.addFast()]
    harness.submit("long", { pinned: first.member })
    harness.submit("behind", { pinned: first.member })
    vi.advanceTimersByTime(50)
    assert.deepStrictEqual(first.worker.recalled, [2])
    first.worker.dropRecalled()
    assert.strictEqual(harness.dispatcher.queued, 1)
    first.worker.reply()
    assert.deepStrictEqual(first.worker.targets, ["behind"])
    assert.deepStrictEqual(second.worker.targets, [])
  })

  it("a call that is recalled too late goes on where it is", () => {
    const { behind, first, second } = behindLong()
    second.worker.reply()
    second.worker.reply()
    vi.advanceTimersByTime(5)
    first.worker.reply()
    first.worker.dropRecalled()
    assert.deepStrictEqual(first.worker.targets, ["behind"])
    first.worker.reply()
    assert.strictEqual(behind.outcome, "Success")
  })

  it("a pool that closes is idle once the last call has come back unbegun", () => {
    const { behind, first, harness, second } = behindLong()
    vi.advanceTimersByTime(5)
    let idle = false
    harness.dispatcher.close(() => (idle = true))
    for (const { worker } of [first, second]) worker.reply()
    assert.isFalse(idle)
    for (const { worker } of [first, second]) worker.drop(2)
    assert.strictEqual(behind.outcome, "PoolClosed")
    assert.isTrue(idle)
  })

  it("stops looking when nothing is ahead", () => {
    const { first, second } = behindLong()
    for (const { worker } of [first, second]) while (worker.calls.size > 0) worker.reply()
    vi.advanceTimersByTime(50)
    assert.strictEqual(vi.getTimerCount(), 0)
  })
})

describe("the waiting room", () => {
  it("refuses a call at once when it is full", () => {
    const harness = new Harness({ maxQueue: 1 })
    harness.add()
    harness.submit("a")
    harness.submit("b")
    const refused = harness.submit("c")
    assert.strictEqual(refused.outcome, "PoolSaturated")
    assert.include(refused.error?.message, "1 calls wait")
    assert.deepInclude(harness.dispatcher.counters, { requests: 3, errors: 1, rejected: 1 })
  })

  it("counts calls of sessions too", () => {
    const harness = new Harness({ maxQueue: 1 })
    const { member } = harness.add()
    harness.submit("a")
    harness.submit("b", { pinned: member })
    assert.strictEqual(harness.submit("c").outcome, "PoolSaturated")
  })

  it("has room for a call that a dead worker gave back, whatever waits", () => {
    const harness = new Harness({ maxQueue: 1 })
    const { member, worker } = harness.addFast()
    harness.submit("a")
    const moved = harness.submit("b")
    member.pace = 10
    harness.submit("c")
    assert.strictEqual(harness.dispatcher.queued, 1)
    worker.die()
    harness.dispatcher.remove(member)
    assert.isUndefined(moved.outcome)
    assert.strictEqual(harness.dispatcher.queued, 2)
  })

  it("fails a call that no worker took within the queue timeout", () => {
    const harness = new Harness({ queueTimeout: 1000 })
    const { member } = harness.add()
    harness.submit("a")
    const [early, pinned] = [harness.submit("b"), harness.submit("c", { pinned: member })]
    vi.advanceTimersByTime(900)
    const late = harness.submit("d")
    vi.advanceTimersByTime(200)
    assert.strictEqual(early.outcome, "QueueTimeout")
    assert.strictEqual(pinned.outcome, "QueueTimeout")
    assert.isUndefined(late.outcome)
    vi.advanceTimersByTime(1000)
    assert.strictEqual(late.outcome, "QueueTimeout")
    assert.deepInclude(harness.dispatcher.counters, { timeouts: 3, errors: 3 })
    assert.strictEqual(vi.getTimerCount(), 0)
  })

  it("fails at once while no worker can be started", () => {
    const harness = new Harness()
    harness.dispatcher.outage = new WorkerStartError({ pool: "test", worker: "w1", reason: "no Python", stderr: [] })
    assert.strictEqual(harness.submit("a").outcome, "WorkerStartError")
    harness.add()
    assert.isUndefined(harness.submit("b").outcome)
  })
})

describe("deadlines and callers that leave", () => {
  it("a call whose deadline passes while it waits has not run", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    harness.submit("a")
    const ticket = harness.submit("b", { timeout: 100 })
    vi.advanceTimersByTime(106)
    assert.deepInclude(ticket.error, { _tag: "CallTimeout", mayHaveExecuted: false, timeoutMillis: 100 })
    assert.strictEqual(harness.dispatcher.queued, 0)
    worker.reply()
    assert.deepStrictEqual(worker.targets, [])
    assert.deepInclude(harness.dispatcher.counters, { timeouts: 1, errors: 1 })
  })

  it("a call whose deadline passes while it runs is stopped, and its worker stays busy until it has", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    const ticket = harness.submit("a", { timeout: 100 })
    const next = harness.submit("b")
    vi.advanceTimersByTime(106)
    assert.deepInclude(ticket.error, { _tag: "CallTimeout", mayHaveExecuted: true })
    assert.deepStrictEqual(worker.interrupted, [1])
    assert.deepStrictEqual(worker.targets, ["a"])
    worker.stopInterrupted()
    assert.deepStrictEqual(worker.targets, ["b"])
    assert.lengthOf(ticket.outcomes, 1)
    worker.reply()
    assert.strictEqual(next.outcome, "Success")
    assert.deepInclude(harness.dispatcher.counters, { timeouts: 1, errors: 1 })
  })

  it("a reply before the deadline disarms it", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    const ticket = harness.submit("a", { timeout: 100 })
    worker.reply()
    vi.advanceTimersByTime(200)
    assert.strictEqual(ticket.outcome, "Success")
    assert.lengthOf(ticket.outcomes, 1)
    assert.strictEqual(vi.getTimerCount(), 0)
  })

  it("a caller that leaves a call that waits takes it with it", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    harness.submit("a")
    const ticket = harness.submit("b")
    harness.abandon(ticket)
    harness.abandon(ticket)
    worker.reply()
    assert.deepStrictEqual(worker.targets, [])
    assert.lengthOf(ticket.outcomes, 0)
  })

  it("a caller that leaves a running call stops it, and hears nothing more", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    const ticket = harness.submit("a", { timeout: 100 })
    harness.abandon(ticket)
    assert.deepStrictEqual(worker.interrupted, [1])
    worker.stopInterrupted()
    vi.advanceTimersByTime(200)
    assert.lengthOf(ticket.outcomes, 0)
    assert.deepInclude(harness.dispatcher.counters, { errors: 0, timeouts: 0 })
    harness.submit("b")
    assert.deepStrictEqual(worker.targets, ["b"])
  })

  it("a call that was left while it was being moved is not placed again", () => {
    const harness = new Harness()
    const { worker } = harness.addFast()
    harness.submit("a")
    const ticket = harness.submit("b")
    harness.abandon(ticket)
    worker.drop(2)
    assert.deepStrictEqual(worker.targets, ["a"])
    assert.strictEqual(harness.dispatcher.queued, 0)
  })

  it("abandoning a settled call does nothing", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    const ticket = harness.submit("a")
    worker.reply()
    harness.abandon(ticket)
    assert.deepStrictEqual(worker.interrupted, [])
  })
})

describe("calls on the event loop", () => {
  it("a parked call frees its slot, for what waits and for what comes", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    harness.submit("a")
    harness.submit("b")
    worker.park()
    assert.deepStrictEqual(worker.targets, ["a", "b"])
    worker.park()
    harness.submit("c")
    assert.deepStrictEqual(worker.targets, ["a", "b", "c"])
  })

  it("a worker has at most asyncConcurrency of them", () => {
    const harness = new Harness({ asyncConcurrency: 2 })
    const { worker } = harness.add()
    for (const target of ["a", "b", "c"]) {
      harness.submit(target)
      worker.park()
    }
    assert.deepStrictEqual(worker.targets, ["a", "b"])
    worker.reply(1)
    assert.deepStrictEqual(worker.targets, ["b", "c"])
  })

  it("a parked call can be stopped, and a parked reply does not make its worker look slow", () => {
    const harness = new Harness()
    const { member, worker } = harness.addFast()
    const ticket = harness.submit("a")
    worker.park()
    const before = member.pace
    vi.advanceTimersByTime(1000)
    harness.abandon(ticket)
    worker.stopInterrupted()
    assert.strictEqual(member.pace, before)
    assert.strictEqual(member.load, 0)
    assert.strictEqual(member.parked, 0)
  })
})

describe("calls of sessions", () => {
  it("wait for their worker, though another is free", () => {
    const harness = new Harness()
    const [first, second] = [harness.add(), harness.add()]
    harness.submit("a", { pinned: first.member })
    harness.submit("b", { pinned: first.member })
    assert.deepStrictEqual(second.worker.targets, [])
    first.worker.reply()
    assert.deepStrictEqual(first.worker.targets, ["b"])
  })

  it("fail at once under strictFailFast", () => {
    const harness = new Harness({ affinity: "strictFailFast" })
    const { member } = harness.add()
    harness.submit("a", { pinned: member, session: "s" })
    const busy = harness.submit("b", { pinned: member, session: "s" })
    assert.deepInclude(busy.error, { _tag: "SessionBusy", session: "s", worker: "w1" })
  })

  it("are lost with their worker: those that wait, and those that come", () => {
    const harness = new Harness()
    const { member, worker } = harness.add()
    const running = harness.submit("a", { pinned: member, session: "s" })
    const waiting = harness.submit("b", { pinned: member, session: "s" })
    worker.die()
    harness.dispatcher.remove(member)
    assert.strictEqual(running.outcome, "WorkerCrash")
    assert.deepInclude(waiting.error, { _tag: "SessionLost", session: "s", mayHaveExecuted: false })
    assert.strictEqual(harness.submit("c", { pinned: member }).outcome, "SessionLost")
    assert.strictEqual(harness.dispatcher.queued, 0)
  })
})

describe("workers that end", () => {
  it("a call that had begun fails, those sent ahead are moved", () => {
    const harness = new Harness()
    const { member, worker } = harness.addFast()
    const [began, ahead] = [harness.submit("a"), harness.submit("b")]
    worker.die()
    harness.dispatcher.remove(member)
    assert.strictEqual(began.outcome, "WorkerCrash")
    assert.isUndefined(ahead.outcome)
    const next = harness.add()
    assert.deepStrictEqual(next.worker.targets, ["b"])
    next.worker.reply()
    assert.strictEqual(ahead.outcome, "Success")
  })

  it("a worker that takes no more calls gets none", () => {
    const harness = new Harness()
    const [first, second] = [harness.add(), harness.add()]
    first.worker.isOpen = false
    harness.submit("a")
    harness.submit("b")
    assert.deepStrictEqual(first.worker.targets, [])
    assert.deepStrictEqual(second.worker.targets, ["a"])
  })

  it("failures are counted, by pool and by worker", () => {
    const harness = new Harness()
    const { member, worker } = harness.add()
    const ticket = harness.submit("a")
    worker.reply(1, Exit.fail(PythonError.of("ValueError", "bad")))
    assert.strictEqual(ticket.outcome, "ValueError")
    assert.deepInclude(harness.dispatcher.counters, { requests: 1, errors: 1 })
    assert.deepStrictEqual([member.requests, member.errors], [1, 1])
  })

  it("a second answer for a call is nothing", () => {
    const harness = new Harness()
    harness.add()
    const ticket = harness.submit("a")
    ticket.onExit(Exit.succeed(1), undefined)
    ticket.onExit(Exit.succeed(2), undefined)
    ticket.onDropped()
    assert.lengthOf(ticket.outcomes, 1)
    assert.strictEqual(harness.dispatcher.inFlight, 0)
  })
})

describe("closing", () => {
  it("fails what waits, lets what runs go on, and tells when nothing is left", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    const [running, waiting] = [harness.submit("a"), harness.submit("b")]
    let idle = 0
    harness.dispatcher.close(() => idle++)
    assert.strictEqual(waiting.outcome, "PoolClosed")
    assert.strictEqual(harness.submit("c").outcome, "PoolClosed")
    assert.strictEqual(idle, 0)
    worker.reply()
    assert.strictEqual(running.outcome, "Success")
    assert.strictEqual(idle, 1)
    assert.strictEqual(vi.getTimerCount(), 0)
  })

  it("tells at once when nothing runs", () => {
    let idle = 0
    new Harness().dispatcher.close(() => idle++)
    assert.strictEqual(idle, 1)
  })

  it("a call that comes back unbegun while closing fails with PoolClosed", () => {
    const harness = new Harness()
    const { worker } = harness.addFast()
    harness.submit("a")
    const ahead = harness.submit("b")
    harness.dispatcher.close(() => {})
    worker.drop(2)
    assert.strictEqual(ahead.outcome, "PoolClosed")
  })

  it("cutting off answers what still runs, and stops it", () => {
    const harness = new Harness()
    const { worker } = harness.add()
    const ticket = harness.submit("a")
    harness.dispatcher.close(() => {})
    harness.dispatcher.cutOff()
    assert.strictEqual(ticket.outcome, "PoolClosed")
    assert.deepStrictEqual(worker.interrupted, [1])
    worker.stopInterrupted()
    assert.lengthOf(ticket.outcomes, 1)
    assert.strictEqual(harness.dispatcher.inFlight, 0)
  })

  it("failWaiting gives each call its reason", () => {
    const harness = new Harness()
    harness.add()
    harness.submit("a")
    const waiting = harness.submit("b")
    harness.dispatcher.failWaiting((ticket) => new PoolClosed({ pool: ticket.call.target }))
    assert.deepInclude(waiting.error, { _tag: "PoolClosed", pool: "b" })
  })
})

const Step = Schema.Struct({
  do: Schema.Literals([
    "submit",
    "submit",
    "submitPinned",
    "submitPlaced",
    "submitTimed",
    "reply",
    "reply",
    "fail",
    "park",
    "stopInterrupted",
    "dropRecalled",
    "die",
    "add",
    "abandon",
    "advance",
    "close"
  ]),
  which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 7 })),
  amount: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40 }))
})

describe("whatever happens", () => {
  beforeEach(() => {
    vi.useRealTimers()
  })

  it.prop(
    "every call is settled exactly once, and none waits while a worker has a free slot",
    [Schema.Array(Step).check(Schema.isMaxLength(120))],
    ([steps]) => {
      vi.useFakeTimers() // the property's own runner needs the real ones
      vi.advanceTimersByTime(1)
      const harness = new Harness({ maxQueue: 6, queueTimeout: 60, asyncConcurrency: 3 })
      const { dispatcher, tickets } = harness
      let alive = [harness.addFast(), harness.add(2, "cuda:0")]
      let closed = 0
      const pick = <A>(items: ReadonlyArray<A>, which: number): A | undefined =>
        items[which % Math.max(1, items.length)]
      const at = (which: number): ScriptedWorker | undefined => pick(alive, which)?.worker

      for (const step of steps) {
        const worker = at(step.which)
        switch (step.do) {
          case "submit":
            harness.submit("any")
            break
          case "submitPinned": {
            const pinned = pick(alive, step.which)?.member
            if (pinned !== undefined) harness.submit("pinned", { pinned, session: "s" })
            break
          }
          case "submitPlaced":
            harness.submit("placed", { device: step.which > 3 ? "cuda" : "cuda:0" })
            break
          case "submitTimed":
            harness.submit("timed", { timeout: step.amount })
            break
          case "reply":
            worker?.reply()
            break
          case "fail":
            worker?.reply(undefined, Exit.fail(PythonError.of("ValueError", "bad")))
            break
          case "park":
            worker?.park()
            break
          case "stopInterrupted":
            worker?.stopInterrupted()
            break
          case "dropRecalled":
            worker?.dropRecalled()
            break
          case "die": {
            const dead = pick(alive, step.which)
            if (dead === undefined) break
            alive = alive.filter((other) => other !== dead)
            dead.worker.die()
            dispatcher.remove(dead.member)
            break
          }
          case "add":
            if (alive.length < 4)
              alive.push(step.amount > 20 ? harness.addFast() : harness.add(1 + (step.which % 3), "cuda:0"))
            break
          case "abandon": {
            const ticket = pick(tickets, step.amount)
            if (ticket !== undefined) harness.abandon(ticket)
            break
          }
          case "advance":
            vi.advanceTimersByTime(step.amount)
            break
          case "close":
            if (closed === 0 && step.which === 7) dispatcher.close(() => closed++)
            break
        }
        const waiting = tickets.filter((ticket) => ticket.state === "waiting")
        assert.strictEqual(dispatcher.queued, waiting.length)
        for (const { call, pinned } of waiting) {
          if (pinned !== undefined) continue
          assert.isFalse(
            alive.some(({ member }) => member.hasFreeSlot && member.isOn(call.device)),
            "a call waits beside a free slot"
          )
        }
        for (const { member, worker: one } of alive) {
          assert.deepStrictEqual([member.inFlight.size, member.parked], [one.calls.size, one.parkedCalls.size])
        }
      }

      if (closed === 0) dispatcher.close(() => closed++)
      dispatcher.cutOff()
      for (const { worker } of alive) worker.die()
      vi.advanceTimersByTime(1000)
      for (const ticket of tickets) {
        assert.lengthOf(ticket.outcomes, ticket.abandoned ? 0 : 1, `${ticket.call.target} in state ${ticket.state}`)
        assert.strictEqual(ticket.state, ticket.state === "new" ? "new" : "settled")
      }
      assert.strictEqual(closed, 1)
      assert.strictEqual(dispatcher.queued, 0)
      assert.strictEqual(dispatcher.inFlight, 0)
      assert.strictEqual(vi.getTimerCount(), 0)
      vi.useRealTimers()
    },
    { arbitrary: { runs: 300, size: 120 } }
  )
})
