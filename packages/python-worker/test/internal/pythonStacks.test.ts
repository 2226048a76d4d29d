import { assert, describe, it } from "@effect/vitest"
import { StackReader } from "../../src/internal/pythonStacks.ts"

const read = (text: string) => {
  const reader = new StackReader()
  const rest = text.split("\n").filter((line) => !reader.take(line))
  return { threads: reader.threads, rest }
}

/** As CPython 3.11 prints it. */
const segfault = `loading the model
Fatal Python error: Segmentation fault

Thread 0x00007f5c87cee6c0 (most recent call first):
  File "/usr/lib/python3.11/threading.py", line 982 in run
  File "/usr/lib/python3.11/threading.py", line 1045 in _bootstrap_inner

Current thread 0x00007f5c88871b80 (most recent call first):
  File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
  File "/app/my model.py", line 4 in inner
  File "/site/snakepit_worker/execution.py", line 392 in _invoke
  File "/site/snakepit_worker/worker.py", line 205 in serve
  File "<string>", line 1 in <module>

Extension modules: numpy._core._multiarray_umath, ormsgpack (total: 2)`

describe("StackReader", () => {
  it("reads the threads of a fatal error, the current one first, without what the worker itself called", () => {
    const { rest, threads } = read(segfault)
    assert.deepStrictEqual(threads, [
      {
        current: true,
        frames: [
          { file: "/app/my model.py", line: 4, function: "inner" },
          { file: "/usr/lib/python3.11/ctypes/__init__.py", line: 519, function: "string_at" }
        ]
      },
      {
        current: false,
        frames: [
          { file: "/usr/lib/python3.11/threading.py", line: 1045, function: "_bootstrap_inner" },
          { file: "/usr/lib/python3.11/threading.py", line: 982, function: "run" }
        ]
      }
    ])
    assert.deepStrictEqual(rest, [
      "loading the model",
      "Fatal Python error: Segmentation fault",
      "",
      "Extension modules: numpy._core._multiarray_umath, ormsgpack (total: 2)"
    ])
  })

  it("reads threads with names, without frames, and with frames that were cut off", () => {
    const { rest, threads } = read(`Current thread 0x00007f1bfee6eb80 [python] (most recent call first):
  File "/app/a.py", line 7 in <lambda>
  File "/app/a.py", line ??? in recurse
  ...
Thread 0x00007f1bfe2ee6c0 [worker-1] (most recent call first):
  <no Python frame>
Thread 0x00007f1bfe2ee6c1 [gc] (most recent call first):
  Garbage-collecting
  File "/app/b.py", line 1 in collect`)
    assert.deepStrictEqual(rest, [])
    assert.deepStrictEqual(
      threads.map((thread) => thread.frames.map((frame) => `${frame.line} ${frame.function}`)),
      [["0 recurse", "7 <lambda>"], ["1 collect"]]
    )
  })

  it("keeps the last of several dumps", () => {
    const dump = (line: number) =>
      `Current thread 0x01 (most recent call first):\n  File "a.py", line ${line} in f\nThread 0x02 (most recent call first):\n  File "b.py", line 1 in g`
    const { threads } = read(`${dump(1)}\n${dump(2)}`)
    assert.deepStrictEqual(
      threads.map((thread) => thread.frames[0]?.line),
      [2, 1]
    )
  })

  it("keeps the worker's frames behind user code: a call that waits for its host", () => {
    const { threads } = read(`Current thread 0x01 (most recent call first):
  File "/site/snakepit_worker/callbacks.py", line 90 in call
  File "/app/a.py", line 2 in ask
  File "/site/snakepit_worker/execution.py", line 392 in _invoke`)
    assert.deepStrictEqual(
      threads[0]?.frames.map((frame) => frame.function),
      ["ask", "call"]
    )
  })

  it("leaves out threads that do nothing but serve the worker", () => {
    const { threads } = read(`Thread 0x01 (most recent call first):
  File "/site/snakepit_worker/wire.py", line 47 in read
  File "/site/snakepit_worker/control.py", line 51 in _run
  File "/usr/lib/python3.11/threading.py", line 982 in run`)
    assert.deepStrictEqual(threads, [])
  })

  it("takes no line that only looks like a frame", () => {
    const line = '  File "/app/a.py", line 2 in ask'
    assert.deepStrictEqual(read(line), { threads: [], rest: [line] })
  })
})
