import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { fromUtf8, toBase64, utf8 } from '#lib/bytes'
import { readVector, sgxCase } from '../../../../test/support/sgx-vectors.ts'
import { openCollateralBundle, signCollateralBundle } from './collateral-bundle.ts'
import { type CollateralSet, requireNotOlder, verifyCollateralSet } from './collateral-set.ts'
import { intelSgxRoot } from './intel-root.ts'

const NAME = 'sgx-00a067110000-jun25'
const AT = Date.parse('2025-07-04T10:28:44Z')
const SET: CollateralSet = {
  ...sgxCase(NAME).input.collateral,
  pckCrlIssuerChain: readVector(NAME, 'pckCrlIssuerChain.pem'),
}
const BUNDLE = { createdAt: AT - (AT % 1000), sets: [SET] }

interface Pair {
  readonly privateKey: string
  readonly publicKey: string
}

const EC: Pair = generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})
const ED: Pair = generateKeyPairSync('ed25519', {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})

test('a bundle opens to what was signed, with either kind of key', () => {
  for (const { privateKey, publicKey } of [EC, ED]) {
    const opened = openCollateralBundle(signCollateralBundle(BUNDLE, privateKey), publicKey)
    assert.deepEqual(opened, BUNDLE)
    const [set] = opened.sets
    assert.ok(set)
    const facts = verifyCollateralSet(set, [intelSgxRoot()], AT)
    assert.equal(facts.fmspc, '00a067110000')
  }
})

test('a bundle of another key is refused, and so is every edit', () => {
  const bytes = signCollateralBundle(BUNDLE, EC.privateKey)
  const refusedBy = (changed: Uint8Array, key: string): string => {
    try {
      openCollateralBundle(changed, key)
    } catch (error) {
      return String((error as { code?: string }).code)
    }
    return 'accepted'
  }
  assert.equal(refusedBy(bytes, ED.publicKey), 'COLLATERAL_BUNDLE_SIGNATURE')
  const file = JSON.parse(fromUtf8(bytes, 'bundle'))
  const edited = (change: object): Uint8Array => utf8(JSON.stringify({ ...file, ...change }))
  const payload = Buffer.from(file.payload, 'base64').toString()
  const other = toBase64(utf8(payload.replace('2025-07-04', '2025-07-05')))
  assert.notEqual(other, file.payload)
  assert.equal(refusedBy(edited({ payload: other }), EC.publicKey), 'COLLATERAL_BUNDLE_SIGNATURE')
  const longer = toBase64(utf8(`${payload} `))
  assert.equal(refusedBy(edited({ payload: longer }), EC.publicKey), 'COLLATERAL_BUNDLE_SIGNATURE')
  for (const change of [{ format: 'enclave-cc/collateral-bundle/2' }, { more: 1 }, { keyId: 7 }]) {
    assert.equal(refusedBy(edited(change), EC.publicKey), 'COLLATERAL_BUNDLE_FORMAT')
  }
  assert.equal(refusedBy(edited({ signature: '' }), EC.publicKey), 'COLLATERAL_BUNDLE_SIGNATURE')
  for (let length = 0; length < bytes.length - 1; length += 997) {
    assert.equal(refusedBy(bytes.subarray(0, length), EC.publicKey), 'COLLATERAL_BUNDLE_FORMAT')
  }
})

test('a bundle is signed and opened with Ed25519 and P-256 alone', () => {
  const weak = generateKeyPairSync('rsa', {
    modulusLength: 1024,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const bytes = signCollateralBundle(BUNDLE, EC.privateKey)
  for (const key of [weak.privateKey, 'no key']) {
    assert.throws(() => signCollateralBundle(BUNDLE, key), { code: 'COLLATERAL_KEY' })
  }
  for (const key of [weak.publicKey, '']) {
    assert.throws(() => openCollateralBundle(bytes, key), { code: 'COLLATERAL_KEY' })
  }
})

test('requireNotOlder() looks at each of the four numbers', () => {
  const facts = verifyCollateralSet(SET, [intelSgxRoot()], AT)
  requireNotOlder(facts, facts)
  for (const name of [
    'tcbInfoNumber',
    'qeIdentityNumber',
    'pckCrlNumber',
    'rootCrlNumber',
  ] as const) {
    const value = facts[name]
    const newer = { ...facts, [name]: typeof value === 'bigint' ? value + 1n : value + 1 }
    assert.throws(() => requireNotOlder(facts, newer), { code: 'COLLATERAL_ROLLBACK' }, name)
    requireNotOlder(newer, facts)
  }
})

test('requireNotOlder() compares only numbers of one series', () => {
  const facts = verifyCollateralSet(SET, [intelSgxRoot()], AT)
  const rolledBack = { code: 'COLLATERAL_ROLLBACK' }
  // The two authorities count their lists apart, families their documents; the root is one.
  requireNotOlder(facts, { ...facts, ca: 'platform', pckCrlNumber: facts.pckCrlNumber + 1n })
  for (const change of [{ fmspc: '00606a000000' }, { tee: 'tdx' }] as const) {
    const other = { ...facts, ...change, tcbInfoNumber: 99, qeIdentityNumber: 99 }
    requireNotOlder(facts, other)
    const newerRoot = { ...other, rootCrlNumber: facts.rootCrlNumber + 1n }
    assert.throws(() => requireNotOlder(facts, newerRoot), rolledBack)
    const newerList = { ...other, pckCrlNumber: facts.pckCrlNumber + 1n }
    assert.throws(() => requireNotOlder(facts, newerList), rolledBack)
  }
})

test('verifyCollateralSet() looks at a PCK chain that is in the set', () => {
  const pckCertChain = sgxCase('testroot-sgx-tcbv2').input.collateral.pckCertChain
  assert.ok(pckCertChain)
  for (const [chain, code] of [
    [pckCertChain, 'ROOT_UNTRUSTED'],
    [utf8('junk'), 'PCK_CHAIN_FORMAT'],
  ] as const) {
    const set = { ...SET, pckCertChain: chain }
    assert.throws(() => verifyCollateralSet(set, [intelSgxRoot()], AT), { code })
  }
})

test('verifyCollateralSet() refuses what a verifier would refuse', () => {
  const other = sgxCase('sgx-00606a000000-jun25-eval17').input.collateral
  const tdx = sgxCase('tdx-b0c06f000000-jun25').input.collateral
  for (const [change, code] of [
    [{ pckCrl: other.pckCrl }, 'CRL_ISSUER'],
    [{ rootCaCrl: new Uint8Array() }, 'CRL_FORMAT'],
    [{ pckCrlIssuerChain: SET.tcbInfoIssuerChain }, 'PCK_SUBJECT'],
    [{ tcbInfoIssuerChain: SET.pckCrlIssuerChain }, 'TCB_SIGNER_SUBJECT'],
    [{ qeIdentity: tdx.qeIdentity }, 'QE_IDENTITY_ID'],
  ] as const) {
    const set = { ...SET, ...change }
    assert.throws(() => verifyCollateralSet(set, [intelSgxRoot()], AT), { code })
  }
  assert.throws(() => verifyCollateralSet(SET, [], AT), { code: 'ROOT_UNTRUSTED' })
  const late = Date.parse('2025-08-01T00:00:00Z')
  assert.throws(() => verifyCollateralSet(SET, [intelSgxRoot()], late), { code: /EXPIRED/ })
  assert.throws(() => verifyCollateralSet(SET, [intelSgxRoot()], Number.NaN), RangeError)
})
