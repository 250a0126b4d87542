import { parentPort } from 'node:worker_threads'
import type { SealedFile } from './sealed-file.ts'
import type { TamperedChunk } from './serve.ts'
import { serveSealed } from './serve.ts'

/** What a serving thread is sent, once. */
export interface ServeOrder {
  readonly device: number
  readonly files: readonly SealedFile[]
}

/** What a serving thread says: that it is up, of a bad chunk, and how it ended. */
export type ServeNews =
  | { readonly kind: 'ready' }
  | ({ readonly kind: 'tampered' } & TamperedChunk)
  | { readonly kind: 'ended'; readonly reason: string }

/**
 * The body of a serving thread. It may be started before anybody knows what it will serve; the order
 * is its only message, after which it is blocked until the mount goes away.
 */
export function runServeWorker(): void {
  const port = parentPort
  if (port === null) throw new TypeError('not a worker thread')
  const say = (news: ServeNews): void => port.postMessage(news)
  port.once('message', (order: ServeOrder) => {
    const reason = serveSealed(order.device, order.files, (chunk) =>
      say({ kind: 'tampered', ...chunk }),
    )
    for (const file of order.files) file.key.fill(0)
    say({ kind: 'ended', reason })
    port.close()
  })
  say({ kind: 'ready' })
}
