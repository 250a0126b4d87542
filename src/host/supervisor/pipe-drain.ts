import type { Socket } from 'node:net'
import type { Pipe } from '#platform/pipe'
import { within } from './within.ts'

/**
 * Reads what comes out of a pipe. Its end is not ours to have: whoever opened the writing end by its place
 * in /proc, or inherited it, keeps the pipe open after the enclave that we gave it to is dead.
 */
export class PipeDrain {
  readonly #read: Socket
  readonly #drained: Promise<void>

  /** Closes our own writing end. The pipe waits while `onData` works. */
  constructor(pipe: Pipe, onData: (data: Uint8Array) => Promise<void>) {
    pipe.closeWrite()
    this.#read = pipe.read
    this.#drained = drain(pipe.read, onData)
    // who waits for it hears of it; until then it is no reason to end
    this.#drained.catch(() => {})
  }

  /**
   * Call it when the writer is dead: resolves when all is read, or after `patience` milliseconds, in which
   * what a dead writer left is long read. The pipe is closed then. Throws what `onData` threw. May be called again.
   */
  async end(patience: number): Promise<void> {
    try {
      await within(this.#drained, patience)
    } finally {
      this.#read.destroy()
    }
  }
}

async function drain(read: Socket, onData: (data: Uint8Array) => Promise<void>): Promise<void> {
  for await (const chunk of read) await onData(chunk)
}
