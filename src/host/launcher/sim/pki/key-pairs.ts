import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { concat, fromBase64Url } from '#lib/bytes'

/** A new P-256 private key. */
export function newPrivateKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

/** PKCS #8 bytes of a private key. A secret: they go to private files only. */
export function encodePrivateKey(key: KeyObject): Uint8Array {
  return new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }))
}

/** Reads PKCS #8 bytes. TypeError unless it is a P-256 key. */
export function parsePrivateKey(bytes: Uint8Array): KeyObject {
  const key = createPrivateKey({ key: Buffer.from(bytes), format: 'der', type: 'pkcs8' })
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new TypeError('not a P-256 key')
  return key
}

/** The public point x‖y, 64 bytes, of a private key. */
export function publicPoint(key: KeyObject): Uint8Array {
  const { x, y } = createPublicKey(key).export({ format: 'jwk' })
  return concat(fromBase64Url(x ?? '', 'x', 32), fromBase64Url(y ?? '', 'y', 32))
}

/** SubjectPublicKeyInfo of a private key, DER. */
export function publicKeyInfo(key: KeyObject): Uint8Array {
  return new Uint8Array(createPublicKey(key).export({ format: 'der', type: 'spki' }))
}
