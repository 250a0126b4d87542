import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  renameSync,
  writeSync,
} from 'node:fs'

/** Name of the file before this one. */
export function before(file: string): string {
  return `${file}.1`
}

/**
 * A log that two files of `limit` bytes hold: the one that is written, and the one before it, with `.1` at its
 * end; what is older is dropped. Who writes must not be able to fill the disk. For one writer at a time.
 */
export class TwoFiles implements Disposable {
  readonly #limit: number
  #file: string
  #fd: number
  #size: number
  #open = true

  /** Goes on with what is there. Throws errno errors. */
  constructor(file: string, limit: number) {
    this.#file = file
    this.#limit = limit
    this.#fd = openSync(file, 'a', 0o600)
    this.#size = fstatSync(this.#fd).size
  }

  /** Adds bytes, whole or not at all: false where the disk does not take them, or after the end. */
  append(bytes: Uint8Array): boolean {
    if (!this.#open) return false
    try {
      if (this.#size > 0 && this.#size + bytes.length > this.#limit) this.#beginAnew()
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at)
      this.#size += bytes.length
      return true
    } catch {
      try {
        ftruncateSync(this.#fd, this.#size)
      } catch {
        // then its reader skips what is torn
      }
      return false
    }
  }

  /** Gives both files another name. Throws errno errors. */
  moveTo(file: string): void {
    for (const name of [(at: string) => at, before]) {
      if (existsSync(name(this.#file))) renameSync(name(this.#file), name(file))
    }
    this.#file = file
  }

  /** May be called again. */
  [Symbol.dispose](): void {
    if (this.#open) closeSync(this.#fd)
    this.#open = false
  }

  #beginAnew(): void {
    renameSync(this.#file, before(this.#file))
    const fd = openSync(this.#file, 'a', 0o600)
    closeSync(this.#fd)
    this.#fd = fd
    this.#size = 0
  }
}
