import { assert, it } from "@effect/vitest"
import { isRequest, satisfies, supported } from "../../../src/internal/environment/pythonRequest.ts"

it("tells versions from paths and commands", () => {
  for (const request of [
    "3",
    "3.13",
    "3.13.1",
    "3.14t",
    "cpython@3.12",
    "pypy3.10",
    ">=3.11",
    ">= 3.11, <3.14",
    "==3.12.*"
  ]) {
    assert.isTrue(isRequest(request), request)
  }
  for (const other of ["python3", "python3.13", "/usr/bin/python3", "./venv/bin/python", "python", "bin/3.13"]) {
    assert.isFalse(isRequest(other), other)
  }
})

it("holds versions against requests as Python does", () => {
  const cases: ReadonlyArray<readonly [request: string, version: string, holds: boolean]> = [
    ["3", "3.11.7", true],
    ["3.1", "3.11.7", false],
    ["3.11", "3.11.7", true],
    ["3.11.7", "3.11.7", true],
    ["3.11.6", "3.11.7", false],
    [">=3.11", "3.11.7", true],
    [">=3.12", "3.11.7", false],
    [">=3.9", "3.11.7", true],
    ["<3.12", "3.11.7", true],
    ["<3.11", "3.11.7", false],
    [">3.11", "3.11.7", false],
    ["<=3.11.7", "3.11.7", true],
    ["!=3.11.*", "3.11.7", false],
    ["==3.11.*", "3.11.7", true],
    ["~=3.11", "3.12.1", true],
    ["~=3.11.2", "3.12.1", false],
    ["~=3.11.2", "3.11.1", false],
    [">=3.10,<3.12", "3.11.7", true],
    [">=3.10,<3.11", "3.11.7", false],
    ["cpython@3.12", "3.12.4", true]
  ]
  for (const [request, version, holds] of cases) assert.strictEqual(satisfies(request, version), holds, request)
})

it("never asks for a Python that Snakepit does not support", () => {
  assert.strictEqual(supported(">=3.8", "3.10"), ">=3.8,>=3.10")
  assert.strictEqual(supported("<3.14", "3.10"), "<3.14,>=3.10")
  assert.strictEqual(supported("~=3.9.5", "3.10"), "~=3.9.5,>=3.10")
  assert.strictEqual(supported(">=3.11,<3.14", "3.10"), ">=3.11,<3.14")
  assert.strictEqual(supported("==3.12.*", "3.10"), "==3.12.*")
  assert.strictEqual(supported(undefined, "3.10"), ">=3.10")
  assert.strictEqual(supported("3.13", "3.10"), "3.13")
})
