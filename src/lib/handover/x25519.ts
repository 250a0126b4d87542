import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from 'node:crypto'
import { concat, fromBase64Url, fromHex } from '#lib/bytes'

/** Bytes of an X25519 key. */
export const X25519_LENGTH = 32

// RFC 8410: PrivateKeyInfo { 0, id-X25519, OCTET STRING { OCTET STRING(32) } } and SubjectPublicKeyInfo.
const PKCS8: Uint8Array = fromHex('302e020100300506032b656e04220420', 'PKCS #8 prefix')
const SPKI: Uint8Array = fromHex('302a300506032b656e032100', 'SPKI prefix')

/** An ephemeral key pair. */
export interface KeyPair {
  readonly privateKey: KeyObject
  /** 32 bytes. */
  readonly publicKey: Uint8Array
}

/** The pair of a 32-byte secret, which the caller wipes. */
export function keyPair(secret: Uint8Array): KeyPair {
  const der = concat(PKCS8, secret)
  try {
    const privateKey = createPrivateKey({
      key: Buffer.from(der.buffer),
      format: 'der',
      type: 'pkcs8',
    })
    const { x } = createPublicKey(privateKey).export({ format: 'jwk' })
    return { privateKey, publicKey: fromBase64Url(x ?? '', 'X25519 public key', X25519_LENGTH) }
  } finally {
    der.fill(0)
  }
}

/** The shared secret of RFC 7748. Throws where it would be all zeros (a peer key of small order). */
export function sharedSecret(own: KeyObject, peer: Uint8Array): Uint8Array {
  const der = concat(SPKI, peer)
  const publicKey = createPublicKey({ key: Buffer.from(der.buffer), format: 'der', type: 'spki' })
  return new Uint8Array(diffieHellman({ privateKey: own, publicKey }))
}
