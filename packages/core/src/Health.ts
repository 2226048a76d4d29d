/**
 * How well the pools are: a status with its reasons, alerts about crashes, and answers for the probes of an orchestrator.
 *
 * | status | a pool has it when |
 * |---|---|
 * | `critical` | it has no worker |
 * | `unhealthy` | it has workers, and more than 5 crashed within a minute, or more than `maxRestarts` within `restartWindow`, or its circuit is open |
 * | `degraded` | fewer workers than `size` are up, more than 2 segfaults came within a minute, its circuit is half open, or a device of it is not healthy |
 * | `healthy` | otherwise |
 *
 * | status | a device has it when |
 * |---|---|
 * | `critical` | no worker is left on it |
 * | `unhealthy` | it has workers, and more than 5 on it crashed within a minute, or its circuit is open |
 * | `degraded` | a fatal GPU error tainted it, more than 2 segfaults came on it within a minute, or its circuit is half open |
 * | `healthy` | otherwise |
 *
 * The whole is as well as its worst pool. `Snakepit.health` and its neighbours read this from the service.
 */
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import type { CrashRecord } from "./internal/crashHistory.ts"
import type { DeviceStanding } from "./internal/devices.ts"

export type { CrashFilter, CrashRecord } from "./internal/crashHistory.ts"

/** From best to worst. */
export type Status = "healthy" | "degraded" | "unhealthy" | "critical"

const severity: ReadonlyArray<Status> = ["healthy", "degraded", "unhealthy", "critical"]

/** Crashes over the last minute that are more than a pool should have. */
export interface Alert {
  readonly alert: "crashRate" | "segfaults"
  /** Crashes counted, and the most that raise no alert. */
  readonly count: number
  readonly limit: number
}

/** How one device is that workers of the pool run on. */
export interface DeviceHealth {
  readonly device: string
  readonly status: Status
  /** Why it is not healthy, as sentences; empty when it is. */
  readonly reasons: ReadonlyArray<string>
  /** Workers on it that take calls. */
  readonly workers: number
  /** Crashes on it within the last minute. */
  readonly crashes: number
  /** Until when a fatal GPU error taints it (Unix time in milliseconds). */
  readonly taintedUntil: number | undefined
  /** Absent when the pool has no circuit breaker. */
  readonly circuit: CircuitBreaker.State | undefined
}

/** How one pool is. */
export interface PoolHealth {
  readonly pool: string
  readonly status: Status
  /** Why it is not healthy, as sentences; empty when it is. */
  readonly reasons: ReadonlyArray<string>
  readonly alerts: ReadonlyArray<Alert>
  /** Workers that take calls, and how many there should be. */
  readonly workers: number
  readonly size: number
  /** Crashes within the last minute. */
  readonly crashes: number
  /** Absent when the pool has no circuit breaker. */
  readonly circuit: CircuitBreaker.State | undefined
  /** The devices that its workers run on; empty when workers have none. */
  readonly devices: ReadonlyArray<DeviceHealth>
}

/** How all pools are. */
export interface Health {
  readonly status: Status
  readonly pools: ReadonlyArray<PoolHealth>
}

/** Whether calls can be served: for a readiness probe. */
export interface Readiness {
  /** False while a pool has no worker, or is closed. */
  readonly ready: boolean
  readonly status: Status
  /** What keeps it from being ready, or makes it less than healthy; each with the pool's name. */
  readonly reasons: ReadonlyArray<string>
}

/**
 * For a liveness probe. That it answers at all is the proof: the event loop runs. Dead workers are no reason to restart the
 * host, since the pools replace them.
 */
export interface Liveness {
  readonly alive: true
  readonly workers: number
}

/** What a pool tells about itself. Times are Unix times in milliseconds. */
export interface Observation {
  readonly pool: string
  readonly workers: number
  readonly size: number
  readonly isClosed: boolean
  /** Its crashes within the last {@link crashWindowMillis}. */
  readonly crashes: ReadonlyArray<CrashRecord>
  /** Whether workers crash more often than `maxRestarts` allows. */
  readonly restartsTooOften: boolean
  readonly circuit: CircuitBreaker.State | undefined
  readonly devices: ReadonlyArray<DeviceStanding>
}

/** The time over which crashes are counted for alerts. */
export const crashWindowMillis = 60_000

