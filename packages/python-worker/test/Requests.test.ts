import type { Call } from "@snakepit/core"
import { assert, describe, it } from "@effect/vitest"
import { sampleCall } from "../../../test/sampleCall.ts"
import { Requests } from "../src/internal/requests.ts"
import { Decoder, Encoder } from "../src/MessagePack.ts"

const callOf = (changes: Partial<Call.Call>): Call.Call => sampleCall("math.sqrt", { args: [4], ...changes })

const bytesOf = (requests: Requests, number: number, call: Call.Call): Uint8Array => {
  const encoder = new Encoder({ adapters: [] })
  const mark = encoder.begin()
  requests.write(encoder, number, call, {})
  encoder.end(mark)
  return (encoder.takeFrames() ?? assert.fail("no frame")).slice(4)
}

const decoder = new Decoder({ adapters: [] })

const messageOf = (number: number, changes: Partial<Call.Call>): unknown => {
  const bytes = bytesOf(new Requests(), number, callOf(changes))
  return decoder.decode(Buffer.from(bytes), 0, bytes.length, { ref: (...parts) => parts })
}

const plain = { payload_version: 1, library: "math", python_module: "math", function: "sqrt", args: [4] }

describe("Requests", () => {
  it("writes what the contract says of a plain call", () => {
    assert.deepStrictEqual(messageOf(7, {}), {
      id: 7,
      _tag: "Request",
      tag: "snakebridge.call",
      headers: [],
      payload: plain
    })
  })

  it("leaves out what is not given: no arguments, no session, no deadline", () => {
    assert.deepInclude(messageOf(1, { args: [] }) as object, {
      payload: { payload_version: 1, library: "math", python_module: "math", function: "sqrt" }
    })
  })

  it("writes every option that is given", () => {
    assert.deepInclude(
      messageOf(1, {
        kwargs: { key: 1 },
        idempotent: true,
        session: "the session",
        deadline: 1_700_000_000_000.4,
        result: "ref",
        stream: true,
        trace: { traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: true }
      }) as object,
      {
        tag: "snakebridge.stream",
        traceId: "a".repeat(32),
        spanId: "b".repeat(16),
        sampled: true,
        payload: {
          ...plain,
          result: "ref",
          idempotent: true,
          session_id: "the session",
          deadline_ms: 1_700_000_000_000,
          kwargs: { key: 1 }
        }
      }
    )
  })

  for (const [callType, field] of [
    ["method", "function"],
    ["get_attr", "attr"],
    ["set_attr", "attr"],
    ["item", undefined],
    ["iterate", undefined],
    ["enter", undefined],
    ["exit", undefined]
  ] as const) {
    it(`writes ${callType} with its instance, and ${field ?? "no name"}`, () => {
      const instance = { session: "s", worker: "w", id: 3, type: "list" }
      assert.deepInclude(messageOf(1, { callType, instance, module: "builtins", path: "append" }) as object, {
        payload: {
          payload_version: 1,
          call_type: callType,
          instance: ["s", "w", 3, "list"],
          args: [4],
          ...(field === undefined ? {} : { [field]: "append" })
        }
      })
    })
  }

  it("writes class and module_attr with their module", () => {
    assert.deepInclude(messageOf(1, { callType: "class", result: "ref" }) as object, {
      payload: {
        payload_version: 1,
        call_type: "class",
        library: "math",
        python_module: "math",
        class: "sqrt",
        args: [4]
      }
    })
    assert.deepInclude(messageOf(1, { callType: "module_attr", args: [] }) as object, {
      payload: { payload_version: 1, call_type: "module_attr", library: "math", python_module: "math", attr: "sqrt" }
    })
  })

  it("writes calls of one target in the same bytes but for the number, at a fixed place, and the arguments, last", () => {
    const requests = new Requests()
    const first = Buffer.from(bytesOf(requests, 1, callOf({ args: [1] })))
    const second = Buffer.from(bytesOf(requests, 2 ** 40, callOf({ args: ["two", 3] })))
    const [numberAt, numberEnd] = [5, 13]
    const argsAt = first.indexOf("\xa4args", 0, "latin1")
    assert.isAbove(argsAt, numberEnd)
    assert.strictEqual(first.subarray(0, numberAt).toString("hex"), "85a26964cf")
    assert.isTrue(first.subarray(0, numberAt).equals(second.subarray(0, numberAt)))
    assert.isTrue(first.subarray(numberEnd, argsAt).equals(second.subarray(numberEnd, argsAt)))
    assert.strictEqual(Number(second.readBigUInt64BE(numberAt)), 2 ** 40)
    assert.strictEqual(first.subarray(argsAt).toString("hex"), "a4617267739101")
  })

  it("tells calls apart whose targets are spelled alike", () => {
    const requests = new Requests()
    const tagOf = (changes: Partial<Call.Call>) => {
      const bytes = Buffer.from(bytesOf(requests, 1, callOf(changes)))
      return decoder.decode(bytes, 0, bytes.length, { ref: (...parts) => parts })
    }
    const function_ = tagOf({})
    assert.notDeepEqual(tagOf({ callType: "class" }), function_)
    assert.notDeepEqual(tagOf({ stream: true }), function_)
    assert.deepEqual(tagOf({}), function_)
  })

  it("keeps working past the number of targets that it remembers", () => {
    const requests = new Requests()
    for (let index = 0; index < 5_000; index++) {
      const call = callOf({ target: `m.f${index}`, module: "m", path: `f${index}` })
      const bytes = Buffer.from(bytesOf(requests, index + 1, call))
      if (index % 1_000 !== 999) continue
      assert.deepInclude(decoder.decode(bytes, 0, bytes.length, { ref: (...parts) => parts }) as object, {
        payload: { payload_version: 1, library: "m", python_module: "m", function: `f${index}`, args: [4] }
      })
    }
  })

  it("throws the encoder's error with the path of the argument", () => {
    const attempt = (changes: Partial<Call.Call>) => () => bytesOf(new Requests(), 1, callOf(changes))
    assert.throws(attempt({ args: [1, { deep: Symbol("no") }] }), /args\[1\]\.deep/)
    assert.throws(attempt({ kwargs: { key: [new WeakMap()] } }), /kwargs\.key\[0\]/)
  })
})
