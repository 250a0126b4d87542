import assert from 'node:assert/strict'
import { collateralObject, parseCollateral } from '#lib/attest'
import { toBase64, utf8 } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { vectorJson } from '../support/vector-file.ts'

/** Collateral as JSON: a typed error, or a set that reads the same when written again. */
export const target: FuzzTarget = { format: 'collateral', seeds, run: fuzzCollateral }

function* seeds(): Generator<Uint8Array> {
  const example = vectorJson('sgx/sim-examples/good.json')
  yield utf8(
    JSON.stringify({
      tcbInfo: example.tcbInfoJson,
      tcbInfoIssuerChain: example.tcbInfoIssuerChainPem,
      qeIdentity: example.qeIdentityJson,
      qeIdentityIssuerChain: example.qeIdentityIssuerChainPem,
      pckCrl: example.pckCrlDerBase64,
      rootCaCrl: example.rootCaCrlDerBase64,
    }),
  )
  const small = toBase64(Uint8Array.of(0x30, 0))
  const text = { tcbInfo: '', tcbInfoIssuerChain: 'é', qeIdentity: '', qeIdentityIssuerChain: '' }
  yield utf8(JSON.stringify({ ...text, pckCrl: small, rootCaCrl: small, pckCertChain: '' }))
}

function fuzzCollateral(data: Uint8Array): void {
  const collateral = parseCollateral(data)
  assert.deepEqual(parseCollateral(collateralObject(collateral)), collateral)
}
