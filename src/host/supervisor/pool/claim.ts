import { connect, type Socket } from 'node:net'
import type { JsonValue } from '#lib/json'
import { channelLines } from '../channel.ts'
import { PoolFolder } from './pool-folder.ts'

/** A spare answers within milliseconds; one that does not is not worth waiting for. */
const GREETING_MS = 500

/** A spare that waits for our job, and for nobody else's. Disposing of it gives it back to the pool. */
export interface Claimable extends Disposable {
  readonly socket: Socket
  readonly lines: AsyncGenerator<JsonValue>
}

/**
 * Finds a spare of a key. Undefined where there is none, or none that answers: then a start is cold.
 * Never throws.
 */
export async function findSpare(state: string, key: string): Promise<Claimable | undefined> {
  const folder = new PoolFolder(state, key)
  try {
    if (!folder.usable) return undefined
    const ready = folder
      .spares()
      .flatMap((id) => folder.read(id) ?? [])
      .filter((entry) => entry.state === 'ready')
      .sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1))
    for (const { id } of ready) {
      const found = await greeted(folder.socket(id), key)
      if (found !== undefined) return found
    }
  } catch {
    // a pool that cannot be read is none
  }
  return undefined
}

async function greeted(path: string, key: string): Promise<Claimable | undefined> {
  const socket = connect(path)
  const patience = setTimeout(() => socket.destroy(), GREETING_MS)
  socket.on('error', () => {})
  const lines = channelLines(socket)
  try {
    const { value } = await lines.next()
    const greeting = value as { event?: unknown; key?: unknown } | undefined
    if (greeting?.event === 'spare' && greeting.key === key) {
      return { socket, lines, [Symbol.dispose]: () => void socket.destroy() }
    }
  } catch {
    // it ended, somebody else was faster, or it is something else
  } finally {
    clearTimeout(patience)
  }
  socket.destroy()
  return undefined
}
