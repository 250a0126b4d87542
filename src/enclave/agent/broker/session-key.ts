import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { flattenedDecrypt } from 'jose'
import { CodedError } from '#lib/errors'
import { type EcTeeKey, parseTeeKey, proveDecision, type ResourceResponse } from '#protocol/kbs'

/** The agent's ephemeral key: one for each process, never exported. */
export interface SessionKey {
  /** The public half, as it is sent and hashed. */
  readonly teeKey: EcTeeKey
  /** Opens what the broker encrypted to it. Throws KBS_ANSWER_INVALID. */
  open(answer: ResourceResponse): Promise<Uint8Array>
  /** Proves that a decision report under this token is ours. */
  prove(token: string, report: Uint8Array): string
}

/** Makes a P-256 key. */
export function createSessionKey(): SessionKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { x, y } = publicKey.export({ format: 'jwk' })
  // Exactly these members: a broker that parses and re-writes the key would drop others and then
  // hash something else than we did (CoCo's KBS protocol).
  const jwk = { kty: 'EC', crv: 'P-256', alg: 'ECDH-ES+A256KW', x, y }
  const teeKey = parseTeeKey(jwk) as EcTeeKey
  return {
    teeKey,
    open: (answer) => open(answer, privateKey),
    prove: (token, report) => proveDecision(privateKey, token, report),
  }
}

async function open(answer: ResourceResponse, key: KeyObject): Promise<Uint8Array> {
  try {
    const { plaintext } = await flattenedDecrypt({ ...answer }, key, {
      keyManagementAlgorithms: ['ECDH-ES+A256KW'],
      contentEncryptionAlgorithms: ['A256GCM'],
    })
    return plaintext
  } catch (cause) {
    throw new CodedError(
      'KBS_ANSWER_INVALID',
      'reading a resource of the broker: it is not encrypted to the key of this enclave',
      { cause },
    )
  }
}
