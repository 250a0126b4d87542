import { statfsSync } from 'node:fs'

/** How often the disk is looked at, in milliseconds: a sealing agent writes some ten MiB meanwhile. */
const PAUSE_MS = 50
/** A disk with less than this is full. */
const FULL = 64 * 1024 * 1024
/** A disk of which a start has used up all but this part is full: the last pages may go between two looks. */
const REST = 1 / 8
/** Least that is given back; each start that fails again has twice the room of the one before, about. */
const LEAST = 256 * 1024 * 1024

/** Bytes that a process could still write to the filesystem of `folder`; undefined where there is none. */
export type Free = (folder: string) => number | undefined

/**
 * What the host itself sees of its disk while a container is started. An enclave that says `DISK_FULL` may be
 * wrong, and has given back what it wrote by the time it says so.
 */
export class DiskWatch implements Disposable {
  readonly #folder: string
  readonly #free: Free
  readonly #first: number | undefined
  readonly #timer: NodeJS.Timeout
  #least: number

  /** Looks at once, and then until it is disposed of. */
  constructor(folder: string, free: Free = freeBytes) {
    this.#folder = folder
    this.#free = free
    this.#first = free(folder)
    this.#least = this.#first ?? Number.POSITIVE_INFINITY
    this.#timer = setInterval(() => this.look(), PAUSE_MS)
    this.#timer.unref()
  }

  /** Looks now. */
  look(): void {
    this.#least = Math.min(this.#least, this.#free(this.#folder) ?? Number.POSITIVE_INFINITY)
  }

  /**
   * Bytes that kept layers shall make room for; 0 where the disk was not seen full. Never more than the disk
   * lost between two looks, whoever wrote it (this start, another one, or any program), or `LEAST`.
   */
  get wanted(): number {
    if (this.#first === undefined) return 0
    if (this.#least > Math.max(FULL, this.#first * REST)) return 0
    return Math.max(LEAST, this.#first - this.#least)
  }

  /**
   * Bytes of `wanted` that are missing still: others may have made room meanwhile. Ask it when nobody else
   * can make room at the same time.
   */
  get missing(): number {
    const { wanted } = this
    const now = this.#free(this.#folder)
    if (this.#first === undefined || now === undefined) return 0
    return Math.min(wanted, Math.max(0, this.#first + wanted - now))
  }

  /** Stops looking. May be called again. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }
}

function freeBytes(folder: string): number | undefined {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  } catch {
    return undefined
  }
}
