import { utf8 } from '#lib/bytes'
import type { Reference } from '#lib/oci'
import { repositoryName } from '../identity.ts'
import { COSIGN_PAYLOAD_TYPE, parsePayload } from '../payload.ts'

/**
 * The payload that cosign signs for an image, in its member order. The reference is written
 * without tag and digest, as cosign does. `annotations` become `optional`.
 * Throws `SIGNATURE_PAYLOAD_INVALID` for annotations that verifiers would refuse.
 */
export function encodePayload(
  reference: Reference,
  manifestDigest: string,
  annotations: Readonly<Record<string, string>> = {},
): Uint8Array {
  const keys = Object.keys(annotations).sort()
  const payload = utf8(
    JSON.stringify({
      critical: {
        identity: { 'docker-reference': cosignName(reference) },
        image: { 'docker-manifest-digest': manifestDigest },
        type: COSIGN_PAYLOAD_TYPE,
      },
      optional: keys.length === 0 ? null : Object.fromEntries(keys.map((k) => [k, annotations[k]])),
    }),
  )
  parsePayload(payload)
  return payload
}

// cosign spells Docker Hub by its old name, and verifiers that compare raw text expect that.
function cosignName(reference: Reference): string {
  const name = repositoryName(reference)
  return reference.host === 'docker.io' ? `index.${name}` : name
}
