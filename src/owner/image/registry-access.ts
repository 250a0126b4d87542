import type { CommandContext, CommandInput } from '#lib/command'
import { ImageError } from './image-error.ts'

/** How one side of a copy reaches its registry. */
export interface RegistryAccess {
  /** Undefined: not said; loopback registries are then spoken to in plain HTTP. */
  readonly tlsVerify: boolean | undefined
  readonly certDir: string | undefined
  /** `user:password`. */
  readonly credentials: string | undefined
  readonly authFile: string | undefined
  readonly env: CommandContext['env']
  readonly signal: AbortSignal
  readonly note: (line: string) => void
}

/** Reads the flags of one side: '' for commands with `IMAGE_OPTIONS`. */
export function registryAccess(
  context: CommandContext,
  input: CommandInput,
  side: '' | 'src' | 'dest' = '',
): RegistryAccess {
  const text = (flag: string): string | undefined =>
    (side === '' ? undefined : input.text(`${side}-${flag}`)) ?? input.text(flag)
  return {
    tlsVerify: parseBoolean(text('tls-verify')),
    certDir: text('cert-dir'),
    credentials: text('creds'),
    authFile: input.text('authfile'),
    env: context.env,
    signal: context.signal,
    note: (line) => context.note(line),
  }
}

function parseBoolean(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined
  if (text === 'true' || text === '1') return true
  if (text === 'false' || text === '0') return false
  throw new ImageError('USAGE', 'reading --tls-verify: it is neither true nor false')
}
