import assert from 'node:assert/strict'
import { fromUtf8, utf8 } from '#lib/bytes'
import { parsePacket, parsePrivateOptions } from '#lib/ocicrypt'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { MAX_WRAPPED_KEYS, wrappedKeys } from '../../src/lib/ocicrypt/annotations.ts'
import { parseJwe } from '../../src/lib/ocicrypt/jwe.ts'
import { vectorJson } from '../support/vector-file.ts'

const packets = vectorJson('ocicrypt/packets.json')
const layer = vectorJson<{ annotations: Record<string, string>; privateOptions: string }>(
  'ocicrypt/skopeo-layer.json',
)
const JWE = layer.annotations['org.opencontainers.image.enc.keys.jwe'] ?? ''

/** The texts of layer encryption one by one (first byte: list, JWE, packet, private options), without opening. */
export const target: FuzzTarget = {
  format: 'wrapped-keys',
  seeds: () => [
    Uint8Array.of(0, ...utf8(`${JWE},${JWE}`)),
    Uint8Array.of(1, ...Buffer.from(JWE, 'base64')),
    Uint8Array.of(2, ...utf8(packets.gcm ?? '')),
    Uint8Array.of(2, ...utf8(packets.ctr ?? '')),
    Uint8Array.of(3, ...utf8(layer.privateOptions)),
  ],
  run: fuzzText,
}

function fuzzText(data: Uint8Array): void {
  const text = data.subarray(1)
  switch ((data[0] ?? 0) % 4) {
    case 0: {
      const list = { scheme: 'jwe', text: fromUtf8(text, 'list') }
      assert.ok([...wrappedKeys(list)].length <= MAX_WRAPPED_KEYS)
      return
    }
    case 1:
      for (const { alg } of parseJwe(text)) assert.match(alg, /^(?:RSA-OAEP|ECDH-ES\+A)/)
      return
    case 2:
      assert.match(parsePacket(text).kid, /^kbs:\/\/\/[\w.-]+\/[\w.-]+\/[\w.-]+$/)
      return
    default:
      assert.equal(parsePrivateOptions(text).symkey.length, 32)
  }
}
