import { assert, describe, it, vi } from "vitest"
import { sampleCall } from "../../../../test/sampleCall.ts"
import type { Call } from "../../src/Call.ts"
import { fingerprint } from "../../src/internal/fingerprint.ts"
import { Poison } from "../../src/internal/poison.ts"
import type { CrashMark } from "../../src/SnakepitError.ts"

const call = (target: string, args: ReadonlyArray<unknown> = [], kwargs?: Readonly<Record<string, unknown>>): Call =>
  sampleCall(target, { args, kwargs })

const mark = (at = Date.now()): CrashMark => ({ worker: "default-0", crash: "segfault", at })

describe("fingerprint", () => {
  it("is equal for equal calls", () => {
    const args = () => [1, "a", [null, { b: new Map([[1n, new Set([true])]]) }], new Float32Array([1, 2])]
    assert.strictEqual(fingerprint(call("f", args(), { k: 1 })), fingerprint(call("f", args(), { k: 1 })))
    assert.strictEqual(fingerprint(call("f")), fingerprint(call("f", [], {})))
  })

  it("differs for what Python would tell apart", () => {
    const calls = [
      call("f"),
      call("g"),
      call("f", [1]),
      call("f", ["1"]),
      call("f", [1n]),
      call("f", [0]),
      call("f", [-0]),
      call("f", [[1], 2]),
      call("f", [[1, 2]]),
      call("f", [], { a: 1 }),
      call("f", [new Uint8Array([1])]),
      call("f", [new Int8Array([1])]),
      call("f", ["ab", "c"]),
      call("f", ["a", "bc"]),
      call("f", [null])
    ]
    assert.strictEqual(new Set(calls.map(fingerprint)).size, calls.length)
  })

  it("there is none for functions, cycles and objects of other classes", () => {
    assert.isUndefined(fingerprint(call("f", [() => 1])))
    assert.isUndefined(fingerprint(call("f", [new Date(0)])))
    const cycle: Array<unknown> = []
    cycle.push(cycle)
    assert.isUndefined(fingerprint(call("f", [cycle])))
  })
})

describe("poison", () => {
  it("condemns a call after as many crashes as it may cause, and no other call of the target", () => {
    const poison = new Poison(2)
    const key = fingerprint(call("f", [1]))
    assert.isTrue(poison.isEmpty)
    assert.strictEqual(poison.mark(call("f", [1]), [mark()]).length, 1)
    assert.strictEqual(poison.suspect(call("f", [1])), key)
    assert.isUndefined(poison.verdict(key ?? ""))
    assert.strictEqual(poison.mark(call("f", [1]), [mark()]).length, 2)
    assert.strictEqual(poison.verdict(key ?? "")?.length, 2)
    assert.isUndefined(poison.verdict(poison.suspect(call("f", [2])) ?? ""))
    assert.isUndefined(poison.suspect(call("g")))
  })

  it("judges a call that cannot be compared by its own crashes", () => {
    const poison = new Poison(2)
    const own = [mark(), mark()]
    assert.strictEqual(poison.mark(call("f", [() => 1]), own), own)
    assert.isTrue(poison.isEmpty)
  })

  it("forgets a call when told to, and after an hour", () => {
    vi.useFakeTimers()
    try {
      const poison = new Poison(1)
      const key = fingerprint(call("f")) ?? ""
      poison.mark(call("f"), [mark()])
      poison.forget(key)
      assert.isTrue(poison.isEmpty)
      assert.isUndefined(poison.suspect(call("f")))
      poison.mark(call("f"), [mark()])
      vi.advanceTimersByTime(3_599_000)
      assert.strictEqual(poison.verdict(key)?.length, 1)
      vi.advanceTimersByTime(1_000)
      assert.isUndefined(poison.verdict(key))
      assert.isTrue(poison.isEmpty)
    } finally {
      vi.useRealTimers()
    }
  })

  it("remembers the latest thousand calls", () => {
    const poison = new Poison(1)
    for (let value = 0; value <= 1_000; value++) poison.mark(call("f", [value]), [mark()])
    assert.isUndefined(poison.verdict(fingerprint(call("f", [0])) ?? ""))
    assert.strictEqual(poison.verdict(fingerprint(call("f", [1])) ?? "")?.length, 1)
  })
})
