const CHUNK = 4096
// Versions before the current one that are kept of a chunk.
const KEPT = 4
const ZEROS = new Uint8Array(CHUNK)

/** What a hostile disk holds of one file, and what it held before. Offsets and lengths in bytes. */
export class DiskChunks {
  #now = new Map<number, Uint8Array>()
  /** What it would hold after a loss of power, if it were an honest disk. */
  #synced = new Map<number, Uint8Array>()
  /** Oldest first. */
  readonly #before = new Map<number, Uint8Array[]>()

  /** What was written last. */
  read(offset: number, length: number): Uint8Array {
    return this.#read(offset, length, (chunk) => this.#at(chunk))
  }

  /** Older versions of the chunks that have any, each chosen by `random`. */
  readBefore(offset: number, length: number, random: (below: number) => number): Uint8Array {
    return this.#read(offset, length, (chunk) => this.#older(chunk, random))
  }

  /** Puts bytes somewhere. */
  write(offset: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const chunk = Math.floor((offset + at) / CHUNK)
      const skip = (offset + at) % CHUNK
      const length = Math.min(CHUNK - skip, bytes.length - at)
      const next = Uint8Array.from(this.#at(chunk))
      next.set(bytes.subarray(at, at + length), skip)
      this.#put(chunk, next)
      at += length
    }
  }

  /** From here on no loss of power takes back what is there. */
  sync(): void {
    this.#synced = new Map(this.#now)
  }

  /** Takes back some of the chunks that were not synced: to what was synced, or to a version in between. */
  lose(random: (below: number) => number): void {
    for (const [chunk, bytes] of this.#now) {
      const synced = this.#synced.get(chunk) ?? ZEROS
      if (bytes === synced || random(3) !== 0) continue
      this.#put(chunk, random(2) === 0 ? synced : this.#older(chunk, random))
    }
  }

  #at(chunk: number): Uint8Array {
    return this.#now.get(chunk) ?? ZEROS
  }

  #older(chunk: number, random: (below: number) => number): Uint8Array {
    const versions = this.#before.get(chunk) ?? []
    return versions[random(versions.length)] ?? this.#at(chunk)
  }

  #put(chunk: number, bytes: Uint8Array): void {
    const old = this.#now.get(chunk)
    if (old !== undefined) {
      const versions = this.#before.get(chunk) ?? []
      this.#before.set(chunk, [...versions, old].slice(-KEPT))
    }
    this.#now.set(chunk, bytes)
  }

  #read(offset: number, length: number, of: (chunk: number) => Uint8Array): Uint8Array {
    const first = Math.floor(offset / CHUNK)
    const end = Math.ceil((offset + length) / CHUNK)
    const out = new Uint8Array((end - first) * CHUNK)
    for (let chunk = first; chunk < end; chunk++) out.set(of(chunk), (chunk - first) * CHUNK)
    return out.subarray(offset - first * CHUNK, offset - first * CHUNK + length)
  }
}
