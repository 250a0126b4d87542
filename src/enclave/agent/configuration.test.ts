import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { FLAGS } from '#lib/attest'
import { concat, toHex, utf8 } from '#lib/bytes'
import { serializeInitData } from '#lib/initdata'
import { type EnclaveManifest, manifestBytes } from '#lib/manifest'
import { localPlatform } from '../../../test/support/local-tee.ts'
import { checkConfiguration } from './configuration.ts'

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const pins = [`sha256/${Buffer.alloc(32).toString('base64')}`]
const initData = utf8(
  serializeInitData({ broker: { url: 'https://broker.example', pins, namespace: 'acme' } }),
)
const manifest = manifestBytes({
  version: 1,
  program: 'agent',
  image: { sha256: toHex(new Uint8Array(32)), size: 1 },
  entry: '/usr/bin/node',
  args: [],
  env: {},
  attributes: { debug: false },
  isvProdId: 1,
  isvSvn: 1,
  builtAt: 1_700_000_000,
  peers: { init: { mrEnclave: toHex(new Uint8Array(32)) } },
} satisfies EnclaveManifest)
const launched = {
  mrEnclave: sha256(manifest),
  configId: concat(sha256(initData), new Uint8Array(32)),
}
const machine = localPlatform(new Uint8Array(16))

test('an enclave without KSS takes no init-data: CONFIGID says nothing then', async () => {
  const { initData: found } = await checkConfiguration(machine.tee(launched), {
    manifest,
    initData,
  })
  assert.equal(found.broker.namespace, 'acme')
  const without = machine.tee({ ...launched, flags: FLAGS.INIT | FLAGS.MODE64BIT })
  await assert.rejects(checkConfiguration(without, { manifest, initData }), {
    code: 'AGENT_IDENTITY',
    message: /KSS/,
  })
})
