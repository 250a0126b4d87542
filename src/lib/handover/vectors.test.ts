import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { ReportBody } from '#lib/attest'
import { concat, equalBytes, fromHex, toHex, utf8 } from '#lib/bytes'
import { localPlatform } from '../../../test/support/local-tee.ts'
import { reportBody } from '../../../test/support/sgx-forge.ts'
import { createInitiator, createResponder, type EvidenceForm, reportForm } from './index.ts'

interface Vector {
  readonly initiatorRandom: readonly string[]
  readonly responderRandom: readonly string[]
  readonly messages: readonly string[]
}

function read(name: string): Vector {
  const file = new URL(`../../../test/vectors/handover/${name}`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as Vector
}

const fill = (byte: number, length = 32) => new Uint8Array(length).fill(byte)
const tape = (values: readonly string[]) => {
  const rest = values.map((value) => fromHex(value, 'random'))
  return () => rest.shift() ?? assert.fail('no random bytes are left')
}

const configId = concat(fill(0xd1), new Uint8Array(32))
const mrSigner = fill(0x51)
const AGENT = { mrEnclave: fill(0xa1), mrSigner, isvProdId: 1, isvSvn: 3, configId }
const INIT = { mrEnclave: fill(0xb1), mrSigner, isvProdId: 2, isvSvn: 1, configId }

async function replay(vector: Vector, agent: EvidenceForm, initForm: EvidenceForm): Promise<void> {
  const responder = createResponder({
    form: agent,
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
    form: initForm,
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
}

test('a handover with fixed random bytes gives the messages of the vector', async () => {
  const machine = localPlatform(fill(7, 16))
  await replay(read('v1.json'), reportForm(machine.tee(AGENT)), reportForm(machine.tee(INIT)))
})

test('a handover with quotes gives the messages of its vector', async () => {
  await replay(
    read('v1-quote.json'),
    textForm('A', reportBody({ ...AGENT, flags: 0x85n }), reportBody({ ...INIT, flags: 0x85n })),
    textForm('I', reportBody({ ...INIT, flags: 0x85n }), reportBody({ ...AGENT, flags: 0x85n })),
  )
})

/** Form 2 with texts in place of quotes, as the vector has it. */
function textForm(own: 'A' | 'I', body: ReportBody, peer: ReportBody): EvidenceForm {
  const nothing = new Uint8Array(0)
  const text = (name: string, data: Uint8Array) => concat(utf8(`quote of ${name} over `), data)
  return {
    code: 2,
    targetInfoSize: 0,
    self: async () => ({ targetInfo: nothing, body }),
    checkTarget: () => {},
    make: async (_, reportData) => text(own, reportData),
    platformOf: async () => nothing,
    async check(_self, evidence, _target, reportData) {
      assert.ok(equalBytes(evidence, text(own === 'A' ? 'I' : 'A', reportData)))
      return { body: peer, platform: nothing }
    },
  }
}
