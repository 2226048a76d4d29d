/// <reference lib="es2024.arraybuffer" preserve="true" />
/**
 * Segments: files that host and workers map, of which regions are cut.
 *
 * They are in `/dev/shm`, which is memory, unless that is too small or missing; then in the folder for temporary files.
 * A name is the arena's prefix and a number, so a worker needs to be told the number only; the folder belongs to one
 * instance, and says to a later one whose it was. The bytes of a segment are reserved when it is made: a full file system is an error then, and never
 * a signal at the first write.
 */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { FreeList } from "./freeList.ts"
import type { Memory } from "./mapping.ts"

/** `/dev/shm` with less free than this is not used: Docker gives containers 64 MiB unless told otherwise. */
const smallestShm = 256 * 1024 * 1024

const shm = "/dev/shm"

/** Wherever segments can be: what is left of a program that was killed is there. */
export const segmentRoots = (): ReadonlyArray<string> => [shm, os.tmpdir()]

/** Where segments go, in order of preference, and what is to be said about it. */
export interface Places {
  readonly roots: ReadonlyArray<string>
  readonly notice: string | undefined
}

/** Finds out where segments can be. `wanted` is the budget: a small `/dev/shm` is no harm when that is smaller still. */
export const findPlaces = (wanted: number, shmRoot: string = shm, fileRoot: string = os.tmpdir()): Places => {
  const instead = `shared memory is made of files in ${fileRoot} instead, which is slower where that is a disk`
  try {
    fs.accessSync(shmRoot, fs.constants.W_OK)
    const { bavail, bsize } = fs.statfsSync(shmRoot)
    const free = bavail * bsize
    if (free >= Math.min(wanted, smallestShm)) return { roots: [shmRoot, fileRoot], notice: undefined }
    return {
      roots: [fileRoot],
      notice:
        `${shmRoot} has ${mebibytes(free)} free, and maxSharedMemory is ${mebibytes(wanted)}: ${instead}. Give it more ` +
        "room (docker run --shm-size=1g, an emptyDir of medium Memory in Kubernetes), or lower maxSharedMemory"
    }
  } catch {
    // macOS has none, and there is nothing to be done about it
    const notice = process.platform === "linux" ? `${shmRoot} cannot be used: ${instead}` : undefined
    return { roots: [fileRoot], notice }
  }
}

/** A number of bytes, for people. */
export const mebibytes = (bytes: number): string => `${Math.round((bytes / 1024 / 1024) * 10) / 10} MiB`

/** One file, mapped. */
export class Segment {
  readonly id: number
  readonly size: number
  /** All of it. Whoever hands out a part gives it an `ArrayBuffer` of its own, which can be detached. */
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly free: FreeList
  private readonly memory: Memory
  private readonly address: bigint
  private readonly file: string
  private isMapped = true

  private constructor(id: number, size: number, file: string, address: bigint, memory: Memory) {
    this.id = id
    this.size = size
    this.file = file
    this.address = address
    this.memory = memory
    this.bytes = new Uint8Array(memory.view(address, size))
    this.free = new FreeList(size)
  }

  /** Makes a segment in the first folder that has room, or answers why there is none. */
  static make(
    id: number,
    size: number,
    prefix: string,
    folders: ReadonlyArray<string>,
    memory: Memory
  ): Segment | string {
    const reasons: Array<string> = []
    for (const folder of folders) {
      const file = path.join(folder, `${prefix}${id}`)
      let fd: number | undefined
      try {
        fd = fs.openSync(file, "wx+", 0o600)
        fs.ftruncateSync(fd, size)
        const errno = memory.reserve(fd, size)
        if (errno !== 0) throw new Error(os.constants.errno.ENOSPC === errno ? "no space is left" : `errno ${errno}`)
        return new Segment(id, size, file, memory.map(fd, size), memory)
      } catch (error) {
        if (fd !== undefined) fs.rmSync(file, { force: true })
        reasons.push(`${folder}: ${error instanceof Error ? error.message : String(error)}`)
      } finally {
        if (fd !== undefined) fs.closeSync(fd)
      }
    }
    return `a segment of ${mebibytes(size)} could not be made (${reasons.join("; ")})`
  }

  /** An `ArrayBuffer` over a part. */
  view(offset: number, bytes: number): ArrayBuffer {
    return bytes === 0 ? new ArrayBuffer(0) : this.memory.view(this.address + BigInt(offset), bytes)
  }

  /** Removes the name: nobody maps it any more from here on. */
  unlink(): void {
    fs.rmSync(this.file, { force: true })
  }

  /** Gives the memory back. No view may be left. */
  unmap(): void {
    if (!this.isMapped) return
    this.isMapped = false
    this.bytes.buffer.transfer(0)
    this.memory.unmap(this.address, this.size)
  }
}
