import { toBase64, utf8 } from '#lib/bytes'
import { printable } from '#lib/command'
import { codeRow } from '#lib/errors'
import { formatReference, type Platform } from '#lib/oci'
import {
  evaluateImagePolicy,
  type ImagePolicy,
  type ImagePolicyResult,
  parsePolicy,
  parseVerificationKey,
  policyKeyPaths,
} from '#lib/signing'
import { chooseImage } from './choose.ts'
import { readInput } from './key-files.ts'
import { namedReference, signaturesOf } from './sign.ts'
import type { ImageSource } from './transport.ts'

/** The verdict on an image, as `image verify` prints it. */
export interface VerifyDocument {
  readonly reference: string
  readonly digest: string
  readonly accepted: boolean
  readonly scope: string
  readonly requirements: ImagePolicyResult['requirements']
  readonly next?: string
}

/** A policy that asks for a signature by one key and nothing else. */
export function policyOfKey(pem: Uint8Array): ImagePolicy {
  // Parsed by itself first: the error should name the key, not a policy nobody wrote.
  parseVerificationKey(pem)
  const requirement = { type: 'sigstoreSigned', keyData: toBase64(pem) }
  return parsePolicy(utf8(JSON.stringify({ default: [requirement] })))
}

/**
 * Judges an image as an enclave would: the manifest of `platform`, with the signatures of that
 * manifest and of the index that lists it. Keys that the policy names by path are read from this
 * machine.
 */
export async function verifyImage(
  source: ImageSource,
  policy: ImagePolicy,
  platform: Platform,
): Promise<VerifyDocument> {
  const reference = namedReference(source, 'verifying')
  const top = await source.top()
  const index = top.manifest.kind === 'index' ? top.digest : undefined
  const { served } = await chooseImage(source, top, platform)
  const manifestDigest = served.digest
  const digests = index === undefined ? [manifestDigest] : [manifestDigest, index]
  const signatures = (
    await Promise.all(digests.map((digest) => signaturesOf(source, digest)))
  ).flat()
  const keyFiles = new Map<string, Uint8Array>()
  for (const path of policyKeyPaths(policy, reference)) {
    const readable = await readInput(path).catch(() => undefined)
    if (readable !== undefined) keyFiles.set(path, readable)
  }
  const { accepted, scope, requirements } = evaluateImagePolicy({
    policy,
    reference,
    manifestDigest,
    signatures,
    keyFiles,
    ...(index === undefined ? {} : { indexDigest: index }),
  })
  const code = requirements.find(({ ok }) => !ok)?.code
  const next = code === undefined ? undefined : codeRow(code)?.next
  return {
    reference: formatReference(reference),
    digest: manifestDigest,
    accepted,
    scope,
    requirements,
    ...(next === undefined ? {} : { next }),
  }
}

/** The verdict for people. */
export function verdictText(document: VerifyDocument): string {
  const lines = [
    `${document.accepted ? 'accepted' : 'refused'}: ${document.reference}`,
    `digest: ${document.digest}`,
    `scope: ${document.scope}`,
  ]
  for (const { type, ok, code, expected, actual, signer } of document.requirements) {
    lines.push(`  ${type}: ${ok ? `ok${signer ? `, signed by ${signer}` : ''}` : code}`)
    if (!ok && expected) lines.push(`    expected: ${expected}`)
    if (!ok && actual) lines.push(`    found:    ${actual}`)
  }
  if (document.next !== undefined) lines.push(`next: ${document.next}`)
  return lines.map(printable).join('\n')
}
