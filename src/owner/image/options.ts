import type { OptionSpec } from '#lib/command'

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

/** The flag that chooses one image of an index. */
export const PLATFORM_OPTION: OptionSpec = {
  flags: '--platform <os/arch>',
  help: 'which image of an index, as linux/arm64; default: linux on this machine',
}

/** The flag that takes an index with all its images. */
export const ALL_OPTION: OptionSpec = { flags: '--all', help: 'the index with all its images' }

/** Where the broker is, for values `kbs:///…`. */
export const BROKER_OPTIONS: readonly OptionSpec[] = [
  { flags: '--kbs-url <url>', help: 'the broker, for kbs:/// values' },
  { flags: '--kbs-ca <file>', help: 'CA of the broker, exclusive (default DATA-DIR/tls/ca.pem)' },
  { flags: '--data-dir <dir>', help: 'data of a broker on this machine' },
  { flags: '--admin-token-file <file>', help: 'admin token (default DATA-DIR/admin.token)' },
]
