/**
 * The variables that hide devices from a process. As in CUDA and ROCm, the list ends where an entry names no device, and an empty
 * list hides all of them. Entries are numbers or, cut short at will, UUIDs.
 */

/** The devices that `value` leaves, in its order; all of them when it is not set. `namesOf` answers what a device may be called. */
export const visible = <A>(
  devices: ReadonlyArray<A>,
  value: string | undefined,
  namesOf: (device: A) => ReadonlyArray<string | null>
): ReadonlyArray<A> => {
  if (value === undefined) return devices
  const left: Array<A> = []
  for (const entry of entries(value)) {
    const device = find(devices, entry, namesOf)
    if (device === undefined) break
    if (!left.includes(device)) left.push(device)
  }
  return left
}

/** The entries of such a variable. */
export const entries = (value: string): ReadonlyArray<string> => value.split(",").map((entry) => entry.trim())

const find = <A>(
  devices: ReadonlyArray<A>,
  entry: string,
  namesOf: (device: A) => ReadonlyArray<string | null>
): A | undefined => {
  if (/^\d{1,6}$/.test(entry)) return devices[Number(entry)]
  if (!/^(?:GPU|MIG)-./.test(entry)) return undefined
  // one GPU at most: an ambiguous beginning names none
  const named = devices.filter((device) => namesOf(device).some((name) => name?.startsWith(entry) === true))
  return named.length === 1 ? named[0] : undefined
}
