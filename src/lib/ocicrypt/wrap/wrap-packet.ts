import { createCipheriv, randomBytes } from 'node:crypto'
import { concat, toBase64, utf8 } from '#lib/bytes'
import { formatResourceUri, parseResourceUri } from '#lib/initdata'
import { checkKek, type PacketKeyOptions } from '../packet.ts'

/** Options of `wrapPacket`. */
export interface WrapPacketOptions extends PacketKeyOptions {
  /** Source of the iv; default the system's. Only vectors pass another. */
  readonly random?: (size: number) => Uint8Array
}

/**
 * Wraps private options for a key-encryption key of the broker: an attestation-agent packet v1,
 * A256GCM, fresh 12-byte iv (docs/formats/ocicrypt.md). v1, since it is what every guest reads.
 * Throws `RESOURCE_URI_INVALID`, `KEK_INVALID`, `KEK_SAMPLE_REFUSED`.
 */
export function wrapPacket(
  plaintext: Uint8Array,
  kid: string,
  kek: Uint8Array,
  options: WrapPacketOptions = {},
): Uint8Array {
  const uri = formatResourceUri(parseResourceUri(kid))
  checkKek(kek, uri, options)
  const iv = (options.random ?? randomBytes)(12)
  const cipher = createCipheriv('aes-256-gcm', kek, iv, { authTagLength: 16 })
  const ciphertext = concat(cipher.update(plaintext), cipher.final())
  const wrapped = toBase64(concat(ciphertext, cipher.getAuthTag()))
  return utf8(
    JSON.stringify({ kid: uri, wrapped_data: wrapped, iv: toBase64(iv), wrap_type: 'A256GCM' }),
  )
}
