import {
  constants,
  createCipheriv,
  createHash,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { concat, toBase64Url, utf8 } from '#lib/bytes'
import { type ResourceResponse, type TeeKey, teePublicKey } from '#protocol/kbs'

/** Values that are random in use and fixed in the test vector. */
export interface JweRandom {
  /** 32 bytes. */
  readonly cek?: Uint8Array
  /** 12 bytes. */
  readonly iv?: Uint8Array
  /** Private key of the ephemeral pair, of the recipient's curve. */
  readonly ephemeral?: { readonly privateKey: KeyObject; readonly publicKey: KeyObject }
}

const ALGORITHM = 'ECDH-ES+A256KW'
const KEY_WRAP_IV = new Uint8Array(8).fill(0xa6)

/**
 * Encrypts `plaintext` to an enclave's key as a flattened JWE (KBS protocol 0.4.0, JWE of RFC 7516). The members of
 * the protected header stand in the order `alg enc epk{crv kty x y}`: the Rust client writes the
 * header again before it uses it as associated data, and comes to the same bytes only so.
 * Throws FormatError if the key is not on its curve.
 */
export function encryptToTeeKey(
  key: TeeKey,
  plaintext: Uint8Array,
  random: JweRandom = {},
): ResourceResponse {
  const recipient = teePublicKey(key)
  const cek = random.cek ?? randomBytes(32)
  try {
    const { header, encryptedKey } =
      key.kty === 'EC'
        ? wrapByAgreement(key.crv, recipient, cek, random)
        : { header: { alg: key.alg, enc: 'A256GCM' }, encryptedKey: wrapByRsa(recipient, cek) }
    const protectedHeader = toBase64Url(utf8(JSON.stringify(header)))
    const iv = random.iv ?? randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', cek, iv)
    cipher.setAAD(utf8(protectedHeader))
    const ciphertext = concat(cipher.update(plaintext), cipher.final())
    return {
      protected: protectedHeader,
      encrypted_key: toBase64Url(encryptedKey),
      iv: toBase64Url(iv),
      ciphertext: toBase64Url(ciphertext),
      tag: toBase64Url(cipher.getAuthTag()),
    }
  } finally {
    cek.fill(0)
  }
}

function wrapByAgreement(
  crv: 'P-256' | 'P-521',
  recipient: KeyObject,
  cek: Uint8Array,
  random: JweRandom,
): { header: object; encryptedKey: Uint8Array } {
  const pair = random.ephemeral ?? generateKeyPairSync('ec', { namedCurve: crv })
  const shared = diffieHellman({ privateKey: pair.privateKey, publicKey: recipient })
  const kek = concatKdf(shared)
  shared.fill(0)
  const cipher = createCipheriv('id-aes256-wrap', kek, KEY_WRAP_IV)
  const encryptedKey = concat(cipher.update(cek), cipher.final())
  kek.fill(0)
  const { x, y } = pair.publicKey.export({ format: 'jwk' })
  const epk = { crv, kty: 'EC', x, y }
  return { header: { alg: ALGORITHM, enc: 'A256GCM', epk }, encryptedKey }
}

// RFC 7518 4.6.2, one block of SHA-256; apu and apv are empty.
function concatKdf(shared: Uint8Array): Buffer {
  const u32 = (n: number): Uint8Array => Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n)
  const info = concat(u32(ALGORITHM.length), utf8(ALGORITHM), u32(0), u32(0), u32(256))
  return createHash('sha256').update(u32(1)).update(shared).update(info).digest()
}

function wrapByRsa(recipient: KeyObject, cek: Uint8Array): Uint8Array {
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  return publicEncrypt({ key: recipient, padding, oaepHash: 'sha256' }, cek)
}
