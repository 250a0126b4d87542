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
  /** What to do, where the probe's own `next` does not fit what was found. */
  readonly next?: string
}

/** A probe that could not be made because another one failed. */
export class NotTried extends Error {
  /** The probe to look at. */
  readonly see: string

  constructor(see: string) {
    super(`not tried: ${see} failed`)
    this.see = see
  }
}

/** Runs one probe; whatever it throws becomes its finding. */
export async function runProbe(probe: Probe): Promise<ProbeResult> {
  const { name, required, needed, next } = probe
  const finding = await look(probe)
  const { ok, found } = finding
  return { name, ok, required, found, needed, ...(ok ? {} : { next: finding.next ?? next }) }
}

async function look(probe: Probe): Promise<Finding> {
  try {
    return await probe.look()
  } catch (error) {
    return failed(error)
  }
}

/** What an errno means to somebody who looks at this machine. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  ENODEV: 'the kernel does not have it',
  ENXIO: 'no driver answers',
  ENOTTY: 'another driver answers, or none',
  EPERM: 'not permitted here',
  EACCES: 'not permitted here',
  EROFS: 'a filesystem is read-only',
  ENOSPC: 'no space is left',
}

const PERMISSION = 'run as root of the machine itself: not inside an unprivileged container'

function failed(error: unknown): Finding {
  const found = reason(error)
  if (error instanceof NotTried) return { ok: false, found, next: `see ${error.see}` }
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } }
  const denied = [code, cause?.code].some((name) => name === 'EPERM' || name === 'EACCES')
  return { ok: false, found, ...(denied ? { next: PERMISSION } : {}) }
}

// Our own sentences stay as they are; of a failed system call its path and its meaning are kept.
function reason(error: unknown): string {
  const { code = '', path, syscall, message } = error as NodeJS.ErrnoException
  const known = syscall === undefined ? undefined : REASONS[code]
  if (known === undefined) return message ?? 'the probe failed'
  return path === undefined ? `${known} (${syscall}: ${code})` : `${path}: ${known} (${code})`
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
