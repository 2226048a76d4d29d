import { describe, expectTypeOf, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Match from "effect/Match"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as LibraryError from "../src/LibraryError.ts"
import * as PythonError from "../src/PythonError.ts"
import type { PyRef } from "../src/PyRef.ts"
import type { Session } from "../src/Session.ts"
import * as Snakepit from "../src/Snakepit.ts"
import type { SnakepitError } from "../src/SnakepitError.ts"

class Units extends Context.Service<Units, { readonly meters: number }>()("types/Units") {}

// What these return is looked at by the compiler only: nothing here runs.
declare const session: Session
declare const ref: PyRef
declare const withService: Schema.Decoder<number, Units>

describe("types", () => {
  it("a call without a schema answers unknown", () => {
    expectTypeOf(Snakepit.call("a.b")).toEqualTypeOf<Effect.Effect<unknown, SnakepitError, Snakepit.Snakepit>>()
    expectTypeOf(Snakepit.stream("a.b")).toEqualTypeOf<Stream.Stream<unknown, SnakepitError, Snakepit.Snakepit>>()
    expectTypeOf(Snakepit.attribute("a.b")).toEqualTypeOf<Effect.Effect<unknown, SnakepitError, Snakepit.Snakepit>>()
  })

  it("a schema types the result, and what its decoding needs is required", () => {
    const success = Schema.Struct({ loss: Schema.Number })
    expectTypeOf(Snakepit.call("a.b", { success })).toEqualTypeOf<
      Effect.Effect<{ readonly loss: number }, SnakepitError, Snakepit.Snakepit>
    >()
    expectTypeOf(Snakepit.stream("a.b", { success: Schema.Int })).toEqualTypeOf<
      Stream.Stream<number, SnakepitError, Snakepit.Snakepit>
    >()
    const needy = () => Snakepit.call("a.b", { success: withService })
    expectTypeOf(needy).returns.toEqualTypeOf<Effect.Effect<number, SnakepitError, Snakepit.Snakepit | Units>>()
  })

  it("catching a tag removes it from the error channel", () => {
    const caught = Snakepit.call("a.b").pipe(Effect.catchTag("ValueError", (error) => Effect.succeed(error.pythonType)))
    type Left = Effect.Error<typeof caught>
    expectTypeOf<Extract<Left, { _tag: "ValueError" }>>().toEqualTypeOf<never>()
    expectTypeOf<Extract<Left, { _tag: "KeyError" }>["_tag"]>().toEqualTypeOf<"KeyError">()
    // @ts-expect-error no error has this tag
    Snakepit.call("a.b").pipe(Effect.catchTag("NoSuchError", () => Effect.void))
  })

  it("the union is exhaustive: a match that names every tag has nothing left", () => {
    const kind = (error: SnakepitError): string =>
      PythonError.isPythonError(error) ? error.pythonType : runtimeKind(error)
    // no tag of Python is left when Python's errors are taken away
    const runtimeKind = (error: Exclude<SnakepitError, PythonError.PythonError>): string => error._tag
    expectTypeOf(kind).returns.toEqualTypeOf<string>()
    const match = Match.type<PythonError.ValueError | PythonError.ShapeMismatch>().pipe(
      Match.tag("ValueError", (error) => error.pythonType),
      Match.tag("ShapeMismatch", (error) => error.operands.length),
      Match.exhaustive
    )
    expectTypeOf(match).returns.toEqualTypeOf<string | number>()
    const partial = Match.type<PythonError.ValueError | PythonError.KeyError>().pipe(Match.tag("ValueError", () => 1))
    // @ts-expect-error KeyError is left
    Match.exhaustive(partial)
  })

  it("matching on every tag of Snakepit's own, and on Python's by their class, leaves nothing", () => {
    // whoever adds a tag has to add it here, and in the guide
    const own = {
      CallTimeout: "",
      CircuitOpen: "",
      DecodeError: "",
      DeviceNotInPool: "",
      EncodeError: "",
      PoisonCall: "",
      PoolClosed: "",
      PoolNotFound: "",
      PoolSaturated: "",
      PoolUnhealthy: "",
      ProtocolError: "",
      QueueTimeout: "",
      SessionBusy: "",
      SessionLimit: "",
      SessionLost: "",
      UnserializableResult: "",
      WorkerCrash: "",
      WorkerStartError: ""
    }
    type Own = Exclude<SnakepitError, PythonError.PythonError>
    expectTypeOf<Own["_tag"]>().toEqualTypeOf<keyof typeof own>()
    expectTypeOf<Extract<SnakepitError, PythonError.PythonError>["_tag"]>().toEqualTypeOf<PythonError.Tag>()
    const text = (error: { readonly message: string }) => error.message
    const match = Match.type<SnakepitError>().pipe(
      Match.when(PythonError.isPythonError, text),
      Match.tag("CallTimeout", "CircuitOpen", "DecodeError", "DeviceNotInPool", "EncodeError", "PoisonCall", text),
      Match.tag("PoolClosed", "PoolNotFound", "PoolSaturated", "PoolUnhealthy", "ProtocolError", "QueueTimeout", text),
      Match.tag("SessionBusy", "SessionLimit", "SessionLost", "UnserializableResult", "WorkerCrash", text)
    )
    // @ts-expect-error WorkerStartError is left
    Match.exhaustive(match)
    const whole = match.pipe(Match.tag("WorkerStartError", text), Match.exhaustive)
    expectTypeOf(whole).returns.toEqualTypeOf<string>()
  })

  it("a program's own classes join the union where it asks for them", () => {
    class HTTPError extends LibraryError.make<HTTPError>()("app.HTTPError", {
      pythonType: "app.HTTPError",
      attributes: { statusCode: LibraryError.at("response.status_code", Schema.Int), url: Schema.String }
    }) {}
    const typed = Snakepit.call("a.b").pipe(Effect.mapError(PythonError.as(HTTPError)))
    expectTypeOf<Effect.Error<typeof typed>>().toEqualTypeOf<SnakepitError | HTTPError>()
    const caught = typed.pipe(
      Effect.catchTag("app.HTTPError", (error) => Effect.succeed([error.statusCode, error.url]))
    )
    expectTypeOf<Extract<Effect.Error<typeof caught>, HTTPError>>().toEqualTypeOf<never>()
    expectTypeOf<HTTPError["statusCode"]>().toEqualTypeOf<number>()
    const streamed = Snakepit.stream("a.b").pipe(Stream.mapError(PythonError.as(HTTPError)))
    expectTypeOf<Stream.Error<typeof streamed>>().toEqualTypeOf<SnakepitError | HTTPError>()
    // @ts-expect-error without `as` no error has this tag
    Snakepit.call("a.b").pipe(Effect.catchTag("app.HTTPError", () => Effect.void))
  })

  it("sessions and refs need nothing once they are open", () => {
    expectTypeOf(Snakepit.session()).toEqualTypeOf<
      Effect.Effect<Session, SnakepitError, Snakepit.Snakepit | Scope.Scope>
    >()
    const calls = () => ({
      call: session.call("a.b", { success: Schema.String }),
      construct: session.construct("a.B"),
      method: ref.call("m", { success: Schema.Boolean }),
      get: ref.get("x"),
      set: ref.set("x", 1),
      items: ref.iterate({ success: Schema.Int }),
      enter: ref.enter()
    })
    expectTypeOf(calls).returns.toEqualTypeOf<{
      call: Effect.Effect<string, SnakepitError>
      construct: Effect.Effect<PyRef, SnakepitError>
      method: Effect.Effect<boolean, SnakepitError>
      get: Effect.Effect<unknown, SnakepitError>
      set: Effect.Effect<void, SnakepitError>
      items: Stream.Stream<number, SnakepitError>
      enter: Effect.Effect<PyRef, SnakepitError, Scope.Scope>
    }>()
  })

  it("PythonError.of answers the class of its tag, and refuses others", () => {
    expectTypeOf(PythonError.of("ValueError", "bad")).toEqualTypeOf<PythonError.ValueError>()
    // @ts-expect-error not a tag
    const refused = () => PythonError.of("NoSuchError", "bad")
    expectTypeOf(refused).toBeFunction()
  })

  it("a test layer needs nothing, and its functions may name their arguments", () => {
    const layer = Snakepit.layerTest({
      pi: 3.14,
      "a.untyped": ([first], kwargs, context) => [first, kwargs["x"], context.session],
      "a.typed": ([xs]: [Array<number>], { scale }: { readonly scale: number }) => xs.map((x) => x * scale)
    })
    expectTypeOf(layer).toMatchTypeOf<Layer.Layer<Snakepit.Snakepit, unknown>>()
    // @ts-expect-error pools have no such option
    Snakepit.layerTest({}, { pools: { default: { sise: 2 } } })
  })
})
