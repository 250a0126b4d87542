import { AttestError } from '../attest-error.ts'

/** One check of a verification, for people who ask why. */
export interface QuoteCheck {
  readonly name: string
  readonly ok: boolean
  readonly expected?: string
  readonly actual?: string
}

/** Collects the checks of one verification in their order. */
export class CheckLog {
  readonly #checks: QuoteCheck[] = []

  get checks(): readonly QuoteCheck[] {
    return this.#checks
  }

  /** Runs a step under its name. A failure is noted and goes on to the caller. */
  run<T>(name: string, step: () => T, show?: (value: T) => string): T {
    try {
      const value = step()
      this.passed(name, show?.(value))
      return value
    } catch (error) {
      if (error instanceof AttestError) this.failed(name, error)
      throw error
    }
  }

  passed(name: string, actual?: string): void {
    this.#checks.push({ name, ok: true, ...(actual !== undefined && { actual }) })
  }

  failed(name: string, { expected, actual }: AttestError): void {
    this.#checks.push({
      name,
      ok: false,
      ...(expected !== undefined && { expected }),
      ...(actual !== undefined && { actual }),
    })
  }
}
