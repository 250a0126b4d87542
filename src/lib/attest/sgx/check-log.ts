import { AttestError } from '../attest-error.ts'

/** One check of a verification, for people who ask why. */
export interface QuoteCheck {
  readonly name: string
  readonly ok: boolean
  /** What of it failed. */
  readonly field?: string
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

  failed(name: string, { field, expected, actual }: AttestError): void {
    this.#checks.push({
      name,
      ok: false,
      ...(field !== undefined && { field }),
      ...(expected !== undefined && { expected }),
      ...(actual !== undefined && { actual }),
    })
  }
}
