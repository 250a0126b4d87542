import { connect, type Socket } from 'node:net'
import type { JsonValue } from '#lib/json'
import { channelLines } from '../channel.ts'
import { PoolFolder } from './pool-folder.ts'

/** A spare answers within milliseconds; one that does not is not worth waiting for, nor are all of them. */
const GREETING_MS = 500
const GREETINGS_MS = 1000

/** A spare that waits for our job, and for nobody else's. Disposing of it gives it back to the pool. */
export interface Claimable extends Disposable {
  readonly socket: Socket
  readonly lines: AsyncGenerator<JsonValue>
}

/**
 * Finds a spare of a key. Undefined where there is none, or none that answers, and when
 * `signal` is aborted. Never throws.
 */
export async function findSpare(
  state: string,
  key: string,
  signal: AbortSignal,
): Promise<Claimable | undefined> {
  const folder = new PoolFolder(state, key)
  try {
    if (!folder.usable) return undefined
    const ready = folder
      .spares()
      .flatMap((id) => folder.read(id) ?? [])
      .filter((entry) => entry.state === 'ready')
      .sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1))
    const end = performance.now() + GREETINGS_MS
    for (const { id } of ready) {
      if (signal.aborted || performance.now() > end) break
      const found = await greeted(folder.socket(id), key, signal)
      if (found !== undefined) return found
    }
  } catch {
    // a pool that cannot be read is none
  }
  return undefined
}

async function greeted(
  path: string,
  key: string,
  signal: AbortSignal,
): Promise<Claimable | undefined> {
  const socket = connect(path)
  const stop = (): void => void socket.destroy()
  signal.addEventListener('abort', stop)
  const patience = setTimeout(stop, GREETING_MS)
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
    signal.removeEventListener('abort', stop)
  }
  socket.destroy()
  return undefined
}
