import { randomBytes } from 'node:crypto'
import { formatResourceUri, parseResourceUri } from '#lib/initdata'
import { checkKek } from '#lib/ocicrypt'
import { type EncryptionKey, type LayerRecipients, parseEncryptionKey } from '#lib/ocicrypt/wrap'
import { readInput } from './key-files.ts'
import { ProtectError } from './protect-error.ts'
import type { ResourceClientFactory } from './resource-client.ts'

/** A key-encryption key with the resource that holds it. */
export interface ResourceKey {
  readonly kid: string
  readonly kek: Uint8Array
}

const UNSUPPORTED = ['pkcs7', 'pgp', 'pkcs11']

/**
 * Reads the values of `--encryption-key` (docs/encrypt-sign.md): `jwe:PUB.pem`,
 * `provider:attestation-agent:keypath=FILE::keyid=kbs:///ns/type/tag`, `kbs:///ns/type/tag`. The
 * last gets the key-encryption key from the broker, or makes one there. Throws `USAGE`,
 * `SCHEME_UNSUPPORTED`, and what reading keys and the broker throw.
 */
export async function readRecipients(
  values: readonly string[],
  connect: ResourceClientFactory,
): Promise<LayerRecipients> {
  const jwe: EncryptionKey[] = []
  const packets: ResourceKey[] = []
  for (const value of values) {
    const scheme = value.slice(0, value.indexOf(':') + 1)
    const rest = value.slice(scheme.length)
    if (scheme === 'jwe:') jwe.push(parseEncryptionKey(await readInput(rest)))
    else if (scheme === 'provider:') packets.push(await providerKey(rest))
    else if (scheme === 'kbs:') packets.push(await brokerKey(value, connect))
    else throw unknownScheme(scheme.slice(0, -1))
  }
  if (jwe.length + packets.length === 0) {
    throw new ProtectError('USAGE', 'encrypting an image: --encryption-key is missing', {
      next: 'name a recipient, e.g. --encryption-key kbs:///acme/image-kek/app',
    })
  }
  return { jwe, packets }
}

/** The parameters of CoCo's provider: `k=v` joined by `::`. */
export function providerParameters(text: string): {
  name: string
  parameters: Map<string, string>
} {
  // Split at the first colon only: `::` and `://` belong to the parameters.
  const colon = text.indexOf(':')
  const name = colon < 0 ? text : text.slice(0, colon)
  const parameters = new Map<string, string>()
  for (const part of colon < 0 ? [] : text.slice(colon + 1).split('::')) {
    const equals = part.indexOf('=')
    const key = equals < 0 ? part : part.slice(0, equals)
    if (parameters.has(key)) throw usage(`parameter ${key} is there twice`)
    parameters.set(key, equals < 0 ? '' : part.slice(equals + 1))
  }
  return { name, parameters }
}

/** Reads a raw 32-byte key file. Throws `KEK_INVALID`, `INPUT_UNREADABLE`. */
export async function readKek(path: string, kid: string): Promise<Uint8Array> {
  const kek = await readInput(path, 4096)
  checkKek(kek, kid)
  return kek
}

async function providerKey(text: string): Promise<ResourceKey> {
  const { name, parameters } = providerParameters(text)
  if (name !== 'attestation-agent') {
    throw new ProtectError(
      'SCHEME_UNSUPPORTED',
      `encrypting for the key provider ${name}: only attestation-agent is supported`,
    )
  }
  for (const key of parameters.keys()) {
    if (!['keypath', 'keyid', 'algorithm', 'sample'].includes(key)) {
      throw usage(`parameter ${key} is not known`)
    }
  }
  if (parameters.get('sample') === 'true') {
    throw new ProtectError(
      'SCHEME_UNSUPPORTED',
      'encrypting with sample=true: everyone knows that key',
      { next: 'give a key of your own: keypath=FILE::keyid=kbs:///ns/image-kek/tag' },
    )
  }
  const algorithm = parameters.get('algorithm') ?? 'A256GCM'
  if (algorithm !== 'A256GCM') throw usage(`algorithm ${algorithm} is not written, only A256GCM`)
  const [keypath, keyid] = [parameters.get('keypath'), parameters.get('keyid')]
  // CoCo's provider would make up what is missing, and the key would be lost.
  if (!keypath || !keyid) throw usage('both keypath and keyid are needed')
  const kid = formatResourceUri(parseResourceUri(keyid))
  return { kid, kek: await readKek(keypath, kid) }
}

async function brokerKey(text: string, connect: ResourceClientFactory): Promise<ResourceKey> {
  const kid = formatResourceUri(parseResourceUri(text))
  const client = await connect()
  let kek = await client.get(kid)
  if (kek === undefined) {
    await client.create(kid, new Uint8Array(randomBytes(32)))
    // Read back: what the broker holds is what guests will get, also if another owner was faster.
    kek = await client.get(kid)
  }
  if (kek === undefined) {
    throw new ProtectError('KEK_INVALID', `making ${kid}: the broker does not give it back`)
  }
  checkKek(kek, kid)
  return { kid, kek }
}

function unknownScheme(scheme: string): ProtectError {
  if (UNSUPPORTED.includes(scheme)) {
    return new ProtectError('SCHEME_UNSUPPORTED', `encrypting for ${scheme}: not supported`)
  }
  const found = scheme === '' ? 'the value names no scheme' : `${scheme} is not known`
  return new ProtectError('USAGE', `reading --encryption-key: ${found}`, {
    next: 'use jwe:PUB.pem, provider:attestation-agent:… or kbs:///ns/type/tag',
  })
}

function usage(found: string): ProtectError {
  return new ProtectError('USAGE', `reading the parameters of attestation-agent: ${found}`, {
    next: 'write provider:attestation-agent:keypath=FILE::keyid=kbs:///ns/image-kek/tag',
  })
}
