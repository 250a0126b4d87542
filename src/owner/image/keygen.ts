import { generateKeyPairSync } from 'node:crypto'
import { utf8 } from '#lib/bytes'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { generateSigningKey } from '#lib/signing/sign'
import { writeKeyPair } from './key-files.ts'
import { newPassphrase } from './passphrase.ts'
import { ProtectError } from './protect-error.ts'

/** The document of `keygen`: paths, and the type of the key. */
interface KeygenDocument {
  readonly privateKey: string
  readonly publicKey: string
  readonly type: string
}

/** `keygen encryption`: a key pair for `jwe:` recipients, PKCS#8 and SPKI in PEM, not encrypted. */
export async function keygenEncryption(
  _context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const type = input.text('type') ?? 'ec'
  if (type !== 'ec' && type !== 'rsa') {
    throw new ProtectError('USAGE', `making a key of type ${type}: known types are ec and rsa`)
  }
  const prefix = input.text('out') ?? 'encryption'
  const { privateKey, publicKey } =
    type === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 3072 })
  const document = { privateKey: `${prefix}.pem`, publicKey: `${prefix}.pub.pem`, type }
  await writeKeyPair(
    {
      privatePath: document.privateKey,
      privateKey: utf8(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()),
      publicPath: document.publicKey,
      publicKey: utf8(publicKey.export({ format: 'pem', type: 'spki' }).toString()),
    },
    input.flag('force'),
  )
  return outcome(document)
}

/** `keygen signing`: an ECDSA P-256 key pair in cosign's format, encrypted with a passphrase. */
export async function keygenSigning(
  context: CommandContext,
  input: CommandInput,
): Promise<Outcome> {
  const prefix = input.text('out') ?? 'signing'
  const document = { privateKey: `${prefix}.key`, publicKey: `${prefix}.pub`, type: 'ecdsa-p256' }
  const passphrase = await newPassphrase(context, document.privateKey)
  const { privateFile, publicPem } = generateSigningKey(passphrase)
  await writeKeyPair(
    {
      privatePath: document.privateKey,
      privateKey: privateFile,
      publicPath: document.publicKey,
      publicKey: publicPem,
    },
    input.flag('force'),
  )
  return outcome(document)
}

function outcome(document: KeygenDocument): Outcome {
  return {
    document,
    text: `private key: ${document.privateKey}\npublic key:  ${document.publicKey}`,
  }
}
