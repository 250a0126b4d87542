import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
} from 'node:crypto'
import { utf8 } from '#lib/bytes'
import { SigningError } from '../signing-error.ts'
import { keyId, signatureAlgorithm } from '../verification-key.ts'
import { type KeyFileOptions, openKeyFile, sealKeyFile } from './key-file.ts'

/** A private key that signs images. */
export interface SigningKey {
  /** SHA-256 of the public half's SPKI, hexadecimal. */
  readonly id: string
  readonly key: KeyObject
  /** Public half, PEM SPKI. */
  readonly publicPem: Uint8Array
}

/** A new key, ECDSA P-256, that is in no file yet. */
export function newSigningKey(): SigningKey {
  return signingKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
}

/** A new key pair, ECDSA P-256 as cosign makes them: the private file and the public PEM. */
export function generateSigningKey(
  passphrase: string,
  options: KeyFileOptions = {},
): { readonly privateFile: Uint8Array; readonly publicPem: Uint8Array; readonly id: string } {
  const { id, key, publicPem } = newSigningKey()
  const pkcs8 = new Uint8Array(key.export({ format: 'der', type: 'pkcs8' }))
  return { privateFile: sealKeyFile(pkcs8, passphrase, options), publicPem, id }
}

/**
 * Opens a signing key in cosign's encrypted format. Throws `KEY_INVALID`, `KEY_PASSPHRASE`,
 * `KEY_TYPE_UNSUPPORTED`.
 */
export function openSigningKey(file: Uint8Array, passphrase: string): SigningKey {
  const der = openKeyFile(file, passphrase)
  try {
    return signingKey(createPrivateKey({ key: Buffer.from(der), format: 'der', type: 'pkcs8' }))
  } catch (cause) {
    if (cause instanceof SigningError) throw cause
    throw new SigningError('KEY_INVALID', 'reading a signing key: its content is not PKCS#8')
  } finally {
    der.fill(0)
  }
}

/** Signs exact bytes; ECDSA signatures are DER. */
export function signBytes({ key }: SigningKey, bytes: Uint8Array): Uint8Array {
  const [hash = null] = signatureAlgorithm(key).hashes
  return new Uint8Array(sign(hash, bytes, key))
}

function signingKey(key: KeyObject): SigningKey {
  signatureAlgorithm(key)
  const publicKey = createPublicKey(key)
  const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
  return { id: keyId(publicKey), key, publicPem: utf8(pem) }
}
