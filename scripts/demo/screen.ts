import { startProgress } from '../../src/cli/progress.ts'

/** Writes the demo's lines: numbered steps with durations, notes below them, refusals with their codes. */
export class Screen {
  readonly #color: boolean
  readonly #out = process.stdout
  #current = ''

  constructor(color: boolean) {
    this.#color = color
  }

  heading(text: string): void {
    this.#out.write(`\n${this.#paint('1', text)}\n`)
  }

  /** Runs one step and prints it with its duration; a terminal shows that it is going on. */
  async step<T>(title: string, work: (note: (line: string) => void) => Promise<T>): Promise<T> {
    this.#current = title
    const notes: string[] = []
    const started = performance.now()
    if (this.#out.isTTY) this.#out.write(`  ${title} …`)
    else this.#out.write(`▸ ${title}\n`)
    try {
      const result = await work((line) => notes.push(line))
      this.#end('32', '✓', title, started, notes)
      return result
    } catch (error) {
      this.#end('31', '✗', title, started, notes)
      throw error
    }
  }

  /** A refusal that happened as it must. */
  refused(title: string, code: string, lines: readonly string[]): void {
    this.#out.write(`${this.#paint('32', '✓')} ${title}  ${this.#paint('33', code)}\n`)
    for (const line of lines) this.#note(line)
  }

  line(text: string): void {
    this.#out.write(`${text}\n`)
  }

  /** What was going on last; for a message after an interrupt. */
  get current(): string {
    return this.#current
  }

  /** Progress of a step, as the CLI draws it. */
  progress(label: string): ReturnType<typeof startProgress> {
    this.#current = label
    return startProgress(label, this.#out, () => performance.now())
  }

  #end(color: string, mark: string, title: string, from: number, notes: readonly string[]): void {
    const seconds = ((performance.now() - from) / 1000).toFixed(2)
    const head = this.#out.isTTY ? '\r\u001b[K' : ''
    this.#out.write(
      `${head}${this.#paint(color, mark)} ${title}  ${this.#paint('2', `${seconds} s`)}\n`,
    )
    for (const line of notes) this.#note(line)
  }

  #note(line: string): void {
    this.#out.write(`    ${this.#paint('2', line)}\n`)
  }

  #paint(code: string, text: string): string {
    return this.#color ? `\u001b[${code}m${text}\u001b[0m` : text
  }
}
