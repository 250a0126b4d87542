import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FORGE_NOW, type ForgeParts, forge } from '../../../../test/support/sgx-forge.ts'
import { issueTime } from './issue-time.ts'

const LATER = Date.UTC(2027, 0, 1)
const LATER_TEXT = '2027-01-01T00:00:00Z'

function timeOf(edit: (parts: ForgeParts) => void = () => {}): number {
  const { quote, collateral, anchors } = forge(edit)
  return issueTime(quote, collateral, anchors)
}

const DATED: Readonly<Record<string, (parts: ForgeParts) => void>> = {
  root: (p) => (p.root.notBefore = LATER),
  'PCK CA': (p) => (p.ca.notBefore = LATER),
  'PCK certificate': (p) => (p.pck.notBefore = LATER),
  'TCB signer': (p) => (p.tcb.notBefore = LATER),
  'root CRL': (p) => (p.rootCrl.thisUpdate = LATER),
  'PCK CRL': (p) => (p.pckCrl.thisUpdate = LATER),
  'TCB info': (p) => (p.tcbInfo.issueDate = LATER_TEXT),
  'QE identity': (p) => (p.qeIdentity.issueDate = LATER_TEXT),
}

test('issueTime() is the latest date of all that was signed, whichever has it', () => {
  assert.ok(timeOf() <= FORGE_NOW.getTime())
  for (const [name, edit] of Object.entries(DATED)) assert.equal(timeOf(edit), LATER, name)
})

test('issueTime() believes no date that nobody of this root has signed', () => {
  const forged: Readonly<Record<string, (parts: ForgeParts) => void>> = {
    CHAIN_SIGNATURE: (p) => (p.pck.signer = 'other'),
    CRL_SIGNATURE: (p) => (p.pckCrl.signer = 'other'),
    TCB_INFO_SIGNATURE: (p) => (p.tcbInfoSigner = 'other'),
    QE_IDENTITY_SIGNATURE: (p) => (p.qeIdentitySigner = 'other'),
  }
  for (const [code, edit] of Object.entries(forged)) assert.throws(() => timeOf(edit), { code })
})
