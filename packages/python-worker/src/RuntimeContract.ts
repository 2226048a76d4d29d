/**
 * The runtime contract, version 1, as an `effect/rpc` group: what a Python worker serves on its data channel.
 *
 * `protocol/README.md` is the contract in words. The pool does not go through this group: `internal/workerClient.ts` speaks the
 * same messages without a schema per call, which is several times faster. It is here for those who want to reach
 * a worker with the stock `RpcClient` of Effect, or to put another worker behind the same contract; a test does the
 * former, so the two cannot drift apart. Payloads, results and items are `Schema.Any`, since the codec of the
 * wire, and not a JSON schema, says what can cross.
 */
import * as Schema from "effect/Schema"
import * as Rpc from "effect/rpc/Rpc"
import * as RpcGroup from "effect/rpc/RpcGroup"

/** The version that this contract describes. A worker refuses payloads of another one. */
export const payloadVersion = 1

/** What a call asks for. `protocol/README.md` says which fields belong to which call type. */
export const CallPayload = Schema.Struct({
  payload_version: Schema.Literal(payloadVersion),
  /** Defaults to `function`. */
  call_type: Schema.optionalKey(
    Schema.Literals([
      "function",
      "class",
      "method",
      "get_attr",
      "set_attr",
      "module_attr",
      "item",
      "iterate",
      "enter",
      "exit"
    ])
  ),
  /** First segment of the target; informative. */
  library: Schema.optionalKey(Schema.String),
  /** Defaults to `builtins`. */
  python_module: Schema.optionalKey(Schema.String),
  /** A function or method; may be dotted. */
  function: Schema.optionalKey(Schema.String),
  class: Schema.optionalKey(Schema.String),
  attr: Schema.optionalKey(Schema.String),
  /** A ref. */
  instance: Schema.optionalKey(Schema.Any),
  args: Schema.optionalKey(Schema.Array(Schema.Any)),
  kwargs: Schema.optionalKey(Schema.Record(Schema.String, Schema.Any)),
  /** `ref` keeps the result in Python. Defaults to `value`. */
  result: Schema.optionalKey(Schema.Literals(["value", "ref"])),
  idempotent: Schema.optionalKey(Schema.Boolean),
  session_id: Schema.optionalKey(Schema.String),
  /** Unix time in milliseconds. */
  deadline_ms: Schema.optionalKey(Schema.Number)
})
export type CallPayload = typeof CallPayload.Type

/** A Python exception, as it crosses. */
export interface PythonException {
  /** The nearest public built-in class, or `PythonException`. */
  readonly _tag: string
  readonly pythonType: string
  readonly mro: ReadonlyArray<string>
  readonly message: string
  readonly args: ReadonlyArray<unknown>
  readonly frames: ReadonlyArray<{
    readonly file: string
    readonly line: number
    readonly function: string
    readonly source: string
  }>
  readonly notes: ReadonlyArray<string>
  readonly cause: PythonException | null
  readonly context: PythonException | null
  readonly exceptions: ReadonlyArray<PythonException>
  readonly call: unknown
}

const chained: Schema.Codec<PythonException> = Schema.suspend(() => PythonException)

/** A Python exception, as it crosses. */
export const PythonException: Schema.Codec<PythonException> = Schema.Struct({
  _tag: Schema.String,
  pythonType: Schema.String,
  mro: Schema.Array(Schema.String),
  message: Schema.String,
  args: Schema.Array(Schema.Any),
  frames: Schema.Array(
    Schema.Struct({ file: Schema.String, line: Schema.Int, function: Schema.String, source: Schema.String })
  ),
  notes: Schema.Array(Schema.String),
  cause: Schema.NullOr(chained),
  context: Schema.NullOr(chained),
  exceptions: Schema.Array(chained),
  call: Schema.Any
})

/** A failure of the worker itself, which no target raised. */
export const WorkerFailure = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("SessionLost"), session: Schema.String, reason: Schema.String }),
  Schema.Struct({
    _tag: Schema.Literal("UnserializableResult"),
    path: Schema.String,
    pythonType: Schema.String,
    repr: Schema.String,
    reason: Schema.String
  }),
  Schema.Struct({
    _tag: Schema.Literal("DecodeError"),
    path: Schema.String,
    expected: Schema.String,
    actual: Schema.String
  }),
  Schema.Struct({ _tag: Schema.Literal("ProtocolError"), reason: Schema.String })
])
export type WorkerFailure = typeof WorkerFailure.Type

/** What a call fails with. */
export const CallFailure = Schema.Union([WorkerFailure, PythonException])
export type CallFailure = typeof CallFailure.Type

/** The two procedures of the contract. */
export const RuntimeContract = RpcGroup.make(
  Rpc.make("snakebridge.call", { payload: CallPayload, success: Schema.Any, error: CallFailure }),
  Rpc.make("snakebridge.stream", { payload: CallPayload, success: Schema.Any, error: CallFailure, stream: true })
)
