import { integer, object, parseJson, string } from '#lib/json'
import { isDigest } from '#lib/oci'
import { SigningError } from './signing-error.ts'

/** `critical.type` of cosign's payloads. */
export const COSIGN_PAYLOAD_TYPE = 'cosign container image signature'

/** What a signature says, once it was verified over the payload's exact bytes. */
export interface SignedPayload {
  readonly manifestDigest: string
  /** `critical.identity.docker-reference` as it stands there. */
  readonly dockerReference: string
}

/** Largest payload that is read. */
export const MAX_PAYLOAD: number = 256 * 1024

/**
 * Parses cosign's simple-signing payload as strictly as containers/image does: exactly the known
 * members, none twice (docs/formats/signature.md). Call it only after the signature over
 * these bytes was verified. Throws `SIGNATURE_PAYLOAD_INVALID`.
 */
export function parsePayload(bytes: Uint8Array): SignedPayload {
  try {
    const root = object(parseJson(bytes, { maxBytes: MAX_PAYLOAD, name: 'payload' }), 'payload', [
      'critical',
      'optional',
    ])
    const critical = object(root.critical, 'critical', ['type', 'image', 'identity'])
    const type = string(critical.type, 'critical.type', { max: 256 })
    if (type !== COSIGN_PAYLOAD_TYPE) throw invalid(`critical.type is not "${COSIGN_PAYLOAD_TYPE}"`)
    const image = object(critical.image, 'critical.image', ['docker-manifest-digest'])
    const identity = object(critical.identity, 'critical.identity', ['docker-reference'])
    const manifestDigest = string(image['docker-manifest-digest'], 'docker-manifest-digest')
    if (!isDigest(manifestDigest)) throw invalid('docker-manifest-digest is not a digest')
    checkOptional(root.optional)
    return {
      manifestDigest,
      dockerReference: string(identity['docker-reference'], 'docker-reference', { max: 1024 }),
    }
  } catch (cause) {
    if (cause instanceof SigningError) throw cause
    throw invalid(cause instanceof Error ? cause.message : 'unreadable', cause)
  }
}

function checkOptional(value: unknown): void {
  if (value === undefined || value === null) return
  const optional = object(value, 'optional')
  if (Object.hasOwn(optional, 'creator')) string(optional.creator, 'optional.creator')
  if (Object.hasOwn(optional, 'timestamp')) {
    integer(optional.timestamp, 'optional.timestamp', Number.MIN_SAFE_INTEGER)
  }
}

function invalid(found: string, cause?: unknown): SigningError {
  return new SigningError('SIGNATURE_PAYLOAD_INVALID', `reading a signed payload: ${found}`, {
    cause,
  })
}
