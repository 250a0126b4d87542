import { fstatSync, statfsSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { trimFilesystem } from '#platform/filesystem'
import type { ScratchShare } from './scratch-file.ts'

/** How often it is looked whether a trim is worth it, in milliseconds. */
const INTERVAL = 30_000
/** Bytes that the disk holds in vain before somebody does something about it. */
const THRESHOLD = 256 * 1024 * 1024
/** A block group of ext4: what one step trims, so that no step takes long. */
const STEP = 128 * 1024 * 1024

/** Bytes that the disk of the node holds for a scratch, and does not need to. */
export function wastedBytes(path: string, share: ScratchShare): number {
  const { blocks, bfree, bsize } = statfsSync(path)
  return fstatSync(share.fd).blocks * 512 - (blocks - bfree) * bsize
}

/** Gives back what the filesystem at `path` does not use, step by step. Throws SystemError. */
export async function trimScratch(
  path: string,
  share: ScratchShare,
  signal?: AbortSignal,
): Promise<void> {
  for (let start = 0; start < share.size; start += STEP) {
    if (signal?.aborted === true) return
    trimFilesystem(path, start, STEP)
    await setImmediate()
  }
}

/**
 * Trims from time to time, instead of discarding each block as it is freed, which would make an `rm -r` one
 * request a file. Returns what stops it.
 */
export function keepTrimmed(path: string, share: ScratchShare): () => void {
  const stop = new AbortController()
  let running = false
  const look = async (): Promise<void> => {
    if (running || wastedBytes(path, share) < THRESHOLD) return
    running = true
    try {
      await trimScratch(path, share, stop.signal)
    } finally {
      running = false
    }
  }
  const timer = setInterval(() => {
    // A kernel or disk that cannot: space is not given back, nothing else.
    look().catch(() => clearInterval(timer))
  }, INTERVAL)
  timer.unref()
  return () => {
    clearInterval(timer)
    stop.abort()
  }
}
