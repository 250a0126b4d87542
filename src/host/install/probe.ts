/** What one look at this machine found. */
export interface ProbeResult {
  readonly name: string
  readonly ok: boolean
  /** Containers cannot run without it. */
  readonly required: boolean
  /** What is there, as short text. */
  readonly found: string
  /** What would be enough. */
  readonly needed: string
  /** What to do about it; present only where something is missing. */
  readonly next?: string
}

/** One look at this machine. `look` may throw: that is a finding too. */
export interface Probe {
  readonly name: string
  readonly required: boolean
  readonly needed: string
  /** What to do where it fails. */
  readonly next: string
  look(): Finding | Promise<Finding>
}

/** Result of `look`. */
export interface Finding {
  readonly ok: boolean
  readonly found: string
}

/** Runs one probe; whatever it throws becomes its finding. */
export async function runProbe(probe: Probe): Promise<ProbeResult> {
  const { name, required, needed, next } = probe
  const { ok, found } = await look(probe)
  return { name, ok, required, found, needed, ...(ok ? {} : { next }) }
}

async function look(probe: Probe): Promise<Finding> {
  try {
    return await probe.look()
  } catch (error) {
    return { ok: false, found: error instanceof Error ? error.message : 'the probe failed' }
  }
}

/** True if dotted version `found` is `needed` or later; only the leading numbers count. */
export function versionAtLeast(found: string, needed: string): boolean {
  const numbers = (text: string): number[] =>
    text.split(/[.-]/, 3).map((part) => parseInt(part, 10))
  const [have, want] = [numbers(found), numbers(needed)]
  for (let i = 0; i < want.length; i += 1) {
    const [a, b] = [have[i] ?? 0, want[i] ?? 0]
    if (Number.isNaN(a)) return false
    if (a !== b) return a > b
  }
  return true
}
