/** Random values of every row of the value table, from a seed: a failure names the seed that shows it again. */
import { Complex, PlainDate, PlainDateTime, PlainTime, Tuple } from "@snakepit/core"
import { Tensor } from "@snakepit/zero-copy"
import * as BigDecimal from "effect/BigDecimal"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { Adapted, Ref } from "./notation.ts"

export interface Random {
  /** A float from 0 to below 1. */
  readonly next: () => number
  /** An integer from `least` to `greatest`. */
  readonly integer: (least: number, greatest: number) => number
  readonly pick: <A>(items: ReadonlyArray<A>) => A
}

/** mulberry32. */
export const makeRandom = (seed: number): Random => {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  const integer = (least: number, greatest: number) => least + Math.floor(next() * (greatest - least + 1))
  const pick = <A>(items: ReadonlyArray<A>): A => {
    const item = items[integer(0, items.length - 1)]
    if (item === undefined) throw new Error("nothing to pick from")
    return item
  }
  return { next, integer, pick }
}

const edges = [
  0,
  1,
  -1,
  0x7f,
  0x80,
  0xff,
  0x100,
  0xffff,
  0x10000,
  0xffffffff,
  0x100000000,
  -0x20,
  -0x21,
  -0x80,
  -0x81,
  -0x8000,
  -0x8001,
  -0x80000000,
  -0x80000001,
  Number.MAX_SAFE_INTEGER,
  Number.MIN_SAFE_INTEGER
]

const doubles = [0.5, -1.5, 1e300, 5e-324, 2 ** 53, NaN, Infinity, -Infinity, -0, 1.1]

const characters = ["a", "Z", "0", " ", "\0", "\n", "é", "ß", "日", "本", "😀", "\ufffd", "\uffff"]

const bytes = (random: Random): Uint8Array =>
  Uint8Array.from({ length: random.pick([0, 1, 2, 16, 255, 256, 5000]) }, () => random.integer(0, 255))

export const text = (random: Random): string =>
  Array.from({ length: random.pick([0, 1, 3, 15, 16, 20, 21, 31, 32, 100, 300]) }, () => random.pick(characters)).join(
    ""
  )

const key = (random: Random): string =>
  random.pick(["id", "name", "a key", "", "ключ", "constructor"]) + random.integer(0, 9)

const number = (random: Random): number =>
  random.pick([
    () => random.pick(edges),
    () => random.pick(doubles),
    () => random.integer(-1e6, 1e6),
    () => (random.next() - 0.5) * 10 ** random.integer(-300, 300)
  ])()

/** Any whole number of milliseconds or microseconds that Python's datetime and JavaScript's both hold. */
const epochMillis = (random: Random): number =>
  random.pick([
    () => random.integer(-62_135_510_400_000, 253_402_214_400_000),
    // Here a DateTime tells microseconds apart.
    () => random.integer(-8_796_000_000_000, 8_796_000_000_000) + random.integer(0, 999) / 1000
  ])()

const zones = ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns", "Pacific/Apia", "Africa/Monrovia"]

const dateTime = (random: Random): unknown => {
  const utc = DateTime.mapEpochMillis(DateTime.makeUnsafe(0), () => epochMillis(random))
  return random.pick([
    () => utc,
    () => DateTime.setZone(utc, DateTime.zoneMakeOffset(random.integer(1, 50_000) * 1000 * random.pick([1, -1]))),
    () => DateTime.setZone(utc, DateTime.zoneMakeNamedUnsafe(random.pick(zones)))
  ])()
}

const clock = (random: Random) =>
  [random.integer(0, 23), random.integer(0, 59), random.integer(0, 59), random.pick([0, 1, 999_999])] as const

/** Values without others inside, one generator for each row. */
export const leaves: Readonly<Record<string, (random: Random) => unknown>> = {
  null: () => null,
  boolean: (random) => random.next() < 0.5,
  number,
  bigint: (random) => {
    // Small ones are numbers in JavaScript.
    const magnitude = 2n ** BigInt(random.integer(54, 300)) + BigInt(random.integer(-1, 1))
    return random.next() < 0.5 ? magnitude : -magnitude
  },
  text,
  "text with lone surrogates": (random) => `${text(random)}\ud800${text(random)}\udc00`,
  bytes,
  complex: (random) => new Complex(number(random), number(random)),
  decimal: (random) =>
    BigDecimal.make(BigInt(random.integer(-1e9, 1e9)) * 10n ** BigInt(random.integer(0, 30)), random.integer(-40, 40)),
  dateTime,
  plainDateTime: (random) =>
    new PlainDateTime(random.integer(1, 9999), random.integer(1, 12), random.integer(1, 28), ...clock(random)),
  plainDate: (random) => new PlainDate(random.integer(1, 9999), random.integer(1, 12), random.integer(1, 28)),
  plainTime: (random) => new PlainTime(...clock(random), random.pick([null, 0, 3600, -12_345])),
  duration: (random) =>
    Duration.micros(
      BigInt(random.integer(-1e9, 1e9)) * BigInt(random.pick([1, 1000, 86_400_000])) + BigInt(random.integer(0, 9))
    ),
  ref: (random) => new Ref(text(random), "w", random.integer(0, 2 ** 40), "numpy.ndarray"),
  tensor: (random) => Tensor.of(Float64Array.from({ length: random.integer(0, 9) }, () => number(random)))
}

/** A value of any row, with others inside it while `depth` lasts. */
export const value = (random: Random, depth: number): unknown => {
  if (depth === 0 || random.next() < 0.5) return random.pick(Object.values(leaves))(random)
  const items = () => Array.from({ length: random.pick([0, 1, 2, 5, 17]) }, () => value(random, depth - 1))
  return random.pick<() => unknown>([
    items,
    () => Object.fromEntries(items().map((item) => [key(random), item])),
    () => Tuple.fromArray(items()),
    () => new Set(items()),
    // One key that is no string keeps it a Map, and one that is `__proto__` as well.
    () =>
      new Map([[random.pick<unknown>([1.5, null, "__proto__"]), 1], ...items().map((item) => [item, item] as const)]),
    () => new Adapted("point", items())
  ])()
}

/** What MessagePack and JavaScript both have, and msgpackr writes in the same way. */
export const plainValue = (random: Random, depth: number): unknown => {
  if (depth === 0 || random.next() < 0.4) {
    return random.pick<() => unknown>([
      () => null,
      () => random.next() < 0.5,
      () => random.integer(-0x80000000, 0xffffffff),
      () => random.next() * 1000,
      () => text(random),
      () => bytes(random)
    ])()
  }
  const items = () => Array.from({ length: random.pick([0, 1, 3, 15, 16, 40]) }, () => plainValue(random, depth - 1))
  return random.next() < 0.5 ? items() : Object.fromEntries(items().map((item) => [key(random), item]))
}
