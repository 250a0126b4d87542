import { randomBytes } from 'node:crypto'
import { BytePool } from './byte-pool.ts'
import { ErofsError } from './erofs-error.ts'
import { grown } from './nodes.ts'

/** Dirent `.` of every directory. */
export const SELF = 0
/** Dirent `..` of every directory. */
export const PARENT = 1

/**
 * Names in directories: columns over a pool of name bytes, found by (directory, name)
 * through an open hash table. A dirent is its index; it is never removed, only pointed
 * at another node.
 */
export class Dirents {
  nameAt: Uint32Array = new Uint32Array(64)
  nameLength: Uint8Array = new Uint8Array(64)
  node: Int32Array = new Int32Array(64)
  parent: Int32Array = new Int32Array(64)
  /** The dirent that was added before to the same directory, or -1. */
  previous: Int32Array = new Int32Array(64)
  readonly names: BytePool = new BytePool(64 * 1024)
  #count = 0
  #table: Int32Array = new Int32Array(256).fill(-1)
  // Names are chosen by the image's author, who must not know how to make them collide.
  readonly #seed: number = randomBytes(4).readUInt32LE()

  readonly #limit: number

  /** `limit` is for the bytes of all names. */
  constructor(limit: number) {
    this.#limit = limit
    const at = this.names.append(Uint8Array.of(0x2e, 0x2e))
    this.#push(-1, at, 1, -1)
    this.#push(-1, at, 2, -1)
  }

  /** Dirents so far, `.` and `..` once each. */
  get count(): number {
    return this.#count
  }

  /** The dirent of `name` in directory `parent`, or -1. */
  find(parent: number, name: Uint8Array): number {
    const mask = this.#table.length - 1
    for (let at = this.#hash(parent, name, 0, name.length) & mask; ; at = (at + 1) & mask) {
      const dirent = this.#table[at] as number
      if (dirent < 0 || (this.parent[dirent] === parent && this.#named(dirent, name))) return dirent
    }
  }

  /**
   * Adds a name that `find` does not know; `previous` is the directory's last dirent or -1.
   * Throws `EROFS_LIMIT` above the budget of names.
   */
  add(parent: number, name: Uint8Array, previous: number): number {
    if (this.names.length + name.length > this.#limit) {
      throw new ErofsError('EROFS_LIMIT', `names of an image: above ${this.#limit} bytes`)
    }
    if (this.#count * 2 > this.#table.length) this.#rehash(this.#table.length * 2)
    const dirent = this.#push(parent, this.names.append(name), name.length, previous)
    this.#insert(dirent)
    return dirent
  }

  /** Order of unsigned bytes between the names of two dirents. */
  compare(a: number, b: number): number {
    const bytes = this.names.bytes
    const [atA, atB] = [this.nameAt[a] as number, this.nameAt[b] as number]
    const [lengthA, lengthB] = [this.nameLength[a] as number, this.nameLength[b] as number]
    const common = Math.min(lengthA, lengthB)
    for (let i = 0; i < common; i++) {
      const difference = (bytes[atA + i] as number) - (bytes[atB + i] as number)
      if (difference !== 0) return difference
    }
    return lengthA - lengthB
  }

  /** The name's bytes, a view. */
  name(dirent: number): Uint8Array {
    const at = this.nameAt[dirent] as number
    return this.names.bytes.subarray(at, at + (this.nameLength[dirent] as number))
  }

  #push(parent: number, nameAt: number, nameLength: number, previous: number): number {
    const dirent = this.#count++
    if (dirent === this.node.length) this.#grow(dirent * 2)
    this.nameAt[dirent] = nameAt
    this.nameLength[dirent] = nameLength
    this.parent[dirent] = parent
    this.previous[dirent] = previous
    return dirent
  }

  #named(dirent: number, name: Uint8Array): boolean {
    if (this.nameLength[dirent] !== name.length) return false
    const at = this.nameAt[dirent] as number
    const bytes = this.names.bytes
    for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return false
    return true
  }

  #hash(parent: number, bytes: Uint8Array, start: number, length: number): number {
    let h = Math.imul(parent ^ this.#seed, 0x9e3779b1)
    for (let i = start; i < start + length; i++) {
      h = Math.imul(h ^ (bytes[i] as number), 0x01000193)
      h ^= h >>> 15
    }
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    return (h ^ (h >>> 13)) >>> 0
  }

  #insert(dirent: number): void {
    const mask = this.#table.length - 1
    const start = this.nameAt[dirent] as number
    const length = this.nameLength[dirent] as number
    let at = this.#hash(this.parent[dirent] as number, this.names.bytes, start, length) & mask
    while ((this.#table[at] as number) >= 0) at = (at + 1) & mask
    this.#table[at] = dirent
  }

  #rehash(capacity: number): void {
    this.#table = new Int32Array(capacity).fill(-1)
    for (let dirent = PARENT + 1; dirent < this.#count; dirent++) this.#insert(dirent)
  }

  #grow(capacity: number): void {
    this.nameAt = grown(this.nameAt, new Uint32Array(capacity))
    this.nameLength = grown(this.nameLength, new Uint8Array(capacity))
    this.node = grown(this.node, new Int32Array(capacity))
    this.parent = grown(this.parent, new Int32Array(capacity))
    this.previous = grown(this.previous, new Int32Array(capacity))
  }
}
