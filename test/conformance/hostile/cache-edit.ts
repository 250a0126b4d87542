import { execFileSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { randomOf } from '../../../scripts/fuzz-mutations.ts'
import type { CacheHost } from './cache-host.ts'
import { SEED } from './setting.ts'

/** One attack on the cache at rest; the agent then looks for `host.first`. */
export interface CacheEdit {
  readonly name: string
  /** It is made this often, each time to a cache that is as it was. */
  readonly turns: number | ((host: CacheHost) => number)
  readonly edit: (host: CacheHost, turn: number) => void
  /** Names of exactly those files that are others then, that are new, or that are gone. */
  readonly changes: (host: CacheHost) => readonly string[]
  /** What must come of every look: a hit and all its bytes, no hit, or a hit and an error of the reading. */
  readonly outcome: 'right' | 'miss' | 'EIO'
  /** Whether a reader that checks nothing gets other bytes from it. */
  readonly twin: 'lies' | 'harmless'
}

const random = randomOf(SEED)

/** Bytes that the seed chooses. */
export function noise(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256))
}

/** Other bytes than these, in each place. */
export function scrambled(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte ^ (1 + random(255)))
}

/** A number that the seed chooses. */
export function chance(below: number): number {
  return random(below)
}

/** Things that are no regular file, in the place of one with these bytes. */
export const NO_FILES: Readonly<Record<string, (path: string, genuine: Uint8Array) => void>> = {
  'a directory': (path) => mkdirSync(path),
  'a fifo': (path) => void execFileSync('mkfifo', [path]),
  'a device': (path) => void execFileSync('mknod', [path, 'c', '1', '3']),
  'a symbolic link to a copy': (path, genuine) => {
    const copy = `${dirname(path)}.copy`
    writeFileSync(copy, genuine)
    symlinkSync(copy, path)
  },
  'a symbolic link to itself': (path) => symlinkSync(path, path),
  nothing: () => {},
}
