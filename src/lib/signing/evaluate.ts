import { fromBase64 } from '#lib/bytes'
import { digestAlgorithm, digestOf, isDigest, type Reference } from '#lib/oci'
import { type IdentityRule, intendedImage, matchIdentity, parseNamed } from './identity.ts'
import { parsePayload, type SignedPayload } from './payload.ts'
import { type ImagePolicy, parsePolicyKey, type Requirement } from './policy.ts'
import { matchScope } from './scope.ts'
import type { ImageSignature } from './signature-image.ts'
import { SigningError } from './signing-error.ts'
import { type VerificationKey, verifySignature } from './verification-key.ts'

/** What `evaluateImagePolicy` judges. */
export interface ImagePolicyInput {
  readonly policy: ImagePolicy
  /** The image as the user asked for it, not a mirror's name. */
  readonly reference: Reference
  /** Digest of the manifest that will be run. */
  readonly manifestDigest: string
  /**
   * Digest of the index through which the manifest was reached; a signature over it counts too.
   * The caller has checked that this index lists the manifest.
   */
  readonly indexDigest?: string
  readonly signatures: readonly ImageSignature[]
  /** Content of the key files that the policy names (`policyKeyPaths`), by path. */
  readonly keyFiles?: ReadonlyMap<string, Uint8Array>
}

/** What became of one requirement. */
export interface RequirementResult {
  readonly type: Requirement['type']
  readonly ok: boolean
  /** Why it does not hold. */
  readonly code?: string
  readonly expected?: string
  readonly actual?: string
  /** Id of the key whose signature satisfied it. */
  readonly signer?: string
}

/** The verdict over an image. */
export interface ImagePolicyResult {
  readonly accepted: boolean
  /** Scope of the policy that applied. */
  readonly scope: string
  readonly requirements: readonly RequirementResult[]
  /**
   * Ids (SHA-256 of the SPKI, hexadecimal) of all keys with a good signature. Empty unless
   * accepted; empty too under `insecureAcceptAnything` alone, which is no reason to release a key.
   */
  readonly signers: readonly string[]
  /**
   * One of those signatures names exactly the reference that was asked for, with its tag. Else the
   * tag is a mere word of who asked: any manifest that was ever signed could be served under it.
   */
  readonly tagSigned: boolean
}

/**
 * Judges an image by a policy: all requirements of the first matching scope must hold, and one
 * good signature satisfies one requirement. Never throws for what an image or its signatures
 * hold; whatever cannot be checked does not hold.
 */
export function evaluateImagePolicy(input: ImagePolicyInput): ImagePolicyResult {
  const { scope, requirements } = matchScope(input.policy, input.reference)
  const good: Good = { signers: new Set(), names: new Set() }
  const results = requirements.map((requirement) => judge(requirement, input, good))
  // `every` holds for no requirements at all; the parser refuses that, and so does this line.
  const accepted = results.length > 0 && results.every(({ ok }) => ok)
  return {
    accepted,
    scope,
    requirements: results,
    signers: accepted ? [...good.signers] : [],
    tagSigned: accepted && namesTag(input.reference, good.names),
  }
}

/** What good signatures say. */
interface Good {
  readonly signers: Set<string>
  readonly names: Set<string>
}

function namesTag(reference: Reference, names: ReadonlySet<string>): boolean {
  const intended = intendedImage(reference)
  return intended.tagged && [...names].some((name) => parseNamed(name).text === intended.text)
}

/** Paths of the key files that the policy needs for this image, each once. */
export function policyKeyPaths(policy: ImagePolicy, reference: Reference): string[] {
  const { requirements } = matchScope(policy, reference)
  return [...new Set(requirements.flatMap((each) => ('keyPaths' in each ? each.keyPaths : [])))]
}

function judge(requirement: Requirement, input: ImagePolicyInput, good: Good): RequirementResult {
  const { type } = requirement
  if ('unsupported' in requirement) {
    const code = 'IMAGE_POLICY_REQUIREMENT_UNSUPPORTED'
    return { type, ok: false, code, actual: requirement.unsupported }
  }
  if (!('keys' in requirement)) {
    return requirement.type === 'insecureAcceptAnything'
      ? { type, ok: true }
      : { type, ok: false, code: 'IMAGE_POLICY_REJECTS' }
  }
  const keys = [...requirement.keys]
  for (const path of requirement.keyPaths) {
    const key = fileKey(path, input.keyFiles)
    if (key === undefined) {
      return { type, ok: false, code: 'IMAGE_POLICY_KEY_UNAVAILABLE', actual: path }
    }
    keys.push(key)
  }
  return { type, ...judgeSignatures(keys, requirement.identity, input, good) }
}

