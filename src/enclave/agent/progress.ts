import type { ProgressEvent } from '#protocol/agent'

/** Events kept for a supervisor that asks late; older ones are dropped. */
const MAX_EVENTS = 1024

/** What of a `ProgressEvent` its source says. */
export type Progress = Omit<ProgressEvent, 'seq'>

/** The agent's progress, for one reader that asks again and again. */
export class ProgressLog {
  readonly #events: ProgressEvent[] = []
  #seq = 0
  #arrived: PromiseWithResolvers<void> = Promise.withResolvers()

  /** Appends an event. Its text is for the host: never content of an image. */
  add(event: Progress): void {
    this.#seq++
    this.#events.push({ seq: this.#seq, ...event })
    if (this.#events.length > MAX_EVENTS) this.#events.shift()
    this.#arrived.resolve()
    this.#arrived = Promise.withResolvers()
  }

  /** Events after `seq`; waits until there is one, and answers with none when `signal` aborts. */
  async after(seq: number, signal: AbortSignal): Promise<readonly ProgressEvent[]> {
    const { promise: aborted, resolve } = Promise.withResolvers<void>()
    const stop = () => resolve()
    signal.addEventListener('abort', stop, { once: true })
    try {
      while (!signal.aborted) {
        const found = this.#events.filter((event) => event.seq > seq)
        if (found.length > 0) return found
        await Promise.race([this.#arrived.promise, aborted])
      }
      return []
    } finally {
      signal.removeEventListener('abort', stop)
    }
  }
}
