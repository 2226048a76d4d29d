/**
 * Requests as bytes. What a target has in common between calls (the envelope, module, path) is encoded once and kept; a
 * call appends its number and its arguments.
 */
import { type Call, SnakepitError } from "@snakepit/core"
import { type EncodeHooks, Encoder } from "../MessagePack.ts"
import { article, describe } from "./encodeFailure.ts"

interface Template {
  /** Pairs of the envelope, after `id`. */
  readonly envelope: Uint8Array
  /** Pairs of the payload that do not change, and how many they are. */
  readonly payload: Uint8Array
  readonly payloadPairs: number
}

const payloadVersion = 1

/** Targets whose templates are kept; past it the table starts anew, so that generated names cannot fill the memory. */
const maxTemplates = 4096

const envelopePairs = 5

const nameField = (callType: Call.CallType): "function" | "class" | "attr" | undefined => {
  switch (callType) {
    case "function":
    case "method":
      return "function"
    case "class":
      return "class"
    case "get_attr":
    case "set_attr":
    case "module_attr":
      return "attr"
    default:
      return undefined
  }
}

/** Encodes requests of one connection. */
export class Requests {
  private readonly scratch = new Encoder({ adapters: [] })
  private readonly templates = new Map<string, Template>()
  private readonly key: Record<"id" | "payload" | "args" | "kwargs" | "instance" | "session" | "deadline", Uint8Array>
  private readonly trace: Record<"traceId" | "spanId" | "sampled", Uint8Array>
  private readonly flags: Record<"ref" | "idempotent", Uint8Array>

  constructor() {
    this.key = {
      id: this.encode(["id"]),
      payload: this.encode(["payload"]),
      args: this.encode(["args"]),
      kwargs: this.encode(["kwargs"]),
      instance: this.encode(["instance"]),
      session: this.encode(["session_id"]),
      deadline: this.encode(["deadline_ms"])
    }
    this.trace = {
      traceId: this.encode(["traceId"]),
      spanId: this.encode(["spanId"]),
      sampled: this.encode(["sampled"])
    }
    this.flags = {
      ref: this.encode(["result", "ref"]),
      idempotent: this.encode(["idempotent", true])
    }
  }

  /** Writes the request of a call into the frame that the encoder has open. Throws `EncodeError`. */
  write(encoder: Encoder, number: number, call: Call.Call, hooks: EncodeHooks): void {
    // types say so, but programs without them get this far, and Python would blame the connection
    if (!Array.isArray(call.args)) throw wrongArguments("args", call.args, "an array of the positional arguments")
    if (call.kwargs !== undefined && !isKeywords(call.kwargs)) {
      throw wrongArguments("kwargs", call.kwargs, "an object with the keyword arguments")
    }
    const template = this.template(call)
    const trace = call.trace
    // The number comes first, at its full width, and the arguments come last: what lies between is the same for all calls
    // of a target, which the worker makes use of.
    encoder.mapHeader(trace === undefined ? envelopePairs : envelopePairs + 3)
    encoder.raw(this.key.id)
    encoder.uint64(number)
    encoder.raw(template.envelope)
    if (trace !== undefined) {
      encoder.raw(this.trace.traceId)
      encoder.text(trace.traceId)
      encoder.raw(this.trace.spanId)
      encoder.text(trace.spanId)
      encoder.raw(this.trace.sampled)
      encoder.value(trace.sampled, "sampled", hooks)
    }
    const hasArgs = call.args.length > 0
    const hasKwargs = call.kwargs !== undefined
    const isRef = call.result === "ref" && call.callType !== "class"
    encoder.raw(this.key.payload)
    encoder.mapHeader(
      template.payloadPairs +
        (hasArgs ? 1 : 0) +
        (hasKwargs ? 1 : 0) +
        (isRef ? 1 : 0) +
        (call.idempotent ? 1 : 0) +
        (call.instance === undefined ? 0 : 1) +
        (call.session === undefined ? 0 : 1) +
        (call.deadline === undefined ? 0 : 1)
    )
    encoder.raw(template.payload)
    if (isRef) encoder.raw(this.flags.ref)
    if (call.idempotent) encoder.raw(this.flags.idempotent)
    if (call.session !== undefined) {
      encoder.raw(this.key.session)
      encoder.text(call.session)
    }
    if (call.deadline !== undefined) {
      encoder.raw(this.key.deadline)
      encoder.uint(Math.round(call.deadline))
    }
    if (call.instance !== undefined) {
      encoder.raw(this.key.instance)
      encoder.ref(call.instance)
    }
    if (hasKwargs) {
      encoder.raw(this.key.kwargs)
      encoder.value(call.kwargs, "kwargs", hooks)
    }
    if (hasArgs) {
      encoder.raw(this.key.args)
      encoder.value(call.args, "args", hooks)
    }
  }

  private template(call: Call.Call): Template {
    // most calls are functions, whose target says all there is to say
    const plain = call.callType === "function" && !call.stream
    const name = plain ? call.target : `${call.callType} ${call.stream} ${call.module} ${call.path}`
    const known = this.templates.get(name)
    if (known !== undefined) return known
    if (this.templates.size >= maxTemplates) this.templates.clear()
    const field = nameField(call.callType)
    const payload: Array<unknown> = ["payload_version", payloadVersion]
    if (call.callType !== "function") payload.push("call_type", call.callType)
    if (call.instance === undefined) {
      payload.push("library", call.module.split(".", 1)[0], "python_module", call.module)
    }
    if (field !== undefined) payload.push(field, call.path)
    const tag = call.stream ? "snakebridge.stream" : "snakebridge.call"
    const template = {
      envelope: this.encode(["_tag", "Request", "tag", tag, "headers", []]),
      payload: this.encode(payload),
      payloadPairs: payload.length / 2
    }
    this.templates.set(name, template)
    return template
  }

  /** The values one after the other, as the inside of a map. */
  private encode(values: ReadonlyArray<unknown>): Uint8Array {
    const mark = this.scratch.begin()
    for (const value of values) this.scratch.value(value, "request", {})
    this.scratch.end(mark)
    const frame = this.scratch.takeFrames()
    if (frame === undefined) throw new Error("Requests.encode: a finished frame was not handed out")
    return frame.slice(4)
  }
}

/** Null is no keyword arguments, as None is; an object of another context has a prototype of its own. */
const isKeywords = (kwargs: unknown): boolean => {
  if (kwargs === null || kwargs instanceof Map) return true
  if (typeof kwargs !== "object") return false
  const prototype: unknown = Object.getPrototypeOf(kwargs)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

const wrongArguments = (option: string, given: unknown, expected: string) =>
  new SnakepitError.EncodeError({
    path: option,
    actual:
      typeof given !== "object" || given === null || Array.isArray(given)
        ? article(Array.isArray(given) ? "array" : given === null ? "null" : typeof given)
        : describe(given),
    reason: `\`${option}\` is ${expected}.`
  })
