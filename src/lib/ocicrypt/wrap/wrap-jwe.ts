import { FlattenedEncrypt, GeneralEncrypt } from 'jose'
import { utf8 } from '#lib/bytes'
import type { EncryptionKey } from './public-key.ts'

/**
 * Wraps private options as a JWE for all `keys` at once, content encryption A256GCM: flattened
 * for one recipient, general for several (docs/formats/ocicrypt.md).
 */
export async function wrapJwe(
  plaintext: Uint8Array,
  keys: readonly EncryptionKey[],
): Promise<Uint8Array> {
  const [first] = keys
  if (first === undefined) throw new TypeError('wrapJwe: no recipient')
  if (keys.length === 1) {
    const kid = first.kid === undefined ? {} : { kid: first.kid }
    const {
      protected: header,
      encrypted_key,
      iv,
      ciphertext,
      tag,
    } = await new FlattenedEncrypt(plaintext)
      .setProtectedHeader({ alg: first.alg, enc: 'A256GCM', ...kid })
      .encrypt(first.key)
    return utf8(JSON.stringify({ protected: header, encrypted_key, iv, ciphertext, tag }))
  }
  const general = new GeneralEncrypt(plaintext).setProtectedHeader({ enc: 'A256GCM' })
  for (const { key, alg, kid } of keys) {
    general.addRecipient(key).setUnprotectedHeader({ alg, ...(kid === undefined ? {} : { kid }) })
  }
  return utf8(JSON.stringify(await general.encrypt()))
}
