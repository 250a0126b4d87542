import { createHash, type KeyObject } from 'node:crypto'
import { concat, FormatError, toHex } from '#lib/bytes'
import {
  type Certificate,
  ECDSA_WITH_SHA256,
  importP256,
  p256Point,
  parseCertificate,
  splitPem,
  verifyDerSignature,
} from '#lib/x509'
import { AttestError } from '../attest-error.ts'

/** SHA-256 of the SubjectPublicKeyInfo of Intel's production root. */
const INTEL_SPKI = 'a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e'

/** A root that a verifier trusts. Chains are pinned to its public key and subject. */
export interface TrustAnchor {
  readonly certificate: Certificate
  readonly key: KeyObject
  /** Follows from the key: every root but Intel's stands for a simulated platform. */
  readonly platform: 'simulated' | 'sgx'
  /** SHA-384 of the 65-byte point, lower-case hex: the claim `root_key_id`. */
  readonly keyId: string
}

/**
 * Reads a root certificate, DER or one PEM block. It must be self-signed with ECDSA P-256 and
 * be an authority; its dates are checked when it is used. Throws AttestError TRUST_ANCHOR_FORMAT.
 */
export function parseTrustAnchor(bytes: Uint8Array): TrustAnchor {
  try {
    return readAnchor(bytes)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw refused(cause.message, cause)
  }
}

function readAnchor(bytes: Uint8Array): TrustAnchor {
  const [der = bytes] = bytes[0] === 0x2d ? splitPem(bytes, 'CERTIFICATE', 1) : []
  const certificate = parseCertificate(der)
  const point = p256Point(certificate.spki)
  const key = importP256(point)
  if (certificate.signatureAlgorithm !== ECDSA_WITH_SHA256) {
    throw refused(`its signature algorithm is ${certificate.signatureAlgorithm}`)
  }
  if (certificate.basicConstraints?.ca !== true || certificate.keyUsage?.keyCertSign !== true) {
    throw refused('it is not an authority')
  }
  if (!verifyDerSignature(key, certificate.tbs, certificate.signature)) {
    throw refused('it is not self-signed')
  }
  const spki = createHash('sha256').update(certificate.spki).digest('hex')
  return {
    certificate,
    key,
    platform: spki === INTEL_SPKI ? 'sgx' : 'simulated',
    keyId: toHex(
      createHash('sha384')
        .update(concat(new Uint8Array([4]), point))
        .digest(),
    ),
  }
}

function refused(found: string, cause?: unknown): AttestError {
  return new AttestError('TRUST_ANCHOR_FORMAT', `reading a root certificate: ${found}`, {
    field: 'trust anchor',
    expected: 'one self-signed certificate of an authority, P-256',
    actual: found,
    cause,
  })
}
