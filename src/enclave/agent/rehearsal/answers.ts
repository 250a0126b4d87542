import { toBase64Url, utf8 } from '#lib/bytes'
import type { SessionKey } from '../broker/session-key.ts'

const NOTHING = 'A'.repeat(16)

/** Opens an answer of a broker that nobody encrypted: it fails, with most of the way behind it. */
export async function openNothing(key: Pick<SessionKey, 'teeKey' | 'open'>): Promise<void> {
  const { kty, crv, x, y } = key.teeKey
  const header = { alg: 'ECDH-ES+A256KW', enc: 'A256GCM', epk: { kty, crv, x, y } }
  const answer = {
    protected: toBase64Url(utf8(JSON.stringify(header))),
    encrypted_key: 'A'.repeat(54),
    iv: NOTHING,
    ciphertext: NOTHING,
    tag: 'A'.repeat(22),
  }
  await key.open(answer).catch(() => {})
}