function fileKey(
  path: string,
  files: ReadonlyMap<string, Uint8Array> | undefined,
): VerificationKey | undefined {
  const file = files?.get(path)
  if (file === undefined) return undefined
  try {
    return parsePolicyKey(file)
  } catch {
    return undefined
  }
}

type Judgement = Omit<RequirementResult, 'type'> & { readonly name?: string }

/** How far a signature came before it failed; the one that came furthest explains the refusal. */
const PROGRESS = [
  'SIGNATURE_MISSING',
  'SIGNATURE_INVALID',
  'SIGNATURE_PAYLOAD_INVALID',
  'SIGNATURE_DIGEST_MISMATCH',
  'SIGNATURE_IDENTITY_MISMATCH',
]

function judgeSignatures(
  keys: readonly VerificationKey[],
  rule: IdentityRule,
  input: ImagePolicyInput,
  good: Good,
): Judgement {
  const expected = keys.map(({ id }) => id).join(' or ')
  let worst: Judgement = { ok: false, code: 'SIGNATURE_MISSING', expected }
  let signer: string | undefined
  for (const signature of input.signatures) {
    const judgement = judgeSignature(signature, keys, rule, input)
    if (judgement.signer !== undefined) {
      signer ??= judgement.signer
      good.signers.add(judgement.signer)
      if (judgement.name !== undefined) good.names.add(judgement.name)
    } else if (progress(judgement) >= progress(worst)) {
      worst = judgement
    }
  }
  return signer === undefined ? worst : { ok: true, signer }
}

function judgeSignature(
  { payload, digest, signature, problem }: ImageSignature,
  keys: readonly VerificationKey[],
  rule: IdentityRule,
  input: ImagePolicyInput,
): Judgement {
  const expected = keys.map(({ id }) => id).join(' or ')
  if (payload === undefined) {
    return { ok: false, code: problem?.code ?? 'SIGNATURE_INVALID', expected }
  }
  if (!isDigest(digest) || digestOf(payload, digestAlgorithm(digest)) !== digest) {
    return { ok: false, code: 'SIGNATURE_INVALID', expected: digest, actual: digestOf(payload) }
  }
  const bytes = signatureBytes(signature)
  const key = bytes && keys.find((each) => verifySignature(each, payload, bytes))
  if (key === undefined) return { ok: false, code: 'SIGNATURE_INVALID', expected }
  // Only now, with its author known, is the payload worth parsing.
  let signed: SignedPayload
  try {
    signed = parsePayload(payload)
  } catch (error) {
    if (!(error instanceof SigningError)) throw error
    return { ok: false, code: error.code, actual: error.message }
  }
  const accepted = [input.manifestDigest, input.indexDigest].filter((each) => each !== undefined)
  if (!accepted.includes(signed.manifestDigest)) {
    return {
      ok: false,
      code: 'SIGNATURE_DIGEST_MISMATCH',
      expected: accepted.join(' or '),
      actual: signed.manifestDigest,
    }
  }
  const match = matchIdentity(rule, intendedImage(input.reference), signed.dockerReference)
  if (!match.ok) {
    return {
      ok: false,
      code: 'SIGNATURE_IDENTITY_MISMATCH',
      expected: match.expected,
      actual: signed.dockerReference,
    }
  }
  return { ok: true, signer: key.id, name: signed.dockerReference }
}

function progress(judgement: Judgement): number {
  const index = PROGRESS.indexOf(judgement.code ?? '')
  // Codes from elsewhere say that a payload could not be had: like a signature that is wrong.
  return index < 0 ? 1 : index
}

function signatureBytes(text: string): Uint8Array | undefined {
  if (text.length > 16 * 1024) return undefined
  try {
    // Some signers wrap the lines of the base64 text.
    return fromBase64(text.replace(/[\t\n\r ]/g, ''), 'signature')
  } catch {
    return undefined
  }
}
