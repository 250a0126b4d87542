import type { Command, OptionSpec } from '#lib/command'

const FORCE: OptionSpec = { flags: '--force', help: 'replace existing files' }
const OUT = (example: string): OptionSpec => ({
  flags: '--out <prefix>',
  help: `where to write; default ${example}`,
})

/** `keygen encryption`: a key pair for `jwe:` recipients. */
export const keygenEncryption: Command = {
  path: ['keygen', 'encryption'],
  summary: 'Make a key pair for which images can be encrypted',
  options: [
    { flags: '--type <type>', help: 'ec (P-256, default) or rsa (3072 bits)' },
    OUT('encryption: encryption.pem and encryption.pub.pem'),
    FORCE,
  ],
  example: 'enclave-cc keygen encryption --out app',
  run: async (context, input) => (await import('./keygen.ts')).keygenEncryption(context, input),
}

/** `keygen signing`: a key pair in cosign's format. */
export const keygenSigning: Command = {
  path: ['keygen', 'signing'],
  summary: 'Make a key pair that signs images, as cosign does',
  options: [OUT('signing: signing.key and signing.pub'), FORCE],
  example: 'ENCLAVE_CC_KEY_PASSWORD= enclave-cc keygen signing --out app',
  run: async (context, input) => (await import('./keygen.ts')).keygenSigning(context, input),
}
