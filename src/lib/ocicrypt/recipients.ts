import {
  type Annotations,
  JWE_SCHEME,
  PACKET_SCHEME,
  wrapLists,
  wrappedKeys,
} from './annotations.ts'
import { parseJwe } from './jwe.ts'
import { parsePacket } from './packet.ts'

/** Someone who can open a layer, as far as the annotations tell without any key. */
export interface Recipient {
  /** `jwe`, `pkcs7`, `provider.attestation-agent` … */
  readonly scheme: string
  /** JWE: its `kid`, else its algorithm; packet: the resource URI; "" where nothing is known. */
  readonly id: string
}

/** The recipients that the annotations of a layer name; unreadable ones have an empty id. */
export function describeRecipients(annotations: Annotations): Recipient[] {
  return wrapLists(annotations).flatMap(({ scheme, text }) => {
    const found: Recipient[] = []
    try {
      for (const element of wrappedKeys({ scheme, text })) {
        found.push(...ids(scheme, element).map((id) => ({ scheme, id })))
      }
    } catch {
      found.push({ scheme, id: '' })
    }
    return found
  })
}

function ids(scheme: string, element: Uint8Array): string[] {
  try {
    if (scheme === JWE_SCHEME) return parseJwe(element).map(({ kid, alg }) => kid ?? alg)
    if (scheme === PACKET_SCHEME) return [parsePacket(element).kid]
  } catch {
    // Listed all the same: that it is there is worth knowing.
  }
  return ['']
}
