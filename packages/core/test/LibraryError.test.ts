import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { shipped } from "../src/libraries/shipped.ts"
import * as LibraryError from "../src/LibraryError.ts"
import * as PythonError from "../src/PythonError.ts"

class Fetch extends LibraryError.make<Fetch>()("app.FetchError", {
  pythonType: ["app.errors.FetchError", "app.FetchError"],
  library: "app",
  versions: ">=2, <3",
  attributes: {
    status: LibraryError.at("response.status_code", Schema.NullOr(Schema.Int)),
    url: Schema.String
  }
}) {}

class NotFound extends LibraryError.make<NotFound>()("app.NotFound", { pythonType: "app.errors.NotFound" }) {}

const raised = (library: PythonError.LibraryReport | undefined) =>
  PythonError.of("OSError", "gone", {
    pythonType: "app.errors.NotFound",
    mro: ["app.errors.NotFound", "app.errors.FetchError", "OSError", "Exception", "BaseException"],
    notes: ["a note"],
    library
  })

const report = (attributes: Readonly<Record<string, unknown>>, version: string | null = "2.4.1") => ({
  name: "app",
  version,
  attributes
})

const complete = raised(report({ "response.status_code": 404, url: "/tea" }))

describe("LibraryError", () => {
  it("makes the exception an instance of the class, with its attributes and all that it had", () => {
    const error = PythonError.as(Fetch)(complete)
    assert.instanceOf(error, Fetch)
    assert.strictEqual(error._tag, "app.FetchError")
    assert.strictEqual(error.status, 404)
    assert.strictEqual(error.url, "/tea")
    assert.strictEqual(error.message, "gone")
    assert.strictEqual(error.pythonType, "app.errors.NotFound")
    assert.deepStrictEqual(error.notes, ["a note"])
    assert.isTrue(PythonError.isPythonException(error))
    assert.isTrue(PythonError.isInstanceOf(error, "OSError"))
    assert.isTrue(Schema.is(Fetch)(error))
  })

  it("takes the first class that fits, as except does", () => {
    assert.instanceOf(PythonError.as(NotFound, Fetch)(complete), NotFound)
    assert.instanceOf(PythonError.as(Fetch, NotFound)(complete), Fetch)
  })

  it("reads a missing attribute as null", () => {
    const error = PythonError.as(Fetch)(raised(report({ url: "/tea" })))
    assert.instanceOf(error, Fetch)
    assert.isNull(error.status)
  })

  it("leaves other exceptions alone", () => {
    const other = PythonError.of("ValueError", "x")
    assert.strictEqual(PythonError.as(Fetch)(other), other)
  })

  it.each([
    ["is of a version outside of its range", report({ url: "/" }, "3.0.0"), "it is for app >=2, <3, and this is 3.0.0"],
    ["has attributes that do not match", report({ url: 5 }), "url"],
    ["comes from workers that were not told of it", undefined, "LibraryError.layer"]
  ])("keeps an exception that %s, with a note", (_, library, note) => {
    const error = PythonError.as(Fetch)(raised(library))
    assert.instanceOf(error, PythonError.OSError)
    assert.strictEqual(error.notes.length, 2)
    assert.include(error.notes[1], note)
  })

  it("goes on to the next class after one that nearly fits", () => {
    const error = PythonError.as(Fetch, NotFound)(raised(report({}, "9")))
    assert.instanceOf(error, NotFound)
    assert.strictEqual(error.notes.length, 2)
  })

  it("takes any version where the library's is not known", () => {
    assert.instanceOf(PythonError.as(Fetch)(raised(report({ url: "/" }, null))), Fetch)
  })

  it("refuses a range that is none where the class is made", () => {
    assert.throws(() => LibraryError.make<Fetch>()("x", { pythonType: "x", versions: "latest" }), RangeError)
  })

  it.effect("a layer adds classes to those of the layer around it", () =>
    Effect.gen(function* () {
      const inner = LibraryError.layer(NotFound).pipe(Layer.provide(LibraryError.layer(Fetch)))
      assert.deepStrictEqual(yield* Effect.provide(LibraryError.LibraryErrors, inner), [NotFound, Fetch])
      assert.deepStrictEqual(yield* LibraryError.LibraryErrors, [])
    })
  )

  it("ships classes with tags of their own", () => {
    const tags = shipped.map((Class) => Class["~@snakepit/core/LibraryError"].pythonTypes[0])
    assert.isAbove(tags.length, 50)
    assert.strictEqual(new Set(tags).size, tags.length)
  })
})
