/** Reads lists of processors as the kernel writes them: `0-3,8,10-11`. */

/** How many processors the list names; `null` when it is no such list. */
export const countProcessors = (list: string): number | null => {
  const seen = new Set<number>()
  for (const range of list.trim().split(",")) {
    const [, first, last = first] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(range) ?? []
    if (first === undefined || last === undefined || Number(last) < Number(first)) return null
    for (let processor = Number(first); processor <= Number(last); processor++) seen.add(processor)
  }
  return seen.size
}

/** The processors that the scheduler may run this process on, from `/proc/self/status`: affinity and cpuset counted in. */
export const parseAffinity = (status: string): number | null => {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1]
  return list === undefined ? null : countProcessors(list)
}
