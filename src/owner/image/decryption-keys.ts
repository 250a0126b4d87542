import { createReadStream } from 'node:fs'
import { access } from 'node:fs/promises'
import { concat, fromUtf8 } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import { formatResourceUri, parseResourceUri } from '#lib/initdata'
import {
  type DecryptionKey,
  jweUnwrapper,
  packetUnwrapper,
  parseDecryptionKey,
  type Unwrapper,
} from '#lib/ocicrypt'
import { providerParameters, readKek } from './encryption-recipients.ts'
import { readInput } from './key-files.ts'
import { askPassphrase, type PassphraseContext } from './passphrase.ts'
import { ProtectError } from './protect-error.ts'
import type { ResourceClientFactory } from './resource-client.ts'

/**
 * Reads the values of `--decryption-key`: `FILE`, `FILE:file=PATH` and `FILE:fd=N` (where the
 * passphrase is), `provider:attestation-agent:keypath=FILE[::keyid=kbs:///ns/type/tag]`,
 * `kbs:///ns/type/tag` (the owner reads that key from the broker). Throws `USAGE`,
 * `SCHEME_UNSUPPORTED`, and what reading keys throws.
 */
export async function readUnwrappers(
  values: readonly string[],
  context: PassphraseContext,
  connect: ResourceClientFactory,
): Promise<Unwrapper[]> {
  const privateKeys: DecryptionKey[] = []
  const unwrappers: Unwrapper[] = []
  const brokerKeys = new Set<string>()
  for (const value of values) {
    if (value.startsWith('kbs:')) brokerKeys.add(formatResourceUri(parseResourceUri(value)))
    else if (value.startsWith('provider:')) unwrappers.push(await providerUnwrapper(value))
    else privateKeys.push(await privateKey(value, context))
  }
  if (privateKeys.length > 0) unwrappers.push(jweUnwrapper(privateKeys))
  if (brokerKeys.size > 0) unwrappers.push(brokerUnwrapper(brokerKeys, connect))
  if (unwrappers.length > 0) return unwrappers
  throw new ProtectError('USAGE', 'decrypting an image: --decryption-key is missing')
}

function brokerUnwrapper(uris: ReadonlySet<string>, connect: ResourceClientFactory): Unwrapper {
  return packetUnwrapper(async (kid) => {
    if (!uris.has(kid)) throw notGiven(kid)
    const kek = await (await connect()).get(kid)
    if (kek !== undefined) return kek
    throw new ProtectError('KEK_INVALID', `reading ${kid}: the broker has no such resource`)
  })
}

async function providerUnwrapper(value: string): Promise<Unwrapper> {
  const { name, parameters } = providerParameters(value.slice('provider:'.length))
  const keypath = parameters.get('keypath')
  if (name !== 'attestation-agent' || !keypath) {
    throw new ProtectError(
      'SCHEME_UNSUPPORTED',
      `decrypting through the key provider ${name}: only attestation-agent with keypath=FILE is supported`,
      { next: 'use kbs:///ns/type/tag to read the key from the broker as its owner' },
    )
  }
  const keyid = parameters.get('keyid')
  const only = keyid === undefined ? undefined : formatResourceUri(parseResourceUri(keyid))
  const kek = await readKek(keypath, only ?? keypath)
  return packetUnwrapper(async (kid) => {
    if (only !== undefined && kid !== only) throw notGiven(kid)
    return kek
  })
}

function notGiven(kid: string): CodedError {
  return new ProtectError('KEK_INVALID', `reading ${kid}: this key was not given`, {
    next: `add --decryption-key ${kid}`,
  })
}

async function privateKey(value: string, context: PassphraseContext): Promise<DecryptionKey> {
  const { path, source } = await splitPassphrase(value)
  const file = await readInput(path)
  if (source !== undefined) return parseDecryptionKey(file, await passphraseFrom(source))
  try {
    return parseDecryptionKey(file)
  } catch (error) {
    if (!(error instanceof CodedError) || error.code !== 'KEY_PASSPHRASE') throw error
    return parseDecryptionKey(file, await askPassphrase(context, path))
  }
}

async function splitPassphrase(value: string): Promise<{ path: string; source?: string }> {
  const colon = value.indexOf(':')
  if (colon < 0 || (await exists(value))) return { path: value }
  const source = value.slice(colon + 1)
  if (/^(?:file|fd)=/.test(source)) return { path: value.slice(0, colon), source }
  // skopeo takes the passphrase itself here; the list of processes would show it to everyone.
  throw new ProtectError(
    'USAGE',
    'reading --decryption-key: a passphrase stands on the command line',
    {
      next: 'set ENCLAVE_CC_KEY_PASSWORD, or write FILE:file=PATH or FILE:fd=N',
    },
  )
}

async function passphraseFrom(source: string): Promise<string> {
  const value = source.slice(source.indexOf('=') + 1)
  let bytes: Uint8Array
  if (source.startsWith('file=')) {
    bytes = await readInput(value)
  } else {
    const fd = Number(value)
    if (!/^[0-9]{1,6}$/.test(value)) {
      throw new ProtectError('USAGE', 'reading --decryption-key: fd= needs a number')
    }
    bytes = await readDescriptor(fd)
  }
  return fromUtf8(bytes, 'passphrase').replace(/\r?\n$/, '')
}

async function readDescriptor(fd: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  try {
    // As in skopeo: at most 64 bytes are a passphrase.
    for await (const part of createReadStream('', { fd, end: 63, autoClose: false })) {
      parts.push(new Uint8Array(part as Uint8Array))
    }
  } catch (cause) {
    const message = `reading a passphrase from descriptor ${fd}: it cannot be read`
    throw new ProtectError('INPUT_UNREADABLE', message, { cause })
  }
  return concat(...parts).subarray(0, 64)
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch {
    return false
  }
}
