import assert from 'node:assert/strict'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { parseQeIdentity } from '../../src/lib/attest/sgx/qe-identity.ts'
import { cutSignedDocument } from '../../src/lib/attest/sgx/signed-document.ts'
import { parseTcbInfo } from '../../src/lib/attest/sgx/tcb-info.ts'
import { vectorBytes } from '../support/vector-file.ts'

const CASE = 'sgx/sgx-00606a000000-jun25-eval17'

/**
 * TCB info and QE identity as they are served: a typed error, or a value that was cut out of the text
 * exactly where the JSON says that it stands, with levels in falling order.
 */
export const target: FuzzTarget = {
  format: 'sgx',
  files: /(?:^|\/)(?:tcbInfo|qeIdentity|sgx-(?:tcb|qe-identity).*)\.json$/,
  seeds: () => [vectorBytes(`${CASE}/tcbInfo.json`), vectorBytes(`${CASE}/qeIdentity.json`)],
  run: fuzzDocument,
}

function fuzzDocument(data: Uint8Array): void {
  const isTcb = data[2] === 't'.charCodeAt(0)
  const member = isTcb ? 'tcbInfo' : 'enclaveIdentity'
  const { signed: value } = cutSignedDocument(data, member)
  const whole = JSON.parse(Buffer.from(data).toString()) as Record<string, unknown>
  assert.deepEqual(JSON.parse(Buffer.from(value).toString()), whole[member])
  const { levels } = isTcb ? parseTcbInfo(value) : parseQeIdentity(value)
  assert.ok(levels.length > 0)
}
