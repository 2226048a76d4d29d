/**
 * `snakepit repl`: JavaScript with Python in it. `py` holds every module; promises are awaited; `.doc` shows documentation; the
 * tabulator key completes modules and attributes.
 */
import { Snakepit } from "@snakepit/core"
import { SnakepitNode } from "@snakepit/python-worker"
import * as readline from "node:readline"
import * as repl from "node:repl"
import { PassThrough } from "node:stream"
import * as vm from "node:vm"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import type { WorkerFlags } from "../environmentFlags.ts"
import { workerPool } from "../environmentOptions.ts"
import { fail } from "../failure.ts"
import { hasColors, pretty } from "../output.ts"
import { Keywords, type Place, PythonProxy, type PythonTask } from "../PythonProxy.ts"

/** What Python prints is shown as it is. */
const plainLogger = Logger.layer([
  Logger.make(({ message }) =>
    process.stdout.write(`${Array.isArray(message) ? message.join(" ") : String(message)}\n`)
  )
])

/** Starts one worker and reads until the end of the input. */
export const run = (input: WorkerFlags) => {
  // whoever sits here may look at everything
  const pool = { ...workerPool(input), allowPrivate: true }
  return Effect.gen(function* () {
    const promise = Effect.runPromiseWith(yield* Effect.context<Snakepit.Snakepit | Scope.Scope>())
    const running = new Running()
    const proxy = new PythonProxy(yield* Snakepit.session(), (task) =>
      running.track((signal) => promise(renewing(proxy, task), { signal }))
    )
    yield* Effect.callback<void>((resume) => {
      const server = start(proxy, running)
      server.once("exit", () => {
        // the session ends now, and not when what runs has ended
        running.stop()
        resume(Effect.void)
      })
      return Effect.sync(() => server.close())
    })
  }).pipe(
    Effect.scoped,
    Effect.provide(SnakepitNode.layer({ pools: { default: pool } })),
    Effect.provide(plainLogger),
    Effect.catch(fail)
  )
}

/** Opens another session, and says so, when the one of the proxy has been lost before the task began. */
const renewing = <A>(proxy: PythonProxy, task: PythonTask<A>) => {
  const lost = proxy.session
  return Effect.catchTag(task, "SessionLost", (error) =>
    Effect.gen(function* () {
      // an object of an earlier session stays lost
      if (error.session !== lost.id || error.mayHaveExecuted) return yield* error
      const session = yield* Snakepit.session()
      // one of several tasks that found it lost
      if (proxy.session === lost) {
        proxy.session = session
        yield* Effect.logWarning(`Python was started anew, and what variables held of it is gone: ${error.reason}`)
      }
      return yield* task
    })
  )
}

/** What runs in Python at the moment, so that it can be stopped. */
class Running {
  private readonly calls = new Set<AbortController>()

  async track<A>(begin: (signal: AbortSignal) => Promise<A>): Promise<A> {
    const call = new AbortController()
    this.calls.add(call)
    try {
      return await begin(call.signal)
    } catch (error) {
      throw call.signal.aborted ? new Interrupted("stopped by Ctrl-C") : error
    } finally {
      this.calls.delete(call)
    }
  }

  /** Stops everything, and answers whether there was anything. */
  stop(): boolean {
    const found = [...this.calls]
    for (const call of found) call.abort()
    return found.length > 0
  }
}

class Interrupted extends Error {
  override readonly name = "Interrupted"
}

