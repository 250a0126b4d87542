/** Aborts its signal when `milliseconds` have passed, unless it is disposed of before. */
export class TimeLimit implements Disposable {
  readonly signal: AbortSignal
  readonly #timer: NodeJS.Timeout

  /** `reason`: makes the error that the signal is aborted with. */
  constructor(milliseconds: number, reason: () => Error) {
    const abort = new AbortController()
    this.signal = abort.signal
    this.#timer = setTimeout(() => abort.abort(reason()), milliseconds)
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
  }
}
