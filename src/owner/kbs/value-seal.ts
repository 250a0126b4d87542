import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { concat, utf8 } from '#lib/bytes'
import { formatResourceUri, type ResourceName } from '#lib/initdata'
import { KbsError } from './kbs-error.ts'

/**
 * Encrypts a resource for the database: 12 bytes nonce ‖ AES-256-GCM ciphertext ‖ 16 bytes tag,
 * the name as associated data. A copy of the database without `keys/storage.key` gives nothing
 * away, and a value cannot be moved to another name.
 */
export function sealValue(key: Uint8Array, name: ResourceName, value: Uint8Array): Uint8Array {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(utf8(formatResourceUri(name)))
  return concat(nonce, cipher.update(value), cipher.final(), cipher.getAuthTag())
}

/** Opens what `sealValue` made. Throws KbsError RESOURCE_DAMAGED. */
export function openValue(key: Uint8Array, name: ResourceName, sealed: Uint8Array): Uint8Array {
  const uri = formatResourceUri(name)
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12))
    decipher.setAAD(utf8(uri))
    decipher.setAuthTag(sealed.subarray(-16))
    return concat(decipher.update(sealed.subarray(12, -16)), decipher.final())
  } catch (cause) {
    throw new KbsError('RESOURCE_DAMAGED', `opening ${uri}: its stored value is damaged`, { cause })
  }
}
