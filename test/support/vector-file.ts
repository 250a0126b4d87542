import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const VECTORS = join(import.meta.dirname, '../vectors')

/** The bytes of a file below test/vectors. */
export function vectorBytes(...path: readonly string[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(join(VECTORS, ...path)))
}

/** The value of a JSON file below test/vectors. */
export function vectorJson<T = Record<string, string>>(...path: readonly string[]): T {
  return JSON.parse(readFileSync(join(VECTORS, ...path), 'utf8')) as T
}
