import { LAUNCH_DEFAULT } from '#lib/policy'
import type { SessionKey } from './broker/session-key.ts'
import { ask } from './image/launch-decision.ts'

const NOTHING = 'A'.repeat(16)

/**
 * Runs once what the first container would be the first to run: Cedar's code is compiled when it is called,
 * and the schema is parsed with the first question. Nothing is opened or sent, and no answer is kept
 * that a container could be given: the question is about an image that cannot be.
 */
export async function warmUp(key: Pick<SessionKey, 'teeKey' | 'open'>): Promise<void> {
  const image = { registry: '', repository: '', tag: '', digest: '', signers: [] }
  const facts = { signed: false, encrypted: false, fullyEncrypted: false }
  ask(LAUNCH_DEFAULT, {
    action: 'run',
    image: { ...image, ...facts },
    platform: 'none',
    containerId: 'none',
  })
  const { kty, crv, x, y } = key.teeKey
  const header = { alg: 'ECDH-ES+A256KW', enc: 'A256GCM', epk: { kty, crv, x, y } }
  const answer = {
    protected: Buffer.from(JSON.stringify(header)).toString('base64url'),
    encrypted_key: 'A'.repeat(54),
    iv: NOTHING,
    ciphertext: NOTHING,
    tag: 'A'.repeat(22),
  }
  // nobody encrypted it: unwrapping its key fails, with most of the way behind it
  await key.open(answer).catch(() => {})
}
