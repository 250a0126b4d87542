import { closeSync } from 'node:fs'
import { setPriority } from 'node:os'
import { parentPort } from 'node:worker_threads'
import type { ScratchShare } from './scratch-file.ts'
import { serveFiles } from './serve.ts'
import { type LayerNews, ServedFiles, type TamperedChunk } from './served-files.ts'

/** Niceness of a serving thread: what it does is what a program of the container waits for. */
const NICENESS = -5

/** What a serving thread is sent, once. */
export interface ServeOrder {
  readonly device: number
  readonly scratch: ScratchShare | undefined
  /** Brings the sealed layers. */
  readonly news: LayerNews
  /** Shared by all serving threads: `[1, file, chunk]` once a chunk was not genuine. */
  readonly alarm: Int32Array
  /** Shared too: `closed[index]` is 1 once this thread has closed its device. */
  readonly closed: Int32Array
  readonly index: number
}

/** What a serving thread says: that it is up, that the alarm was set, and how it ended. */
export type ServeNews =
  | { readonly kind: 'ready' }
  | { readonly kind: 'alarm' }
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
    const { device, alarm, closed, index } = order
    let files: ServedFiles | undefined
    const tampered = ({ file, chunk }: TamperedChunk): void => {
      // Only the first is kept: readahead asks again, and one is reason enough.
      if (Atomics.compareExchange(alarm, 0, 0, -1) === 0) {
        Atomics.store(alarm, 1, file)
        Atomics.store(alarm, 2, chunk)
        Atomics.store(alarm, 0, 1)
      }
      say({ kind: 'alarm' })
    }
    hurry()
    try {
      files = new ServedFiles(order.scratch, index + 1, order.news)
      const reason = serveFiles(device, files, tampered)
      say({ kind: 'ended', reason })
    } finally {
      files?.close()
      order.news.port.close()
      // Here and not by the main thread: it may be the one that waits for an answer of ours, in
      // mount(2), and would wait for ever.
      Atomics.store(closed, index, 1)
      closeSync(device)
      port.close()
    }
  })
  say({ kind: 'ready' })
}

/**
 * Lets this thread run before others that could run too: where cores are short, each wait for one would
 * be added to every page fault. Its work is short, and never more than the container asked for.
 */
function hurry(): void {
  try {
    // On Linux 0 is the calling thread and not its process.
    setPriority(0, NICENESS)
  } catch {
    // Only CAP_SYS_NICE may; without it everything works, and waits its turn.
  }
}
