import { createHash } from 'node:crypto'
import { parseTrustAnchor, type TrustAnchor } from '#lib/attest'
import { toHex, utf8 } from '#lib/bytes'
import { isSegment } from '#lib/initdata'
import { type JsonObject, object, oneOf, optional, string } from '#lib/json'
import { certificatePem } from './certificates.ts'
import { KbsError } from './kbs-error.ts'

/** A root of platforms that the owner trusts, by name of its kind. */
export interface Root {
  /** First 16 hex digits of SHA-256 over the certificate; `.NAMESPACE` follows if it has one. */
  readonly id: string
  readonly platform: 'simulated' | 'sgx'
  /** The only namespace whose enclaves may stand on this root; undefined: all of them. */
  readonly namespace?: string
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
export function readRoot(
  pem: string,
  platform: unknown,
  addedAt: string,
  namespace?: string,
): Root {
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
  if (namespace !== undefined && !isSegment(namespace)) {
    throw new KbsError('ROOT_INVALID', 'adding a root: its namespace is not one of a resource name')
  }
  const { raw } = anchor.certificate
  const hash = toHex(createHash('sha256').update(raw).digest()).slice(0, 16)
  const scope = namespace === undefined ? {} : { namespace }
  const id = namespace === undefined ? hash : `${hash}.${namespace}`
  return { id, platform: named, ...scope, pem: certificatePem(raw), addedAt, anchor }
}

/**
 * Refuses a root that would make one namespace trust hardware and a simulation at once: whoever
 * runs the simulation can mint any enclave, and with it read what is meant for hardware alone.
 * Throws KbsError ROOT_KINDS_MIXED.
 */
export function requireOneKind(root: Root, trusted: readonly Root[]): void {
  const other = trusted.find(
    (one) =>
      one.platform !== root.platform &&
      (one.namespace === undefined ||
        root.namespace === undefined ||
        one.namespace === root.namespace),
  )
  if (other === undefined) return
  const where = other.namespace === undefined ? 'for all namespaces' : `for ${other.namespace}`
  throw new KbsError(
    'ROOT_KINDS_MIXED',
    `adding a root as ${root.platform}: ${other.id} is trusted as ${other.platform} ${where}`,
  )
}

/** May an enclave of this namespace (`''`: of none) stand on the root with this key id? */
export function isTrusted(roots: readonly Root[], keyId: string, namespace: string): boolean {
  return roots.some(
    (root) =>
      root.anchor.keyId === keyId && (root.namespace === undefined || root.namespace === namespace),
  )
}

/** The namespaces for which a root is trusted, for explanations. */
export function scopesOf(roots: readonly Root[], keyId: string): string[] {
  return roots
    .filter(({ anchor }) => anchor.keyId === keyId)
    .map(({ namespace }) => namespace ?? 'any')
}

/** The root as JSON for the store. */
export function rootDocument({ platform, namespace, pem, addedAt }: Root): JsonObject {
  return { platform, pem, addedAt, ...(namespace === undefined ? {} : { namespace }) }
}

/** Reads what `rootDocument` made. */
export function parseRootDocument(value: unknown): Root {
  const document = object(value, 'root')
  return readRoot(
    string(document.pem, 'pem'),
    document.platform,
    string(document.addedAt, 'addedAt'),
    optional(document.namespace, (v) => string(v, 'namespace')),
  )
}
