/**
 * Files mapped into memory: what Node has no API for, reached through `koffi`.
 *
 * Node itself makes, sizes and removes the files; only `mmap`, `munmap`, `posix_fallocate` and the `ArrayBuffer` over an
 * address are foreign. `koffi` is an optional dependency, loaded on first use: {@link load} says why it cannot be had.
 */
import { createRequire } from "node:module"
import type * as Koffi from "koffi"

/** The part of the C library that segments need. */
export interface Memory {
  /** Reserves the file's bytes, so that writing to the mapping cannot fail later. Answers an errno, 0 for success. */
  readonly reserve: (fd: number, bytes: number) => number
  /** Maps the file, for reading and writing, shared. Throws when the system refuses. */
  readonly map: (fd: number, bytes: number) => bigint
  readonly unmap: (address: bigint, bytes: number) => void
  /** An `ArrayBuffer` over memory at an address; its owner detaches it before the memory goes. */
  readonly view: (address: bigint, bytes: number) => ArrayBuffer
}

const PROT_READ_WRITE = 1 | 2
const MAP_SHARED = 1
/** Linux only: takes the page faults at once, in one system call, instead of one by one at first use. */
const MAP_POPULATE = process.platform === "linux" ? 0x8000 : 0
const MAP_FAILED = 0xffff_ffff_ffff_ffffn

let loaded: Memory | string | undefined

/** The functions, or why there are none. */
export const load = (): Memory | string => {
  loaded ??= open()
  return loaded
}

const open = (): Memory | string => {
  if (process.platform !== "linux" && process.platform !== "darwin") {
    return `shared memory is not supported on ${process.platform}`
  }
  try {
    // `require` is how a package is loaded at once and late; what it answers is the module that the type names
    const koffi = createRequire(import.meta.url)("koffi") as typeof Koffi
    const libc = koffi.load(null)
    const mmap = libc.func(
      "void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset)"
    )
    const munmap = libc.func("int munmap(void *address, size_t length)")
    const fallocate =
      process.platform === "linux"
        ? libc.func("int posix_fallocate(int fd, int64_t offset, int64_t length)")
        : undefined
    return {
      reserve: (fd, bytes) => (fallocate === undefined ? 0 : Number(fallocate(fd, 0, bytes))),
      map: (fd, bytes) => {
        const address = BigInt(mmap(null, bytes, PROT_READ_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0) ?? MAP_FAILED)
        if (address === MAP_FAILED || address === -1n) throw new Error(`mmap of ${bytes} bytes failed`)
        return address
      },
      unmap: (address, bytes) => {
        munmap(address, bytes)
      },
      view: (address, bytes) => koffi.view(address, bytes)
    }
  } catch (error) {
    return `koffi cannot be loaded: ${error instanceof Error ? error.message.split("\n", 1)[0] : String(error)}`
  }
}
