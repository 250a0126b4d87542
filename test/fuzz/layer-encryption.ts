import assert from 'node:assert/strict'
import { fromBase64, fromHex, toBase64, utf8 } from '#lib/bytes'
import {
  type Annotations,
  describeRecipients,
  jweUnwrapper,
  openLayer,
  packetUnwrapper,
  parseDecryptionKey,
} from '#lib/ocicrypt'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { vectorJson } from '../support/vector-file.ts'

const PREFIX = 'org.opencontainers.image.enc'
const layer = vectorJson<{ annotations: Record<string, string>; privateJwk: object }>(
  'ocicrypt/skopeo-layer.json',
)
const KEY = parseDecryptionKey(utf8(JSON.stringify(layer.privateJwk)))
const packets = vectorJson('ocicrypt/packets.json')
const KEK = fromHex(packets.kek ?? '', 'kek')

/**
 * What wraps the key of a layer, by its first byte: JWE text, packet, public options. It becomes the
 * annotation of a layer that is then opened whole: a typed error, or a cipher with whole keys.
 */
export const target: FuzzTarget = { format: 'ocicrypt', seeds, run: fuzzLayer }

const PARTS = [
  `${PREFIX}.keys.jwe`,
  `${PREFIX}.keys.provider.attestation-agent`,
  `${PREFIX}.pubopts`,
] as const

function* seeds(): Generator<Uint8Array> {
  const text = (index: 0 | 2): Uint8Array =>
    fromBase64(layer.annotations[PARTS[index]] ?? '', 'annotation')
  yield Uint8Array.of(0, ...text(0))
  for (const name of ['gcm', 'ctr']) yield Uint8Array.of(1, ...utf8(packets[name] ?? ''))
  yield Uint8Array.of(2, ...text(2))
}

async function fuzzLayer(data: Uint8Array): Promise<void> {
  const name = PARTS[(data[0] ?? 0) % PARTS.length] ?? PARTS[0]
  const annotations: Annotations = {
    [PARTS[2]]: layer.annotations[PARTS[2]] ?? '',
    ...(name === PARTS[2] ? { [PARTS[0]]: layer.annotations[PARTS[0]] ?? '' } : {}),
    [name]: toBase64(data.subarray(1)),
  }
  assert.ok(Array.isArray(describeRecipients(annotations)))
  const unwrappers = [
    jweUnwrapper([KEY]),
    packetUnwrapper(async () => KEK, { allowSampleKek: true }),
  ]
  const { cipher } = await openLayer(annotations, unwrappers)
  assert.equal(cipher.key.length, 32)
  assert.equal(cipher.nonce.length, 16)
  assert.equal(cipher.hmac.length, 32)
}
