// A broker whose owner keeps collateral: what a node sends must not be older than that.
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { COLLATERAL_FILES, encodeChain, parseCollateral, parseQuote } from '#lib/attest'
import { fromBase64, utf8 } from '#lib/bytes'
import { type JsonObject, object, parseJson } from '#lib/json'
import { splitPem } from '#lib/x509'
import { runBroker } from '../../src/owner/kbs/run.ts'
import { KbsWorld } from '../support/kbs-world.ts'

/** Keeps what the platform's services say now in a directory, as `collateral fetch` does. */
async function keep(world: KbsWorld, directory: string): Promise<void> {
  const evidence = await world.enclave().evidence(new Uint8Array(64))
  const chain = parseQuote(fromBase64(String(evidence.quote), 'quote')).certificationData
  const [, ...issuers] = splitPem(chain.subarray(0, -1), 'CERTIFICATE', 3)
  const set = {
    ...parseCollateral(await world.platform.collateral()),
    pckCrlIssuerChain: utf8(encodeChain(...issuers)),
  }
  await mkdir(directory, { recursive: true })
  for (const [part, bytes] of Object.entries(set)) {
    await writeFile(join(directory, COLLATERAL_FILES[part as keyof typeof COLLATERAL_FILES]), bytes)
  }
}

test('a node that sends collateral older than what the owner keeps is refused', async () => {
  await using world = await KbsWorld.start()
  await world.trust()
  const old = object(parseJson(await world.platform.collateral()), 'collateral')
  await world.platform.rehearse({ pck: 'revoked' })
  await keep(world, join(world.dir, 'kept'))
  await world.running.close()
  world.running = await runBroker({
    dataDir: world.dataDir,
    version: 'test',
    collateral: join(world.dir, 'kept'),
    log: () => {},
    now: Date.now,
  })
  const { nonce, cookie } = await world.auth()
  const json = await world.attestation(world.enclave(), nonce)
  const evidence = object(json['tee-evidence'], 'tee-evidence')
  // The list from before this platform was revoked: signed, in date, and never seen surpassed here.
  const primary: JsonObject = { ...object(evidence.primary_evidence, 'p'), collateral: old }
  const body = { ...json, 'tee-evidence': { ...evidence, primary_evidence: primary } }
  const answer = await world.ask('POST', 'attest', { json: body, headers: { cookie } })
  assert.deepEqual([answer.status, answer.json.code], [403, 'APPRAISE_COLLATERAL_ROLLBACK'])
})
