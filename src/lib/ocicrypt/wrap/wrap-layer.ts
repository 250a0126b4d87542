import { toBase64 } from '#lib/bytes'
import {
  type Annotations,
  JWE_SCHEME,
  PACKET_SCHEME,
  PUBLIC_OPTIONS_ANNOTATION,
  plainAnnotations,
  WRAPPED_KEYS_PREFIX,
} from '../annotations.ts'
import type { PrivateOptions, PublicOptions } from '../options.ts'
import { encodePrivateOptions, encodePublicOptions } from './options.ts'
import type { EncryptionKey } from './public-key.ts'
import { wrapJwe } from './wrap-jwe.ts'
import { type WrapPacketOptions, wrapPacket } from './wrap-packet.ts'

/** Everyone who shall be able to open a layer. */
export interface LayerRecipients {
  /** All of these share one JWE. */
  readonly jwe: readonly EncryptionKey[]
  /** One packet each: resource URI and the raw 32 bytes it names. */
  readonly packets: readonly { readonly kid: string; readonly kek: Uint8Array }[]
}

/**
 * The annotations of an encrypted layer: those it had, the public options and one wrap list a
 * scheme (docs/formats/ocicrypt.md). Throws TypeError without any recipient, and what `wrapPacket`
 * throws.
 */
export async function wrapLayer(
  annotations: Annotations,
  options: { readonly public: PublicOptions; readonly private: Required<PrivateOptions> },
  recipients: LayerRecipients,
  packetOptions: WrapPacketOptions = {},
): Promise<Record<string, string>> {
  if (recipients.jwe.length + recipients.packets.length === 0) {
    throw new TypeError('wrapLayer: a layer without recipients could never be read')
  }
  const secret = encodePrivateOptions(options.private)
  try {
    const result = plainAnnotations(annotations)
    result[PUBLIC_OPTIONS_ANNOTATION] = toBase64(encodePublicOptions(options.public))
    if (recipients.jwe.length > 0) {
      const jwe = await wrapJwe(secret, recipients.jwe)
      result[`${WRAPPED_KEYS_PREFIX}${JWE_SCHEME}`] = toBase64(jwe)
    }
    if (recipients.packets.length > 0) {
      result[`${WRAPPED_KEYS_PREFIX}${PACKET_SCHEME}`] = recipients.packets
        .map(({ kid, kek }) => toBase64(wrapPacket(secret, kid, kek, packetOptions)))
        .join(',')
    }
    return result
  } finally {
    secret.fill(0)
  }
}
