import type { Command, OptionSpec } from '#lib/command'
import {
  ALL_OPTION,
  BROKER_OPTIONS,
  COPY_OPTIONS,
  IMAGE_OPTIONS,
  PLATFORM_OPTION,
} from './options.ts'

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

/** `image encrypt SRC DST`. */
export const imageEncrypt: Command = {
  path: ['image', 'encrypt'],
  summary: 'Encrypt the layers of an image, and check what was written',
  operands: '<source> <destination>',
  options: [
    {
      flags: '--encryption-key <proto:value>',
      help: 'recipient: jwe:PUB.pem, kbs:///ns/type/tag (get or make the key in the broker), or provider:attestation-agent:keypath=FILE::keyid=kbs:///ns/type/tag',
      repeat: true,
    },
    {
      flags: '--encrypt-layer <n>',
      help: 'only this layer, from 0, or from -1 backwards; default all',
      repeat: true,
    },
    PLATFORM_OPTION,
    ALL_OPTION,
    ...COPY_OPTIONS,
    ...BROKER_OPTIONS,
  ],
  example:
    'enclave-cc image encrypt oci:images:app docker://registry.example/team/app:1.0 --encryption-key kbs:///acme/image-kek/app',
  run: async (context, input) =>
    (await import('./encrypt-command.ts')).encryptCommand(context, input),
}

/** `image decrypt SRC DST`. */
export const imageDecrypt: Command = {
  path: ['image', 'decrypt'],
  summary: 'Decrypt the layers of an image, with every check an enclave makes',
  operands: '<source> <destination>',
  options: [
    {
      flags: '--decryption-key <key>',
      help: 'private key FILE (passphrase: FILE:file=PATH, FILE:fd=N or the environment), kbs:///ns/type/tag, or provider:attestation-agent:keypath=FILE',
      repeat: true,
    },
    PLATFORM_OPTION,
    ALL_OPTION,
    ...COPY_OPTIONS,
    ...BROKER_OPTIONS,
  ],
  example:
    'enclave-cc image decrypt docker://registry.example/team/app:1.0 oci:plain:app --decryption-key app.pem',
  run: async (context, input) =>
    (await import('./decrypt-command.ts')).decryptCommand(context, input),
}

/** `image sign REF`. */
export const imageSign: Command = {
  path: ['image', 'sign'],
  summary: 'Sign an image as cosign does, and store the signature beside it',
  operands: '<ref>',
  options: [
    { flags: '--key <file>', help: 'signing key: a file of keygen signing, or kbs:///ns/type/tag' },
    { flags: '--format <format>', help: 'simple (default)' },
    { flags: '--recursive', help: 'sign an index and each image it lists' },
    { flags: '-a, --annotations <key=value>', help: 'signed annotation', repeat: true },
    ...IMAGE_OPTIONS,
    ...BROKER_OPTIONS,
  ],
  example: 'enclave-cc image sign registry.example/team/app:1.0 --key app.key',
  run: async (context, input) => (await import('./sign-command.ts')).signCommand(context, input),
}

/** `image verify REF`. */
export const imageVerify: Command = {
  path: ['image', 'verify'],
  summary: 'Judge the signatures of an image as an enclave would',
  operands: '<ref>',
  options: [
    { flags: '--policy <file>', help: 'policy.json' },
    { flags: '--key <file>', help: 'instead of a policy: one public key that must have signed' },
    PLATFORM_OPTION,
    ...IMAGE_OPTIONS,
  ],
  example: 'enclave-cc image verify registry.example/team/app:1.0 --key app.pub',
  run: async (context, input) =>
    (await import('./verify-command.ts')).verifyCommand(context, input),
}

/** Everything that makes keys, encrypts and signs. */
export const protectCommands: readonly Command[] = [
  imageEncrypt,
  imageDecrypt,
  imageSign,
  imageVerify,
  keygenEncryption,
  keygenSigning,
]
