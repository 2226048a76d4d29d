/**
 * Python as the interactive session shows it: `py.numpy.linalg.norm([3, 4])` calls, `py.math.pi` reads when it is awaited, and
 * objects that stay in Python behave the same. For people who type; programs use `Snakepit.call`, which has types.
 */
import { isPyRef, type PyRef, type Session, type SnakepitError } from "@snakepit/core"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

/** The keyword arguments of a call, as its last argument. */
export class Keywords {
  readonly values: Readonly<Record<string, unknown>>

  constructor(values: Readonly<Record<string, unknown>>) {
    this.values = values
  }
}

/** What stands at a path below an object, or, without one, below Python's modules. */
export interface Place {
  readonly root: PyRef | undefined
  readonly path: ReadonlyArray<string>
}

/** Something to do in Python. */
export type PythonTask<A> = Effect.Effect<A, SnakepitError.SnakepitError>

/** Python, reached through a session. */
export class PythonProxy {
  /** What the next task runs in. */
  session: Session
  private readonly run: <A>(task: PythonTask<A>) => Promise<A>
  private readonly places = new WeakMap<object, Place>()

  constructor(session: Session, run: <A>(task: PythonTask<A>) => Promise<A>) {
    this.session = session
    this.run = run
  }

  /** Something that can be called, walked into and awaited. */
  at(place: Place): object {
    const proxy = new Proxy(() => {}, {
      apply: (_target, _self, args) => this.run(this.call(place, args)).then((value) => this.shown(value)),
      get: (_target, name) => {
        if (typeof name === "symbol") return undefined
        if (name !== "then") return this.at({ root: place.root, path: [...place.path, name] })
        // awaiting reads; an object is read already
        if (place.path.length === 0) return undefined
        const value = this.run(this.read(place)).then((read) => this.shown(read))
        return value.then.bind(value)
      }
    })
    this.places.set(proxy, place)
    return proxy
  }

  /** What a proxy stands for; `undefined` for anything else. */
  placeOf(value: unknown): Place | undefined {
    return typeof value === "function" ? this.places.get(value) : undefined
  }

  /** The names below a place: of modules at the top, of attributes elsewhere. */
  names(place: Place): Promise<ReadonlyArray<string>> {
    if (place.root === undefined && place.path.length === 0) return this.run(this.modules)
    return this.run(
      Effect.map(
        Effect.flatMap(this.object(place), (object) => this.session.call("builtins.dir", { args: [object] })),
        strings
      )
    )
  }

  /** How Python writes an object. */
  repr(object: PyRef): Promise<string> {
    return this.run(Effect.map(this.session.call("builtins.repr", { args: [object] }), String))
  }

  /** Signature and documentation of what stands at a place. */
  documentation(place: Place): Promise<string> {
    return this.run(
      Effect.gen({ self: this }, function* () {
        const object = yield* this.object(place)
        const signature = yield* this.session.ref("inspect.signature", { args: [object] }).pipe(
          Effect.flatMap((ref) => this.session.call("builtins.str", { args: [ref] })),
          Effect.orElseSucceed(() => "") // it has none, or does not tell
        )
        const text = yield* this.session.call("inspect.getdoc", { args: [object] })
        const name = place.path.join(".") || place.root?.pythonType
        return `${name}${String(signature)}\n\n${text === null ? "It has no documentation." : String(text)}`
      })
    )
  }

  private shown(value: unknown): unknown {
    return isPyRef(value) ? this.at({ root: value, path: [] }) : value
  }

  private call({ path, root }: Place, given: ReadonlyArray<unknown>): PythonTask<unknown> {
    return Effect.gen({ self: this }, function* () {
      const last = given.at(-1)
      const kwargs = last instanceof Keywords ? last.values : {}
      const args = yield* Effect.forEach(last instanceof Keywords ? given.slice(0, -1) : given, (value) => {
        const place = this.placeOf(value)
        return place === undefined ? Effect.succeed(value) : this.object(place)
      })
      const method = path.at(-1)
      if (root === undefined) return yield* this.session.call(path.join("."), { args, kwargs })
      if (method === undefined) return yield* root.call("__call__", { args, kwargs })
      const owner = yield* this.object({ root, path: path.slice(0, -1) })
      return yield* owner.call(method, { args, kwargs })
    })
  }

  private read({ path, root }: Place): PythonTask<unknown> {
    const attribute = path.at(-1)
    if (attribute === undefined || (root === undefined && path.length === 1)) return this.object({ path, root })
    return Effect.flatMap(this.object({ root, path: path.slice(0, -1) }), (owner) => owner.get(attribute))
  }

  /** A ref of what stands at a place; modules on the way are imported. */
  private object({ path, root }: Place): PythonTask<PyRef> {
    return Effect.gen({ self: this }, function* () {
      const [first, ...rest] = path
      if (root !== undefined) return yield* this.walk(root, path)
      if (first === undefined) return yield* this.imported("builtins")
      let object = yield* this.imported(first)
      for (const [index, name] of rest.entries()) {
        object = yield* this.walk(object, [name]).pipe(
          Effect.catchTag("AttributeError", () => this.imported(path.slice(0, index + 2).join(".")))
        )
      }
      return object
    })
  }

  private imported(name: string): PythonTask<PyRef> {
    return this.session.ref("importlib.import_module", { args: [name] })
  }

  private walk(from: PyRef, path: ReadonlyArray<string>): PythonTask<PyRef> {
    return Effect.gen({ self: this }, function* () {
      let object = from
      for (const name of path) object = yield* this.session.ref("builtins.getattr", { args: [object, name] })
      return object
    })
  }

  private get modules(): PythonTask<ReadonlyArray<string>> {
    return Effect.gen({ self: this }, function* () {
      const standard = yield* this.session.attribute("sys.stdlib_module_names")
      const installed = yield* Stream.runCollect(this.session.stream("pkgutil.iter_modules"))
      return [...new Set([...strings(standard), ...[...installed].flatMap(moduleName)])].toSorted()
    })
  }
}

const strings = (value: unknown): ReadonlyArray<string> =>
  (value instanceof Set || Array.isArray(value) ? [...value] : []).filter((name) => typeof name === "string")

/** The name in a `pkgutil.ModuleInfo`. */
const moduleName = (info: unknown): ReadonlyArray<string> =>
  typeof info === "object" && info !== null && "name" in info && typeof info.name === "string" ? [info.name] : []
