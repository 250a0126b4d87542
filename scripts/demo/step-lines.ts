import type { Screen } from './screen.ts'

/** A line of `--progress json`. */
export interface StepLine {
  readonly progress: string
  readonly state: 'begin' | 'update' | 'done' | 'fail'
  readonly done?: number
  readonly total?: number
  readonly text?: string
}

/** Shows the steps of a command under titles of the demo's own, with bars on a terminal. */
export class StepLines {
  readonly #screen: Screen
  readonly #titles: Readonly<Record<string, string>>
  #current: ReturnType<Screen['progress']> | undefined

  constructor(screen: Screen, titles: Readonly<Record<string, string>>) {
    this.#screen = screen
    this.#titles = titles
  }

  show(line: StepLine): void {
    if (line.state === 'begin') {
      this.#current = this.#screen.progress(this.#titles[line.progress] ?? line.progress)
    }
    if (line.state === 'update') this.#current?.update(line.done ?? 0, line.total)
    if (line.state === 'done') this.#current?.done(line.text)
    if (line.state === 'fail') this.#current?.fail(line.text)
  }
}
