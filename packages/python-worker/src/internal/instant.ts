/**
 * What Python's aware datetimes and timedeltas are in Effect: `DateTime` and `Duration`, to the microsecond.
 */
import type { PlainDateTime } from "@snakepit/core"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { ValueFailure } from "./valueFailure.ts"

/** The zone of a datetime on the wire. */
export interface Zone {
  /** IANA key, or null for a fixed offset. */
  readonly key: string | null
  /** Seconds east of UTC. */
  readonly offset: number
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant's `days_from_civil`). */
const daysFromEpoch = (year: number, month: number, day: number): number => {
  // Years begin in March here, so that the leap day is the last of its year.
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}

const epoch: DateTime.Utc = DateTime.makeUnsafe(0)

/** The instant at which a clock `zone.offset` seconds east of UTC shows this. */
export const instantOf = (clock: PlainDateTime, zone: Zone): DateTime.DateTime => {
  const seconds =
    daysFromEpoch(clock.year, clock.month, clock.day) * 86_400 +
    clock.hour * 3600 +
    clock.minute * 60 +
    clock.second -
    zone.offset
  const whole = seconds * 1000 + Math.floor(clock.microsecond / 1000)
  const rest = clock.microsecond % 1000
  const millis = whole + rest / 1000
  // A float64 of milliseconds tells microseconds apart from 1691 to 2248 only.
  if (Math.round((millis - whole) * 1000) !== rest || Math.floor(millis) !== whole) {
    throw new ValueFailure(
      `${clock}, whose microseconds a DateTime cannot hold so far from 1970`,
      "microseconds between the years 1691 and 2248, or whole milliseconds, or a naive datetime"
    )
  }
  // DateTime.makeUnsafe would go through Date, which drops the fraction.
  const utc = DateTime.mapEpochMillis(epoch, () => millis)
  if (zone.key !== null) return DateTime.setZone(utc, namedZone(zone.key))
  return zone.offset === 0 ? utc : DateTime.setZone(utc, DateTime.zoneMakeOffset(zone.offset * 1000))
}

const zones = new Map<string, DateTime.TimeZone.Named>()

/**
 * A named zone that keeps its name. Intl answers an alias with the zone it stands for (`Asia/Kolkata` with
 * `Asia/Calcutta`), and Effect takes that as the id; Python would then get another key back than it sent.
 */
const namedZone = (key: string): DateTime.TimeZone.Named => {
  const known = zones.get(key)
  if (known !== undefined) return known
  let zone: DateTime.TimeZone.Named
  try {
    zone = DateTime.zoneMakeNamedUnsafe(key)
  } catch {
    throw new ValueFailure(JSON.stringify(key), "a time zone that this JavaScript runtime knows")
  }
  if (zone.id !== key) zone = Object.assign(Object.create(Object.getPrototypeOf(zone)), zone, { id: key })
  zones.set(key, zone)
  return zone
}

/** A timedelta: in milliseconds where they say it all, else in nanoseconds. */
export const durationOf = (days: number, seconds: number, microseconds: number): Duration.Duration => {
  const millis = days * 86_400_000 + seconds * 1000 + microseconds / 1000
  return Number.isSafeInteger(millis) && microseconds % 1000 === 0
    ? Duration.millis(millis)
    : Duration.nanos(((BigInt(days) * 86_400n + BigInt(seconds)) * 1_000_000n + BigInt(microseconds)) * 1000n)
}
