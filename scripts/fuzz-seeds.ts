import { globSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { FuzzSeeds, FuzzTarget } from './fuzz-target.ts'

const ANY_DATA = /^(?!.*\.(?:md|json|py)$)/
const LARGEST = 256 * 1024

/** Reads the seeds of the target `name` from below `vectors`, in an order that is the same everywhere. */
export function fuzzSeeds(name: string, target: FuzzTarget, vectors: string): FuzzSeeds {
  const folder = join(vectors, target.format)
  const wanted = target.files ?? ANY_DATA
  const files = globSync('**/*', { cwd: folder, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((file) => (isFind(file) ? file.startsWith(`found-${name}-`) : wanted.test(file)))
    .sort()
    .map((file) => new Uint8Array(readFileSync(join(folder, file))))
    .filter((bytes) => bytes.length <= LARGEST)
  return { good: [...(target.seeds?.() ?? [])], files }
}

function isFind(file: string): boolean {
  return file.startsWith('found-')
}
