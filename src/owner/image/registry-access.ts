import type { CommandContext, CommandInput, OptionSpec } from '#lib/command'
import { ImageError } from './image-error.ts'

/** Flags of a command that reads or writes one image. */
export const IMAGE_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--tls-verify <bool>',
    help: 'false: take any certificate, or plain HTTP, from the registry',
  },
  { flags: '--cert-dir <dir>', help: 'certificates of the registry: *.crt, *.cert with *.key' },
  { flags: '--creds <user:password>', help: 'credentials for the registry' },
  { flags: '--authfile <file>', help: 'file with credentials, as skopeo and docker write it' },
]

/** Flags of a command that reads one image and writes another. */
export const COPY_OPTIONS: readonly OptionSpec[] = [
  ...IMAGE_OPTIONS,
  ...['src', 'dest'].flatMap((side) => [
    { flags: `--${side}-tls-verify <bool>`, help: `as --tls-verify, for the ${side} side only` },
    { flags: `--${side}-cert-dir <dir>`, help: `as --cert-dir, for the ${side} side only` },
    { flags: `--${side}-creds <user:password>`, help: `as --creds, for the ${side} side only` },
  ]),
]

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