const mostCrashes = 5
const mostSegfaults = 2

/** Judges one pool. */
export const judge = (seen: Observation): PoolHealth => {
  let status: Status = "healthy"
  const reasons: Array<string> = []
  const alerts: Array<Alert> = []
  const find = (found: Status, reason: string) => {
    reasons.push(reason)
    status = worse(status, found)
  }
  const segfaults = seen.crashes.filter((record) => record.crash === "segfault").length
  if (seen.isClosed) find("critical", "it is closed")
  else if (seen.workers === 0) find("critical", "it has no worker")
  else if (seen.workers < seen.size) find("degraded", `${seen.workers} of ${seen.size} workers are up`)
  if (seen.crashes.length > mostCrashes) {
    alerts.push({ alert: "crashRate", count: seen.crashes.length, limit: mostCrashes })
    find("unhealthy", `${seen.crashes.length} workers crashed within a minute`)
  }
  if (segfaults > mostSegfaults) {
    alerts.push({ alert: "segfaults", count: segfaults, limit: mostSegfaults })
    find("degraded", `${segfaults} workers ended by a segmentation fault within a minute`)
  }
  if (seen.restartsTooOften) find("unhealthy", "its workers crash more often than `maxRestarts` allows")
  if (seen.circuit === "open") find("unhealthy", "its circuit is open")
  if (seen.circuit === "halfOpen") find("degraded", "its circuit is half open")
  const devices = seen.devices.map((device) =>
    judgeDevice(
      device,
      seen.crashes.filter((record) => record.device === device.device)
    )
  )
  for (const device of devices) {
    for (const reason of device.reasons) find("degraded", `device ${device.device}: ${reason}`)
  }
  const { pool, workers, size, circuit } = seen
  return { pool, status, reasons, alerts, workers, size, crashes: seen.crashes.length, circuit, devices }
}

const judgeDevice = (seen: DeviceStanding, crashes: ReadonlyArray<CrashRecord>): DeviceHealth => {
  let status: Status = "healthy"
  const reasons: Array<string> = []
  const find = (found: Status, reason: string) => {
    reasons.push(reason)
    status = worse(status, found)
  }
  const segfaults = crashes.filter((record) => record.crash === "segfault").length
  if (seen.workers === 0) find("critical", "no worker is left on it")
  if (crashes.length > mostCrashes) find("unhealthy", `${crashes.length} workers crashed within a minute`)
  if (segfaults > mostSegfaults) find("degraded", `${segfaults} segmentation faults within a minute`)
  if (seen.taintedUntil !== undefined) find("degraded", "a fatal GPU error tainted it")
  if (seen.circuit === "open") find("unhealthy", "its circuit is open")
  if (seen.circuit === "halfOpen") find("degraded", "its circuit is half open")
  return { ...seen, status, reasons, crashes: crashes.length }
}

/** The health of all from the health of each. */
export const summarize = (pools: ReadonlyArray<PoolHealth>): Health => ({
  status: pools.reduce<Status>((status, pool) => worse(status, pool.status), "healthy"),
  pools
})

export const readiness = (health: Health): Readiness => ({
  ready: health.status !== "critical",
  status: health.status,
  reasons: health.pools.flatMap((pool) => pool.reasons.map((reason) => `pool "${pool.pool}": ${reason}`))
})

/** An alert of a pool, as the log has it. */
export const describe = (pool: string, { alert, count, limit }: Alert): string =>
  `alert ${alert} of pool "${pool}": ${count} ${alert === "segfaults" ? "segmentation faults" : "crashes"} within a minute, more than ${limit}`

/** Whether a watcher would call both the same: status, alerts and circuit of each pool. Counts may differ. */
export const isSame = (one: Health, other: Health): boolean => picture(one) === picture(other)

const picture = (health: Health): string =>
  JSON.stringify(
    health.pools.map((pool) => [
      pool.pool,
      pool.status,
      pool.circuit,
      pool.alerts.map(({ alert }) => alert),
      pool.devices.map(({ circuit, device, status, taintedUntil }) => [device, status, circuit, taintedUntil])
    ])
  )

const worse = (one: Status, other: Status): Status => (severity.indexOf(one) >= severity.indexOf(other) ? one : other)
