import { assert, describe, it } from "@effect/vitest"
import * as Xml from "../../src/internal/xml.ts"

describe("parse", () => {
  it("reads elements and their texts", () => {
    const root = Xml.parse(
      '<?xml version="1.0" ?>\n<!DOCTYPE a SYSTEM "a.dtd">\n<a id="1"><b> x </b><b/><c><d>1 &lt; 2 &amp; 3</d></c></a>'
    )
    assert.deepStrictEqual(
      Xml.all(Xml.find(root, "a"), "b").map(({ text }) => text),
      ["x", ""]
    )
    assert.strictEqual(Xml.text(root, "a", "c", "d"), "1 < 2 & 3")
    assert.isUndefined(Xml.text(root, "a", "c", "nothing"))
  })

  it("ends what was not ended, and passes over ends of nothing", () => {
    assert.strictEqual(Xml.text(Xml.parse("<a><b>1</a><c>2</c>"), "c"), "2")
    assert.strictEqual(Xml.text(Xml.parse("</x><a>1</b></a>"), "a"), "1")
    assert.strictEqual(Xml.text(Xml.parse("<a><b>cut o"), "a", "b"), "cut o")
  })

  it("expands no entity of a document's own", () => {
    const bomb = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">]><a>&x;&x;</a>'
    assert.strictEqual(Xml.text(Xml.parse(bomb), "a"), "&x;&x;")
  })

  it("does not run out of stack on deep nesting, nor of time on many brackets", () => {
    assert.isDefined(Xml.parse("<a>".repeat(100_000)))
    assert.isDefined(Xml.parse("<".repeat(100_000)))
    assert.isDefined(Xml.parse("<a ".repeat(30_000)))
  })
})
