/** Exceptions of real libraries in a real worker, by the tags that this package ships for them and by a program's own. */
import {
  Json,
  LibraryError,
  Numpy,
  Pandas,
  Pydantic,
  PythonError,
  Requests,
  shippedLibraryErrors,
  Snakepit
} from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import { assert, it, layer } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { inspect } from "node:util"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { pool, withPool, workersFolder } from "./harness.ts"

/** The module that users import a class from, where it is not the one that the class names. */
const importedFrom: Readonly<Record<string, string>> = {
  "pydantic_core._pydantic_core.ValidationError": "raising.validation",
  "pydantic_core._pydantic_core.PydanticSerializationError": "pydantic_core.PydanticSerializationError"
}

/** The libraries that the environment of the tests does not have, since they are large. */
const large = ["dspy", "torch"]

/** Raises each shipped class of some libraries, and catches it by its own tag. */
const eachArrivesByItsTag = (isWanted: (library: string | undefined) => boolean) =>
  Effect.gen(function* () {
    let count = 0
    for (const Class of shippedLibraryErrors) {
      const { library, pythonTypes } = Class["~@snakepit/core/LibraryError"]
      if (!isWanted(library)) continue
      const name = importedFrom[pythonTypes[0] ?? ""] ?? pythonTypes[0] ?? ""
      const call = name.startsWith("raising.")
        ? Snakepit.call(name)
        : Snakepit.call("raising.library", { args: [name] })
      const error = yield* Effect.flip(Effect.mapError(call, PythonError.as(Class)))
      assert.isTrue(error instanceof Class, `${name}: ${inspect(error)}`)
      count++
    }
    return count
  })

/** `SNAKEPIT_LIBRARY_PYTHON` names interpreters, with commas between them, that have the large libraries between them. */
const librarians = (process.env["SNAKEPIT_LIBRARY_PYTHON"] ?? "").split(",").filter((python) => python !== "")

it.live.skipIf(librarians.length === 0)(
  "each class of a large library is raised by it and arrives as its class",
  () =>
    Effect.gen(function* () {
      const raised = new Set<string>()
      for (const python of librarians) {
        const here = large.filter((library) => spawnSync(python, ["-c", `import ${library}`]).status === 0)
        for (const library of here) raised.add(library)
        const count = yield* eachArrivesByItsTag((library) => here.includes(library ?? "")).pipe(withPool({ python }))
        assert.isAbove(count, 3)
      }
      assert.deepStrictEqual([...raised].sort(), large)
    }),
  300_000
)

layer(pool(), { excludeTestServices: true })("Exceptions of libraries", (shared) => {
  shared.effect("each that is shipped is raised by its library and arrives as its class", () =>
    Effect.gen(function* () {
      assert.isAbove(yield* eachArrivesByItsTag((library) => !large.includes(library ?? "")), 50)
    })
  )

  shared.effect("json says where parsing failed", () =>
    Effect.gen(function* () {
      const at = yield* Snakepit.call("json.loads", { args: ["[1,\n x]"] }).pipe(
        Effect.mapError(PythonError.as(Json.JSONDecodeError)),
        Effect.catchTag("json.JSONDecodeError", ({ colno, lineno, msg, pos }) =>
          Effect.succeed({ msg, pos, lineno, colno })
        )
      )
      assert.deepStrictEqual(at, { msg: "Expecting value", pos: 5, lineno: 2, colno: 2 })
    })
  )

  shared.effect("pydantic lists its errors, also where a value cannot cross", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.mapError(Snakepit.call("raising.validation"), PythonError.as(Pydantic.ValidationError))
      )
      if (error._tag !== "pydantic.ValidationError") return assert.fail(String(error))
      assert.strictEqual(error.title, "Order")
      assert.deepStrictEqual(
        error.errors.map(({ loc, type }) => ({ loc: [...loc], type })),
        [
          { loc: ["item"], type: "string_type" },
          { loc: ["count"], type: "int_parsing" }
        ]
      )
      assert.match(String(error.errors[0]?.input), /^<object object/)
      assert.strictEqual(error.errors[1]?.input, "many")
      assert.strictEqual(error.library?.name, "pydantic")
      assert.match(error.library?.version ?? "", /^\d+\.\d+/)
    })
  )

  shared.effect("numpy, pandas and requests have their fields", () =>
    Effect.gen(function* () {
      const axis = yield* Effect.flip(
        Effect.mapError(
          Snakepit.call("numpy.sum", { args: [[1, 2]], kwargs: { axis: 3 } }),
          PythonError.as(Numpy.AxisError)
        )
      )
      if (axis._tag !== "numpy.AxisError") return assert.fail(String(axis))
      assert.deepStrictEqual([axis.axis, axis.ndim], [3, 1])
      const empty = yield* Effect.flip(
        Effect.mapError(
          Snakepit.call("pandas.read_csv", { args: ["/dev/null"] }),
          PythonError.as(Pandas.EmptyDataError)
        )
      )
      assert.strictEqual(empty._tag, "pandas.EmptyDataError")
      const gone = yield* Snakepit.call("raising.not_found").pipe(
        Effect.mapError(PythonError.as(Requests.HTTPError)),
        Effect.catchTag("requests.HTTPError", ({ method, reason, statusCode, url }) =>
          Effect.succeed([method, url, statusCode, reason])
        )
      )
      assert.deepStrictEqual(gone, ["GET", "http://localhost/tea", 404, "Not Found"])
    })
  )

  shared.effect("without `as` an exception has the tag that it always had", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Snakepit.call("json.loads", { args: ["{"] }))
      assert.strictEqual(error._tag, "ValueError")
    })
  )
})

class Quota extends LibraryError.make<Quota>()("app.Quota", {
  pythonType: "raising.Quota",
  attributes: { limit: Schema.Int, trap: Schema.NullOr(Schema.Int) }
}) {}

/** The same, for another version than the installed one. */
class OldValidation extends LibraryError.make<OldValidation>()("old.ValidationError", {
  pythonType: "pydantic_core._pydantic_core.ValidationError",
  library: "pydantic",
  versions: "<1"
}) {}

it.live("a program's own class has its fields once a layer tells the workers of it", () =>
  Effect.gen(function* () {
    const raised = (limit: unknown) =>
      Effect.flip(Effect.mapError(Snakepit.call("raising.quota", { args: [limit] }), PythonError.as(Quota)))
    const service = SnakepitNode.layer({ pools: { default: { size: 1, pythonPath: [workersFolder] } } })
    yield* Effect.gen(function* () {
      const error = yield* raised(5)
      if (error._tag !== "app.Quota") return assert.fail(String(error))
      // a property that raises is as good as none
      assert.deepStrictEqual([error.limit, error.trap], [5, null])
      const other = yield* raised("a lot")
      if (other._tag !== "PythonException") return assert.fail(String(other))
      assert.include(other.notes[0], "not app.Quota")
      const old = yield* Effect.flip(
        Effect.mapError(Snakepit.call("raising.validation"), PythonError.as(OldValidation))
      )
      if (old._tag !== "ValueError") return assert.fail(String(old))
      assert.include(old.notes[0], "it is for pydantic <1, and this is")
    }).pipe(Effect.provide(service.pipe(Layer.provide(LibraryError.layer(Quota)))))
    yield* Effect.gen(function* () {
      const untold = yield* raised(5)
      if (untold._tag !== "PythonException") return assert.fail(String(untold))
      assert.include(untold.notes[0], "LibraryError.layer(app.Quota)")
    }).pipe(Effect.provide(service))
  })
)
