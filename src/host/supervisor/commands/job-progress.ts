import type { CommandContext, Progress } from '#lib/command'
import type { JobEvent } from '../job.ts'

const LABEL: Readonly<Record<string, string>> = {
  enclaves: 'launch the enclaves',
  attest: 'attest to the broker',
  policy: 'fetch policies',
  manifest: 'fetch manifest',
  signature: 'verify signature',
  launch: 'launch decision',
  keys: 'fetch keys',
  layer: 'fetch, verify and seal layers',
  handover: 'hand over keys and launch configuration',
  start: 'mount and start the container',
}

/** Shows the agent's steps: each ends when the next begins. */
export class JobProgress {
  readonly #context: CommandContext
  #step: string | undefined
  #text: string | undefined
  #current: Progress | undefined

  constructor(context: CommandContext) {
    this.#context = context
  }

  show(event: Extract<JobEvent, { event: 'progress' }>): void {
    if (event.step !== this.#step) {
      this.end()
      this.#step = event.step
      if (event.step === 'ready') return
      this.#current = this.#context.progress(LABEL[event.step] ?? event.step)
    }
    this.#text = event.text ?? this.#text
    if (event.done !== undefined) this.#current?.update(event.done, event.total)
  }

  end(): void {
    this.#current?.done(this.#text)
    this.#current = undefined
    this.#text = undefined
  }

  fail(): void {
    this.#current?.fail(this.#text)
    this.#current = undefined
  }
}
