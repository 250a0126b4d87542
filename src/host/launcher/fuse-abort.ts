import { readFileSync, writeFileSync } from 'node:fs'
import { linuxMounts, MOUNT_FLAGS } from '#platform/mount'

const CONNECTIONS = '/sys/fs/fuse/connections'
const KILL_PENDING = 1n << 8n

/** True for a process that was killed but has not come to its end. */
export function isDying(pid: number): boolean {
  const masks = read(`/proc/${pid}/status`).matchAll(/^(?:Sig|Shd)Pnd:\s*([0-9a-f]+)$/gm)
  return [...masks].some(([, mask]) => (BigInt(`0x${mask}`) & KILL_PENDING) !== 0n)
}

/**
 * Ends the FUSE connections that a process has mounted. A process that serves its own mount and is killed
 * while one of its threads waits for an answer waits for ever: its descriptors are closed, and the
 * connection ended with them, only when all of its threads are gone. The control filesystem is mounted
 * for as long as it takes if it is not. Does nothing if there is none. `known` are connections that the
 * process had: one that has left its namespaces already cannot be asked any more.
 */
export function abortFuse(pid: number, known: readonly string[] = []): void {
  for (const connection of new Set([...known, ...fuseConnections(pid)])) {
    if (!abort(connection) && mountControl()) {
      abort(connection)
      linuxMounts.unmount(CONNECTIONS, { detach: true })
    }
  }
}

/** Numbers of the connections that a process has mounted, while it can still be asked. */
export function fuseConnections(pid: number): string[] {
  return read(`/proc/${pid}/mountinfo`)
    .split('\n')
    .flatMap((line) => {
      const words = line.split(' ')
      const kind = words[words.indexOf('-') + 1]
      const connection = /^0:(\d+)$/.exec(words[2] ?? '')?.[1]
      return kind === 'fuse.sealed' && connection !== undefined ? [connection] : []
    })
}

function abort(connection: string): boolean {
  try {
    writeFileSync(`${CONNECTIONS}/${connection}/abort`, '1')
    return true
  } catch {
    return false
  }
}

function mountControl(): boolean {
  const { nosuid, nodev, noexec } = MOUNT_FLAGS
  try {
    const flags = nosuid | nodev | noexec
    linuxMounts.mount({ source: 'fusectl', target: CONNECTIONS, type: 'fusectl', flags })
    return true
  } catch {
    // mounted already, or a kernel without it: the connection has ended in between, or never will
    return false
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
