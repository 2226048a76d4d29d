/**
 * The variables that hide devices from a process. As in CUDA and ROCm, the list ends where an entry names no device, and an empty
 * list hides all of them. Entries are numbers or, cut short at will, UUIDs.
 */

/** The devices that `value` leaves, in its order; all of them when it is not set. */
export const visible = <A extends { readonly uuid: string | null; readonly slices?: ReadonlyArray<string | null> }>(
  devices: ReadonlyArray<A>,
  value: string | undefined
): ReadonlyArray<A> => {
  if (value === undefined) return devices
  const left: Array<A> = []
  for (const entry of value.split(",").map((part) => part.trim())) {
    const device = find(devices, entry)
    if (device === undefined) break
    if (!left.includes(device)) left.push(device)
  }
  return left
}

const find = <A extends { readonly uuid: string | null; readonly slices?: ReadonlyArray<string | null> }>(
  devices: ReadonlyArray<A>,
  entry: string
): A | undefined => {
  if (/^\d{1,6}$/.test(entry)) return devices[Number(entry)]
  if (!/^(?:GPU|MIG)-./.test(entry)) return undefined
  // one GPU at most: an ambiguous beginning names none
  const named = devices.filter(
    ({ slices, uuid }) => uuid?.startsWith(entry) === true || slices?.some((slice) => slice?.startsWith(entry)) === true
  )
  return named.length === 1 ? named[0] : undefined
}
