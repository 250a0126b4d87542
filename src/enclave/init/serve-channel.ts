import { readSync, writeSync, writevSync } from 'node:fs'

/** Why serving ended: the mount is gone, or the connection was aborted. */
export type ServeEnd = 'unmounted' | 'aborted'

/** Waits for the next request of a FUSE descriptor; how many bytes it has. Blocks its thread. */
export function receive(device: number, buffer: Uint8Array): number | ServeEnd {
  for (;;) {
    try {
      return readSync(device, buffer)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'ENODEV') return 'unmounted'
      if (code === 'ECONNABORTED') return 'aborted'
      // A request that was interrupted before it was copied to us, or a signal: read the next one.
      if (code !== 'ENOENT' && code !== 'EINTR' && code !== 'EAGAIN') throw error
    }
  }
}

/** Sends one reply. Nothing happens where nobody waits for it any more. */
export function send(device: number, parts: readonly Uint8Array[]): void {
  try {
    if (parts.length === 1 && parts[0] !== undefined) writeSync(device, parts[0])
    else writevSync(device, parts)
  } catch (error) {
    forgive(error)
  }
}

/** As `send`, of one reply that lies in `buffer`. */
export function sendPart(device: number, buffer: Uint8Array, start: number, length: number): void {
  try {
    writeSync(device, buffer, start, length)
  } catch (error) {
    forgive(error)
  }
}

// ENOENT: the requester is gone, nobody waits for this answer. ENODEV: the next read says so too.
function forgive(error: unknown): void {
  const code = (error as NodeJS.ErrnoException).code
  if (code !== 'ENOENT' && code !== 'ENODEV' && code !== 'ECONNABORTED') throw error
}
