import { isCoded } from '#lib/errors'
import { parseResourceUri } from '#lib/initdata'
import {
  evaluateImagePolicy,
  type ImagePolicy,
  type ImagePolicyResult,
  type ImageSignature,
  MAX_PAYLOAD,
  policyKeyPaths,
  readSignatures,
  signatureTag,
} from '#lib/signing'
import type { Broker } from '../broker/broker.ts'
import { type ImageSource, readSmall } from './image-source.ts'

/** Options of `judgeSignatures`. */
export interface SignatureOptions {
  readonly source: ImageSource
  readonly policy: ImagePolicy
  readonly broker: Broker
  readonly namespace: string
  readonly signal?: AbortSignal
}

/**
 * Judges the image by the owner's policy.json. Signatures of the manifest count, and those of the
 * index that lists it. Key paths are resources of the owner's namespace; other paths are not available.
 */
export async function judgeSignatures(options: SignatureOptions): Promise<ImagePolicyResult> {
  const { source, policy } = options
  const digests = [source.digest, source.indexDigest].filter((digest) => digest !== undefined)
  const signatures: ImageSignature[] = []
  for (const digest of digests) signatures.push(...(await signaturesOf(source, digest)))
  return evaluateImagePolicy({
    policy,
    reference: source.reference,
    manifestDigest: source.digest,
    ...(source.indexDigest === undefined ? {} : { indexDigest: source.indexDigest }),
    signatures,
    keyFiles: await keyFiles(options),
  })
}

async function signaturesOf(source: ImageSource, digest: string): Promise<ImageSignature[]> {
  const found = await source.client.findManifest(signatureTag(digest))
  if (found?.manifest.kind !== 'manifest') return []
  return await readSignatures(found.manifest, (layer) =>
    readSmall(source.client, layer, MAX_PAYLOAD),
  )
}

async function keyFiles(options: SignatureOptions): Promise<ReadonlyMap<string, Uint8Array>> {
  const { source, policy, broker, namespace, signal } = options
  const files = new Map<string, Uint8Array>()
  for (const path of policyKeyPaths(policy, source.reference)) {
    const name = resourceOf(path)
    if (name?.namespace !== namespace) continue
    const file = await broker.findResource(name, signal === undefined ? {} : { signal })
    if (file !== undefined) files.set(path, file)
  }
  return files
}

function resourceOf(path: string): ReturnType<typeof parseResourceUri> | undefined {
  try {
    return parseResourceUri(path)
  } catch (error) {
    if (!isCoded(error)) throw error
    return undefined
  }
}
