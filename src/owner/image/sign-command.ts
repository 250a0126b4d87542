import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { formatReference, withDigest } from '#lib/oci'
import { isKeyFile, openSigningKey, type SigningKey } from '#lib/signing/sign'
import { brokerResources } from './broker-resources.ts'
import { readInput } from './key-files.ts'
import { openDestination, openSource } from './open.ts'
import { askPassphrase } from './passphrase.ts'
import { ProtectError } from './protect-error.ts'
import { registryAccess } from './registry-access.ts'
import { digestsToSign, namedReference, type StoredSignature, signDigest } from './sign.ts'

/** `image sign REF`: signs what the name stands for now and stores the signature beside it. */
export async function signCommand(context: CommandContext, input: CommandInput): Promise<Outcome> {
  const [ref = ''] = input.operands
  const format = input.text('format') ?? 'simple'
  if (format === 'bundle') {
    throw new ProtectError('SCHEME_UNSUPPORTED', 'signing in the format bundle: not supported', {
      next: 'sign with --format simple, which guests verify',
    })
  }
  if (format !== 'simple') throw new ProtectError('USAGE', `reading --format: ${format} is unknown`)
  const annotations = parseAnnotations(input.list('annotations'))
  const access = registryAccess(context, input)
  await using source = await openSource(ref, access, { bare: true })
  const reference = namedReference(source, 'signing')
  const key = await readSigningKey(context, input)
  const digests = await digestsToSign(source, input.flag('recursive'))
  await using destination = await openDestination(ref, access, { bare: true })
  const signatures: (StoredSignature & { readonly signs: string })[] = []
  for (const digest of digests) {
    const stored = await signDigest(destination, reference, digest, key, annotations)
    signatures.push({ ...stored, signs: digest })
  }
  const [digest = ''] = digests
  return {
    document: { reference: formatReference(reference), digest, signatures },
    text: [
      formatReference(withDigest(reference, digest)),
      ...signatures.map(({ stored, keyId }) => `signed by ${keyId}: ${stored}`),
    ].join('\n'),
  }
}

async function readSigningKey(context: CommandContext, input: CommandInput): Promise<SigningKey> {
  const value = input.text('key')
  if (value === undefined) {
    throw new ProtectError('USAGE', 'signing an image: --key is missing', {
      next: 'make a key with enclave-cc keygen signing',
    })
  }
  using broker = brokerResources(context, input)
  const file = value.startsWith('kbs:')
    ? await (await broker.connect()).get(value)
    : await readInput(value)
  if (file === undefined) {
    throw new ProtectError('INPUT_UNREADABLE', `reading ${value}: the broker has no such resource`)
  }
  // Told before a passphrase is asked for that could not help.
  if (!isKeyFile(file)) return openSigningKey(file, '')
  return openSigningKey(file, await askPassphrase(context, value))
}

function parseAnnotations(values: readonly string[]): Record<string, string> {
  const annotations: Record<string, string> = Object.create(null)
  for (const value of values) {
    const equals = value.indexOf('=')
    const key = value.slice(0, equals)
    if (equals < 1 || Object.hasOwn(annotations, key)) {
      throw new ProtectError('USAGE', `reading -a ${value}: not KEY=VALUE, or there twice`)
    }
    annotations[key] = value.slice(equals + 1)
  }
  return annotations
}
