import {
  closeSync,
  existsSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
} from 'node:fs'
import { join } from 'node:path'
import { scanForMarker } from './plaintext-scanner.ts'

/** Folders where programs of a machine leave things: temporary, shared memory, run time, logs, caches. */
const PLACES = [
  '/tmp',
  '/var/tmp',
  '/dev/shm',
  '/run',
  '/var/log',
  '/var/lib',
  '/var/cache',
  '/root',
]
const PIECE = 8 * 1024 * 1024

/**
 * Looks for texts in every file of the machine's usual places that changed since `since` (milliseconds), also
 * directly below `/`, except in `leaveOut`. Says which files hold one.
 */
export function scanMachine(
  texts: readonly Uint8Array[],
  since: number,
  leaveOut: (path: string) => boolean,
): readonly string[] {
  const files = ['/', ...PLACES].flatMap((place) => [
    ...changedBelow(place, since, leaveOut, place !== '/'),
  ])
  return scanForMarker(files, texts).map(({ file, how }) => `${file} (${how})`)
}

/** Block devices that are loop devices in use, with the file behind each. */
export function loopDevices(): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const name of readdirSync('/sys/block')) {
    const file = `/sys/block/${name}/loop/backing_file`
    if (existsSync(file)) found.set(`/dev/${name}`, readFileSync(file, 'utf8').trim())
  }
  return found
}

/** Devices and files that swap goes to. */
export function swapAreas(): readonly string[] {
  return readFileSync('/proc/swaps', 'utf8')
    .split('\n')
    .slice(1)
    .flatMap((line) => (line === '' ? [] : [line.split(/\s+/)[0] ?? '']))
}

/** Whether a text stands somewhere in a device or a file, as it is. */
export function rawHolds(path: string, text: string | Uint8Array): boolean {
  const needle = Buffer.from(text as Uint8Array)
  const buffer = Buffer.allocUnsafe(PIECE + needle.length)
  const fd = openSync(path, 'r')
  try {
    let at = 0
    for (let kept = 0; ; ) {
      const count = readPiece(fd, buffer, kept, at)
      if (count === 0) return false
      at += count
      const filled = kept + count
      if (buffer.subarray(0, filled).includes(needle)) return true
      kept = Math.min(needle.length - 1, filled)
      buffer.copy(buffer, 0, filled - kept, filled)
    }
  } finally {
    closeSync(fd)
  }
}

/** A piece of a file; one that a device cannot read is zeros. */
function readPiece(fd: number, buffer: Buffer, offset: number, at: number): number {
  try {
    return readSync(fd, buffer, offset, PIECE, at)
  } catch (error) {
    if ((error as { code?: string }).code !== 'EIO') throw error
    buffer.fill(0, offset, offset + PIECE)
    return PIECE
  }
}

function* changedBelow(
  folder: string,
  since: number,
  leaveOut: (path: string) => boolean,
  deep: boolean,
): Generator<string> {
  let names: readonly string[]
  try {
    names = readdirSync(folder)
  } catch {
    // gone in between, or not a folder of ours
    return
  }
  for (const name of names) {
    const path = join(folder, name)
    if (leaveOut(path)) continue
    try {
      const stat = lstatSync(path)
      if (stat.isFile() && stat.ctimeMs >= since) yield path
      else if (deep && stat.isDirectory()) yield* changedBelow(path, since, leaveOut, true)
    } catch {
      // gone in between
    }
  }
}