const start = (proxy: PythonProxy, running: Running): repl.REPLServer => {
  const isTerminal = process.stdin.isTTY === true
  if (isTerminal)
    process.stdout.write("Python is in `py`: py.math.sqrt(2). `.doc py.math.sqrt` explains, Ctrl-D ends.\n")
  const input = isTerminal ? process.stdin : new PassThrough()
  /** How Python writes the objects that were shown. */
  const written = new WeakMap<object, string>()
  const server = repl.start({
    prompt: isTerminal ? "> " : "",
    input,
    output: process.stdout,
    terminal: isTerminal,
    useColors: hasColors(),
    // it would stand there doubled while Python is asked for a completion
    preview: false,
    writer: (value) => (typeof value === "function" ? (written.get(value) ?? pretty(value)) : pretty(value)),
    completer: (line: string, done: (error: Error | null, found: readline.CompleterResult) => void) => {
      settle(complete(proxy, server.context, line), done, () => done(null, [[], line])) // what cannot be looked up has none
    }
  })
  server.context["py"] = proxy.at({ root: undefined, path: [] })
  server.context["kw"] = (values: Readonly<Record<string, unknown>>) => new Keywords(values)
  const evaluate = server.eval
  // a promise is awaited, so that `py.math.sqrt(2)` shows its result
  const evaluateAndWait: typeof evaluate = (code, context, file, done) =>
    evaluate.call(server, code, context, file, (error: Error | null, result: unknown) => {
      if (error !== null) return done(error, undefined)
      settle(valueOf(proxy, result, written), done, (failure) => done(readable(failure), undefined))
    })
  Object.assign(server, { eval: evaluateAndWait })
  server.defineCommand("doc", {
    help: "Show the documentation of something in Python",
    action(expression) {
      const show = (_error: unknown, text: string) => {
        this.output.write(`${text}\n`)
        this.displayPrompt()
      }
      const text = proxy.documentation(placeNamed(proxy, server.context, expression.trim()))
      settle(text, show, (failure) => show(undefined, readable(failure).message))
    }
  })
  const onInterrupt = server.listeners("SIGINT")
  server.removeAllListeners("SIGINT")
  server.on("SIGINT", () => {
    if (!running.stop()) for (const listener of onInterrupt) listener.call(server)
  })
  if (input instanceof PassThrough) feed(input, server)
  return server
}

/** Passes lines on one by one, each when the prompt is back after the one before it: as who sits at a terminal does. */
const feed = (input: PassThrough, server: repl.REPLServer): void => {
  const lines = readline.createInterface({ input: process.stdin })
  const waiting: Array<string> = []
  let isReady = true
  let isAtEnd = false
  const next = () => {
    if (!isReady) return
    const line = waiting.shift()
    if (line !== undefined) {
      isReady = false
      input.write(`${line}\n`)
    } else if (isAtEnd) input.end()
  }
  const displayPrompt = server.displayPrompt.bind(server)
  server.displayPrompt = (preserveCursor) => {
    displayPrompt(preserveCursor)
    isReady = true
    setImmediate(next)
  }
  lines.on("line", (line) => {
    waiting.push(line)
    next()
  })
  lines.on("close", () => {
    isAtEnd = true
    next()
  })
  server.once("exit", () => lines.close())
}

/** Tells a callback, in Node's way, how a promise ended. */
const settle = async <A>(
  promise: Promise<A>,
  done: (error: null, value: A) => void,
  onFailure: (error: unknown) => void
): Promise<void> => {
  let value: A
  try {
    value = await promise
  } catch (error) {
    return onFailure(error)
  }
  done(null, value)
}

/** The value of what was typed, and how Python writes it when it stays there. */
const valueOf = async (proxy: PythonProxy, result: unknown, written: WeakMap<object, string>): Promise<unknown> => {
  const value = await result
  const root = proxy.placeOf(value)?.root
  if (root !== undefined && typeof value === "function") written.set(value, await proxy.repr(root))
  return value
}

/** What is shown of an error: its kind and its message, without a trace of this program. */
const readable = (failure: unknown): Error => {
  const error = failure instanceof Error ? failure : new Error(String(failure))
  const shown = new Error(error.message)
  shown.stack = `${"pythonType" in error ? String(error.pythonType) : error.name}: ${error.message}`
  return shown
}

/** What stands for a dotted name: below `py`, or below a variable that holds an object of Python. */
const placeNamed = (proxy: PythonProxy, context: object, name: string): Place => {
  const [variable = "", ...path] = name.split(".")
  const place = proxy.placeOf(valueIn(context, variable))
  return place === undefined
    ? { root: undefined, path: [variable, ...path] }
    : { ...place, path: [...place.path, ...path] }
}

const complete = async (proxy: PythonProxy, context: object, line: string): Promise<readline.CompleterResult> => {
  const [, before, begun] = /([A-Za-z_$][\w$.]*)\.([\w$]*)$/.exec(line) ?? []
  if (before === undefined || begun === undefined) return [[], line]
  if (proxy.placeOf(valueIn(context, before.split(".")[0] ?? "")) === undefined) return [[], line]
  const names = await proxy.names(placeNamed(proxy, context, before))
  return [names.filter((name) => name.startsWith(begun)).map((name) => `${before}.${name}`), `${before}.${begun}`]
}

/** The value of a variable of the session. */
const valueIn = (context: object, variable: string): unknown => {
  if (!/^[A-Za-z_$][\w$]*$/.test(variable)) return undefined
  try {
    return vm.runInContext(variable, context)
  } catch {
    return undefined // there is none
  }
}
