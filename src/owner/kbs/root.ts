import { createHash } from 'node:crypto'
import { parseTrustAnchor, type TrustAnchor } from '#lib/attest'
import { toHex, utf8 } from '#lib/bytes'
import { type JsonObject, object, oneOf, string } from '#lib/json'
import { certificatePem } from './certificates.ts'
import { KbsError } from './kbs-error.ts'

/** A root of platforms that the owner trusts, by name of its kind. */
export interface Root {
  /** First 16 hex digits of SHA-256 over the certificate. */
  readonly id: string
  readonly platform: 'simulated' | 'sgx'
  readonly pem: string
  /** RFC 3339 UTC. */
  readonly addedAt: string
  readonly anchor: TrustAnchor
}

/**
 * Reads a root that shall be trusted as `platform`. What the caller says must agree with what the
 * certificate is: a simulated root is never trusted as hardware by mistake, nor the other way.
 * Throws KbsError ROOT_INVALID.
 */
export function readRoot(pem: string, platform: unknown, addedAt: string): Root {
  let anchor: TrustAnchor
  let named: Root['platform']
  try {
    named = oneOf(platform, 'platform', ['simulated', 'sgx'])
    anchor = parseTrustAnchor(utf8(pem))
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : ''
    throw new KbsError('ROOT_INVALID', `adding a root: ${why}`, { cause })
  }
  if (anchor.platform !== named) {
    const is = anchor.platform === 'sgx' ? "Intel's" : 'that of a simulated platform'
    throw new KbsError('ROOT_INVALID', `adding a root as ${named}: the certificate is ${is}`)
  }
  const { raw } = anchor.certificate
  const id = toHex(createHash('sha256').update(raw).digest()).slice(0, 16)
  return { id, platform: named, pem: certificatePem(raw), addedAt, anchor }
}

/** The root as JSON for the store. */
export function rootDocument({ platform, pem, addedAt }: Root): JsonObject {
  return { platform, pem, addedAt }
}

/** Reads what `rootDocument` made. */
export function parseRootDocument(value: unknown): Root {
  const document = object(value, 'root')
  return readRoot(
    string(document.pem, 'pem'),
    document.platform,
    string(document.addedAt, 'addedAt'),
  )
}
