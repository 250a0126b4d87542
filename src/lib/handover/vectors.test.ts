import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { concat, fromHex, toHex, utf8 } from '#lib/bytes'
import { localPlatform } from '../../../test/support/local-tee.ts'
import { createInitiator, createResponder } from './index.ts'

interface Vector {
  readonly initiatorRandom: readonly string[]
  readonly responderRandom: readonly string[]
  readonly messages: readonly string[]
}
const file = new URL('../../../test/vectors/handover/v1.json', import.meta.url)
const vector = JSON.parse(readFileSync(file, 'utf8')) as Vector

const fill = (byte: number, length = 32) => new Uint8Array(length).fill(byte)
const tape = (values: readonly string[]) => {
  const rest = values.map((value) => fromHex(value, 'random'))
  return () => rest.shift() ?? assert.fail('no random bytes are left')
}

test('a handover with fixed random bytes gives the messages of the vector', async () => {
  const machine = localPlatform(fill(7, 16))
  const configId = concat(fill(0xd1), new Uint8Array(32))
  const mrSigner = fill(0x51)
  const responder = createResponder({
    tee: machine.tee({ mrEnclave: fill(0xa1), mrSigner, isvProdId: 1, isvSvn: 3, configId }),
    peer: { mrEnclave: fill(0xb1) },
    initDataDigest: fill(0xd1),
    now: () => 0,
    random: tape(vector.responderRandom),
  })
  const launchId = responder.offer({
    podId: 'pod',
    containerId: 'c1',
    manifestDigest: `sha256:${'0'.repeat(64)}`,
    payload: {
      layers: [{ key: fill(1), root: fill(2), header: utf8('H'), file: 'layer-0.sealed' }],
      config: utf8('{"args":[]}'),
      scratch: utf8('{}'),
    },
  })
  const init = createInitiator({
    tee: machine.tee({ mrEnclave: fill(0xb1), mrSigner, isvProdId: 2, isvSvn: 1, configId }),
    launchId,
    peer: { mrSigner, isvProdId: 1, minIsvSvn: 2 },
    random: tape(vector.initiatorRandom),
  })
  const m1 = await init.begin()
  const m2 = await responder.handle(m1)
  const m3 = await init.handle(m2)
  const m4 = await responder.handle(m3)
  const m5 = await init.handle(m4)
  assert.deepEqual([m1, m2, m3, m4, m5].map(toHex), vector.messages)
  assert.equal((await responder.handle(m5)).length, 0)
})
