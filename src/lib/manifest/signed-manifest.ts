import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto'
import { toBase64, toBase64Url, utf8 } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import { base64, canonicalize, type JsonValue, object, parseJson } from '#lib/json'
import { type EnclaveManifest, manifestBytes, parseManifest } from './manifest.ts'

/** Codes of manifest errors. */
export type ManifestCode = 'MANIFEST_INVALID' | 'MANIFEST_SIGNATURE'

/** A manifest that cannot be used. */
export class ManifestError extends CodedError<ManifestCode> {}

/** A manifest with the signature of its builder. */
export interface SignedManifest {
  readonly manifest: EnclaveManifest
  /** 384 bytes. */
  readonly signature: Uint8Array
  /** The signer's modulus, 384 bytes, big endian. */
  readonly signer: Uint8Array
}

/** Longest signed manifest file, in bytes. */
export const MAX_SIGNED_MANIFEST: number = 64 * 1024
const EXPONENT = 'Aw' // 3, as SGX demands

/**
 * Reads a signed manifest file and verifies its signature. The signer is whoever it is: whether to
 * trust that signer is decided by MRSIGNER or MRENCLAVE later.
 * Throws ManifestError MANIFEST_INVALID or MANIFEST_SIGNATURE.
 */
export function parseSignedManifest(bytes: Uint8Array): SignedManifest {
  let signed: SignedManifest
  try {
    const file = object(parseJson(bytes, { maxBytes: MAX_SIGNED_MANIFEST }), 'file', [
      'manifest',
      'signature',
      'signer',
    ])
    signed = {
      manifest: parseManifest(file.manifest),
      signature: base64(file.signature, 'signature', 384),
      signer: base64(file.signer, 'signer', 384),
    }
  } catch (cause) {
    const why = (cause as Error).message
    throw new ManifestError('MANIFEST_INVALID', `parsing an enclave manifest: ${why}`, { cause })
  }
  if (!signatureHolds(signed)) {
    throw new ManifestError(
      'MANIFEST_SIGNATURE',
      `verifying the ${signed.manifest.program} manifest: the signature is not its signer's`,
    )
  }
  return signed
}

/** Signs a manifest with an RSA-3072 key of exponent 3 (`openssl genrsa -3 3072`). */
export function signManifest(manifest: EnclaveManifest, key: KeyObject): SignedManifest {
  const jwk = createPublicKey(key).export({ format: 'jwk' })
  const signer =
    jwk.kty === 'RSA' && jwk.e === EXPONENT
      ? new Uint8Array(Buffer.from(jwk.n ?? '', 'base64url'))
      : undefined
  if (signer?.length !== 384) {
    throw new ManifestError('MANIFEST_INVALID', 'the signing key is not RSA-3072 with exponent 3', {
      next: 'make one with: openssl genrsa -3 -out signer.pem 3072',
    })
  }
  return { manifest, signature: sign('sha256', manifestBytes(manifest), key), signer }
}

/** The bytes of a signed manifest file. */
export function signedManifestBytes(signed: SignedManifest): Uint8Array<ArrayBuffer> {
  const file = {
    manifest: signed.manifest as unknown as JsonValue,
    signature: toBase64(signed.signature),
    signer: toBase64(signed.signer),
  }
  return utf8(`${canonicalize(file)}\n`)
}

function signatureHolds(signed: SignedManifest): boolean {
  try {
    const key = createPublicKey({
      format: 'jwk',
      key: { kty: 'RSA', n: toBase64Url(signed.signer), e: EXPONENT },
    })
    return verify('sha256', manifestBytes(signed.manifest), key, signed.signature)
  } catch {
    return false
  }
}
