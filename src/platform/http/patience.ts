/**
 * A timer that runs only while we wait for the other side. A slow reader of a body must not
 * look like a slow server.
 */
export class Patience {
  readonly #milliseconds: number
  readonly #onEnd: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(milliseconds: number, onEnd: () => void) {
    this.#milliseconds = milliseconds
    this.#onEnd = onEnd
  }

  /** Starts anew; what ran before is forgotten. */
  start(): void {
    this.stop()
    this.#timer = setTimeout(this.#onEnd, this.#milliseconds)
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
