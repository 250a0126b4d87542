/** Progress of one step. `done` or `fail` ends it; afterwards calls are ignored. */
export interface Progress {
  /** Units done so far and, where known, of how many (bytes unless the label says otherwise). */
  update(done: number, total?: number): void
  /** Ends the step; `text` is shown after the label. */
  done(text?: string): void
  fail(text?: string): void
}
